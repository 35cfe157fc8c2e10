// The server away for a while: frozen, and restarted.

import assert from "node:assert/strict";
import { after, before, describe, test } from "node:test";
import { launchChromium } from "../lib/browsers.mjs";
import { Person, receives, roster } from "../lib/people.mjs";
import { startServer, waitFor } from "../lib/server.mjs";

describe("outages", { timeout: 300_000 }, () => {
  let server, browser, ana, bo;

  before(async () => {
    server = await startServer();
    browser = await launchChromium();
    ana = await Person.join(browser, server.room("outage"), "Ana");
    bo = await Person.join(browser, server.room("outage"), "Bo");
    await receives(ana, 1, 1);
    await receives(bo, 1, 1);
  }, { timeout: 120_000 });

  after(async () => {
    await browser?.close();
    await server?.stop();
  });

  test("a server that hangs for 15 s: signalling and media come back", async () => {
    const ids = async () => (await ana.participants()).map((p) => p.key).sort();
    const before = await ids();
    server.child.kill("SIGSTOP");
    try {
      await ana.page.getByRole("alert").waitFor({ timeout: 30_000 });
      await ana.shot("call-reconnecting.png");
      await new Promise((r) => setTimeout(r, 3_000));
    } finally {
      server.child.kill("SIGCONT");
    }
    for (const p of [ana, bo]) await waitFor(async () => (await p.state()).room === "joined" && (await p.state()).connection === "connected", `${p.name} is back`, 60_000);
    await receives(ana, 1, 1, 60_000);
    await receives(bo, 1, 1, 60_000);
    assert.deepEqual(await ids(), before, "the same rows");
  });

  test("a server that is restarted: both are told, and come back by themselves", async () => {
    const port = new URL(server.base).port;
    const { data } = server;
    server = { ...server, stopped: await server.stop({ keep: true }) };
    assert.equal(server.stopped, 0, "exit code after SIGTERM");
    await ana.page.getByText("The server is shutting down").waitFor();
    await ana.shot("call-shutdown.png");
    server = await startServer({ data, port });
    await roster([ana, bo], ["Ana", "Bo"], 60_000);
    await receives(ana, 1, 1, 60_000);
    await receives(bo, 1, 1, 60_000);
  });
});
