// How media flows, and that it changes without a break: two people directly, a
// third by the server, a mixer, one leg alone, and back. Nobody rejoins.

import assert from "node:assert/strict";
import { mkdtempSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, describe, test } from "node:test";
import { launchChromium } from "../lib/browsers.mjs";
import { AUDIO_MS, Gaps, rawCapture, toneFile, VIDEO_MS, within } from "../lib/gaps.mjs";
import { noErrors, Person, receives } from "../lib/people.mjs";
import { finish, freeTCP, startServer, waitFor } from "../lib/server.mjs";

describe("topologies in Chromium", { timeout: 240_000 }, () => {
  let server, browser, dir, admin;
  const look = (name, room) => Person.open(browser, server.room(room), name, { bypassCSP: true }, rawCapture);
  const enter = async (name, room) => {
    const p = await look(name, room);
    await p.enter();
    return p;
  };
  const flow = (p) => p.page.evaluate(() => window.__parley.flow());
  const self = (p) => p.page.evaluate(() => window.__parley.self());
  const manner = (p, want, path) =>
    waitFor(async () => {
      const f = await flow(p);
      if (f.manner === want && (!path || f.path === path)) return f;
      throw new Error(`${p.name}: ${JSON.stringify(f)}`);
    }, `${p.name} is served by ${want}`, 30_000, 50);
  /** Datagrams of a kind that the server has seen on its media ports. */
  const counted = async () => {
    const text = await (await fetch(`${admin}/metrics`)).text();
    const of = (re) => [...text.matchAll(re)].reduce((n, m) => n + Number(m[1]), 0);
    return {
      media: of(/^parley_received_datagrams_total\{kind="rt(?:p|cp)"\} (\S+)/gm), dtls: of(/^parley_received_datagrams_total\{kind="dtls"\} (\S+)/gm),
      sent: of(/^parley_sent_packets_total\{kind="rt(?:p|cp)"\} (\S+)/gm),
    };
  };
  /** Sound and picture have gone on for a moment after a change. */
  const settled = async (p) => {
    const n = (await gaps.read()).frames;
    await waitFor(async () => (await gaps.read()).frames > n + 3, `${p.name} sees on`, 15_000, 50);
  };
  before(async () => {
    dir = mkdtempSync(join(tmpdir(), "parley-e2e-tone-"));
    const port = await freeTCP();
    admin = `http://127.0.0.1:${port}`;
    server = await startServer({ args: ["--admin", `127.0.0.1:${port}`] });
    browser = await launchChromium([`--use-file-for-fake-audio-capture=${toneFile(join(dir, "tone.wav"))}`]);
  }, { timeout: 120_000 });

  after(() => finish(server, { browser, dir }));

  let ana, bo, cem, gaps, before3;

  /** The owner chooses in the panel of people; for the room, or for one person. */
  const choose = async (owner, what, name) => {
    if ((await owner.page.getByRole("heading", { name: "People" }).count()) === 0) await owner.page.getByRole("button", { name: /^People/ }).click();
    if (name) {
      const tools = owner.page.getByRole("button", { name: `Manage ${name}` });
      if ((await tools.getAttribute("aria-expanded")) !== "true") await tools.click();
    }
    await owner.page.getByLabel(name ? "Media for this person" : "How media flows").selectOption({ label: what });
  };
  /** Tries a change up to three times and takes the best: a busy machine stops pictures by itself. */
  const smooth = async (what, change, undo) => {
    let best = null;
    for (let i = 0; i < 3; i++) {
      await gaps.reset();
      await change();
      const g = await gaps.read();
      const bad = (x) => Math.max(x.silenceMs / AUDIO_MS, x.stillMs / VIDEO_MS);
      if (!best || bad(g) < bad(best)) best = g;
      if (bad(g) <= 1) break;
      console.log(`    (again: ${JSON.stringify(g)})`);
      await undo();
    }
    within(what, best);
  };
  const shared = async (p, yes) => waitFor(async () => ((await flow(p)).remote.some((x) => x.startsWith("mix:")) === yes ? true : Promise.reject(new Error(JSON.stringify(await flow(p))))), `${p.name} gets ${yes ? "a mix" : "no mix"}`, 30_000, 50);

  /** Cem's page is open and muted: loading a page is not what is measured. */
  const wait = async () => {
    await cem?.close();
    cem = await look("Cem", "flows");
    await cem.press("Mute");
  };
  const come = async () => {
    await cem.enter();
    for (const p of [ana, bo, cem]) await manner(p, "sfu", "server");
    await waitFor(async () => (await flow(bo)).peers.length === 0 && (await flow(ana)).peers.length === 0, "the peers' connections are closed");
  };
  const go = async () => {
    await cem.press("Leave");
    await manner(ana, "direct", "direct");
    await manner(bo, "direct", "direct");
    await waitFor(async () => (await flow(bo)).server === null && (await flow(ana)).server === null, "the server's connections are closed");
  };

  test("two people: media goes straight between them, and the server carries none", async () => {
    ana = await enter("Ana", "flows");
    bo = await enter("Bo", "flows");
    await manner(ana, "direct", "direct");
    await manner(bo, "direct", "direct");
    const t0 = await counted();
    await receives(ana, 1, 1);
    await receives(bo, 1, 1);
    const t1 = await counted();
    console.log(`    datagrams at the server: ${JSON.stringify(t1)}`);
    assert.deepEqual(t1, { media: 0, dtls: 0, sent: 0 }, "nothing of media at the server");
    assert.deepEqual(t0, t1);
    assert.equal((await flow(ana)).server, null, "Ana has no connection to the server");
    await bo.press("Mute"); // one voice: what Bo hears is Ana
    before3 = [await self(ana), await self(bo)];
    gaps = await Gaps.of(bo, "Ana");
    await waitFor(async () => (await gaps.read()).heard, "Bo hears Ana's tone");
    await gaps.reset();
    await new Promise((r) => setTimeout(r, 1_500));
    within("direct, nothing changes", await gaps.read());
  });

  test("a third joins: all go by the server, without a break", async () => {
    await wait();
    await smooth("direct → sfu", come, async () => (await go(), await wait()));
    await receives(bo, 2, 1);
    assert.ok((await counted()).media > 100, "now the server carries it");
  });

  test("the owner switches the room to the mixer and back, then one leg only: nobody rejoins", async () => {
    await manner(ana, "sfu");
    const mixer = async () => {
      await choose(ana, "Mixed by the server");
      for (const p of [ana, bo, cem]) await shared(p, true);
      await bo.page.locator('.tile[data-kind="mix"]').waitFor();
      await settled(bo);
    };
    const back = async () => {
      await choose(ana, "Automatic");
      for (const p of [ana, bo, cem]) await manner(p, "sfu", "server");
      await shared(bo, false);
      await settled(bo);
    };
    await smooth("sfu → mixer", mixer, back);
    await bo.shot("topology-mixer.png");
    await ana.shot("topology-menu.png");
    await smooth("mixer → sfu", back, mixer);
    const one = async () => {
      await choose(ana, "Mixed by the server", "Bo");
      await shared(bo, true);
      await settled(bo);
    };
    const all = async () => {
      await choose(ana, "As the meeting", "Bo");
      await shared(bo, false);
      await settled(bo);
    };
    await smooth("one leg to the mixer", one, all);
    assert.equal((await flow(cem)).manner, "sfu", "Cem's leg is as it was");
    await smooth("one leg back", all, one);
    await choose(ana, "Whoever speaks");
    await bo.page.locator('.tile[data-kind="slot"][aria-label="Ana"]').waitFor(); // by the name of who is seen
    await choose(ana, "Automatic");
    await bo.page.locator('.tile[data-kind="slot"]').waitFor({ state: "detached" });
    await manner(bo, "sfu", "server");
    assert.deepEqual([await self(ana), await self(bo)], before3, "nobody has joined again");
    await ana.press("Close");
  });

  test("the third leaves: the two talk directly again, without a break", async () => {
    await smooth("sfu → direct", go, async () => (await wait(), await come()));
    await receives(bo, 1, 1);
    const none = await waitFor(async () => {
      const t0 = await counted();
      await new Promise((r) => setTimeout(r, 700));
      return JSON.stringify(await counted()) === JSON.stringify(t0);
    }, "nothing of media at the server any more", 20_000);
    assert.ok(none);
    assert.deepEqual([await self(ana), await self(bo)], before3, "nobody has joined again");
    noErrors(ana, bo);
  });
});
