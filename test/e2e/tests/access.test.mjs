// Without --dev: nobody gets in without a token; the owner's link and an
// invitation open the door, and neither stays in the address bar.

import assert from "node:assert/strict";
import { readFileSync, readdirSync } from "node:fs";
import { join } from "node:path";
import { after, before, describe, test } from "node:test";
import { launchChromium } from "../lib/browsers.mjs";
import { Person, receives, roster } from "../lib/people.mjs";
import { startServer, waitFor } from "../lib/server.mjs";

describe("access", { timeout: 200_000 }, () => {
  let server, browser;

  before(async () => {
    server = await startServer({ dev: false });
    browser = await launchChromium();
  }, { timeout: 120_000 });

  after(async () => {
    await browser?.close();
    await server?.stop();
  });

  test("a stranger is turned away", async () => {
    const p = await Person.open(browser, server.room("closed"), "Eve");
    await p.page.getByRole("heading", { name: "You need an invitation" }).waitFor();
    await p.shot("access-refused.png");
    await p.close();
  });

  test("the owner starts a room and a guest comes by the copied link", async () => {
    const key = readFileSync(join(server.data, readdirSync(server.data).find((f) => f.startsWith("owner"))), "utf8").trim();
    const owner = await Person.open(browser, `${server.base}/#owner=${encodeURIComponent(key)}`, "Olga", { permissions: ["camera", "microphone", "clipboard-read", "clipboard-write"] });
    await waitFor(() => owner.page.evaluate(() => location.hash === ""), "the key leaves the address bar");
    await owner.page.getByText("signed in as the owner").waitFor();
    await owner.page.goto(server.room("board"));
    await owner.enter();
    await owner.page.getByRole("button", { name: "Copy link" }).first().click();
    const link = await waitFor(() => owner.page.evaluate(() => navigator.clipboard.readText()), "a link in the clipboard");
    assert.match(link, /\/r\/board#invite=/);
    const guest = await Person.open(browser, link, "Gus");
    assert.equal(await guest.page.evaluate(() => location.hash), "", "the invitation leaves the address bar");
    await guest.enter();
    await roster([owner, guest], ["Olga", "Gus"]);
    await receives(owner, 1, 1);
    await receives(guest, 1, 1);
    const roles = Object.fromEntries((await owner.participants()).map((p) => [p.name, p.roles[0]]));
    assert.deepEqual(roles, { Olga: "owner", Gus: "presenter" });
    await guest.page.reload(); // the invitation was kept for this tab
    await guest.enter();
    await roster([owner, guest], ["Olga", "Gus"]);
    await receives(guest, 1, 1);
  });
});
