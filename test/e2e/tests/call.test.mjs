// Three people in Chromium: see and hear, share, switch devices, come and go.

import assert from "node:assert/strict";
import { after, before, describe, test } from "node:test";
import { launchChromium } from "../lib/browsers.mjs";
import { flow, noErrors, Person, receives, roster } from "../lib/people.mjs";
import { finish, startServer, waitFor } from "../lib/server.mjs";

describe("a call in Chromium", { timeout: 420_000 }, () => {
  let server, browser, ana, bo, cem;

  before(async () => {
    server = await startServer();
    browser = await launchChromium();
    const url = server.room("e2e-call");
    ana = await Person.join(browser, url, "Ana Lima");
    bo = await Person.join(browser, url, "Bo");
    cem = await Person.join(browser, url, "Cem");
  }, { timeout: 120_000 });

  after(() => finish(server, { browser }));

  test("each decodes the videos of the two others and hears them", async () => {
    await roster([ana, bo, cem], ["Ana Lima", "Bo", "Cem"]);
    for (const p of [ana, bo, cem]) {
      const f = await receives(p, 2, 2);
      for (const s of f.filter((x) => x.kind === "video")) assert.match(s.codec ?? "", /VP8/i);
    }
    await ana.shot("call-grid.png");
    noErrors(ana, bo, cem);
  });

  test("mute and stop video reach the others, and come back", async () => {
    const track = async (viewer, name, source) => (await viewer.participants()).find((p) => p.name === name)?.tracks.find((t) => t.source === source);
    await bo.press("Mute");
    await bo.press("Stop video");
    await waitFor(async () => (await track(ana, "Bo", "microphone"))?.muted && (await track(ana, "Bo", "camera"))?.muted, "Bo is shown as muted");
    await ana.shot("call-muted.png");
    await bo.press("Unmute");
    await bo.press("Start video");
    await waitFor(async () => !(await track(ana, "Bo", "microphone"))?.muted && !(await track(ana, "Bo", "camera"))?.muted, "Bo is open again");
    await receives(ana, 2, 2);
  });

  test("a shared screen is a third video for the others and goes away", async () => {
    await ana.press("Share screen");
    await receives(bo, 3, 2);
    await receives(cem, 3, 2);
    await bo.page.locator('.tile[data-kind="screen"]').waitFor();
    await bo.shot("call-screen.png");
    await ana.press("Stop sharing");
    await waitFor(async () => (await bo.page.locator('.tile[data-kind="screen"]').count()) === 0, "the screen tile goes");
    await receives(bo, 2, 2);
    await ana.press("Share screen"); // and a second time: the m-line is used again
    await receives(bo, 3, 2);
    await ana.press("Stop sharing");
    await receives(bo, 2, 2);
    noErrors(ana, bo, cem);
  });

  test("camera and microphone are changed during the call without a new track", async () => {
    const ids = async () => (await bo.participants()).find((p) => p.name === "Ana Lima").tracks.map((t) => t.id).sort();
    const before = await ids();
    await ana.press("Settings");
    for (const label of ["Camera", "Microphone"]) {
      const select = ana.page.getByLabel(label, { exact: true });
      const other = await waitFor(() => select.evaluate((s) => [...s.options].map((o) => o.value).filter((v) => v !== s.value && v !== "default").at(-1)), `another ${label}`);
      await select.selectOption(other);
      await waitFor(() => ana.page.evaluate(([l, id]) => [...document.querySelectorAll("select")].some((s) => s.value === id) && l, [label, other]), `${label} changed`);
    }
    await ana.shot("call-settings.png");
    await ana.press("Close");
    await receives(bo, 2, 2);
    await receives(cem, 2, 2);
    assert.deepEqual(await ids(), before, "the tracks keep their ids");
  });

  test("a cut WebSocket resumes and the media never stops", async () => {
    const events = await cem.page.evaluate(() => window.__parley.participants().length);
    const before = await flow(bo, 1_000);
    assert.ok(before.some((s) => s.frames > 0));
    await bo.page.evaluate(() => window.__sockets.at(-1).close());
    await waitFor(async () => (await bo.state()).room === "reconnecting" || (await bo.page.evaluate(() => window.__sockets.length)) > 1, "the cut is noticed", 10_000, 20);
    const during = await flow(bo, 1_500);
    assert.ok(during.filter((s) => s.kind === "video" && s.frames > 0).length === 2, `video flows during the cut: ${JSON.stringify(during)}`);
    await waitFor(async () => (await bo.state()).room === "joined", "bo is back");
    assert.equal((await bo.state()).connection, "connected");
    await receives(bo, 2, 2);
    await receives(ana, 2, 2);
    assert.equal((await cem.participants()).length, events);
    // The resumed session still works both ways.
    await bo.press("Mute");
    await waitFor(async () => (await ana.participants()).find((p) => p.name === "Bo").tracks.find((t) => t.source === "microphone").muted, "mute after resume");
    await bo.press("Unmute");
  });

  test("a killed and reopened tab is the same person: one row, no leave, no join", async () => {
    await ana.page.evaluate(() => {
      window.__notes = [];
      new MutationObserver(() => window.__notes.push(document.querySelector(".note")?.textContent ?? "")).observe(document.querySelector(".note"), { childList: true, subtree: true, characterData: true });
    });
    const url = cem.page.url();
    const session = await cem.context.newCDPSession(cem.page);
    await Promise.race([session.send("Page.crash").catch(() => undefined), new Promise((r) => setTimeout(r, 2_000))]);
    const counts = [];
    const watch = setInterval(() => void ana.participants().then((list) => counts.push(list.filter((p) => p.name === "Cem").length)), 200);
    await cem.page.close().catch(() => undefined);
    const page = await cem.context.newPage();
    const again = new Person(page, "Cem", cem.context);
    await page.goto(url);
    await again.enter();
    await receives(again, 2, 2);
    await receives(ana, 2, 2);
    await receives(bo, 2, 2);
    clearInterval(watch);
    await roster([ana, bo, again], ["Ana Lima", "Bo", "Cem"]);
    assert.ok(counts.length > 5 && counts.every((n) => n === 1), `rows of Cem as Ana saw them: ${counts}`);
    const notes = await ana.page.evaluate(() => window.__notes.filter(Boolean));
    assert.deepEqual(notes.filter((n) => n.includes("Cem")), [], "no word of coming or going");
    cem = again;
  });

  test("one leaves and the others see it", async () => {
    await cem.press("Leave");
    await cem.page.getByText("You left the room").waitFor();
    await roster([ana, bo], ["Ana Lima", "Bo"]);
    await receives(ana, 1, 1);
    await waitFor(async () => (await ana.page.locator('.tile[data-kind="person"]').count()) === 2, "two tiles");
    await cem.close();
  });

  test("two tabs of one browser are two devices", async () => {
    const page = await bo.context.newPage();
    const second = new Person(page, "Bo tablet", bo.context);
    await page.goto(server.room("e2e-call"));
    await second.enter();
    await roster([ana, bo, second], ["Ana Lima", "Bo", "Bo tablet"]);
    await second.press("Leave");
    await page.close();
    await roster([ana, bo], ["Ana Lima", "Bo"]);
  });
});
