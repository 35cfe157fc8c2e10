// One receiver's way gets narrow and wide again, through the relay process: its
// picture goes to a lower layer and comes back, and nobody else notices.

import assert from "node:assert/strict";
import { mkdtempSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, describe, test } from "node:test";
import { launchChromium } from "../lib/browsers.mjs";
import { delta, draw, keepConnections, keepSize, longestGap, motionFile, rates, Watch, watcher } from "../lib/media.mjs";
import { Person } from "../lib/people.mjs";
import { Relay, through } from "../lib/relay.mjs";
import { finish, startServer, waitFor } from "../lib/server.mjs";

const WIDE = "rate=3M queue-time=300ms delay=20ms";
const NARROW = "rate=300k";
const LOWER_MS = 1_000; // until a lower layer is shown
const BACK_MS = 10_000; // until the top one is shown again
const FREEZE_MS = 1_000; // the longest time without a new frame
const LINES = 540; // of the camera: the least that browsers send in three encodings
const TRIES = Number(process.env.E2E_TRIES ?? 3);

const wait = (ms) => new Promise((r) => setTimeout(r, ms));

describe("a narrow way to one receiver", { timeout: 400_000 }, () => {
  let server, browser, dir, relay;

  before(async () => {
    dir = mkdtempSync(join(tmpdir(), "parley-e2e-motion-"));
    server = await startServer({ args: process.env.E2E_TRACES ? ["--trace-dir", process.env.E2E_TRACES] : [] });
    relay = await Relay.start({ target: server.media, down: WIDE, up: "delay=20ms" });
    browser = await launchChromium([`--use-file-for-fake-video-capture=${motionFile(join(dir, "motion.y4m"), { width: (LINES * 16) / 9, height: LINES, rate: 15 })}`]);
  }, { timeout: 120_000 });

  after(() => finish(server, { browser, relay, dir }));

  const enter = async (name, room, ...scripts) => {
    const p = await Person.open(browser, `${server.room(room)}?simulcast`, name, { viewport: { width: 1440, height: 900 } }, ...scripts);
    await p.enter();
    return p;
  };

  /** Ana sends; Bo is behind the relay; Cem and Dee are not. */
  const people = async (room) => {
    const ana = await enter("Ana", room, keepConnections);
    const cem = await enter("Cem", room, watcher, keepConnections);
    const dee = await enter("Dee", room, watcher, keepConnections);
    const bo = await enter("Bo", room, watcher, through(relay));
    await ana.page.evaluate(keepSize);
    return { ana, bo, cem, dee };
  };

  const last = async (w) => (await w.take()).samples.at(-1);
  const tall = (w, ms) => waitFor(async () => ((await last(w))?.video.frameHeight >= LINES ? true : Promise.reject(new Error(JSON.stringify((await last(w))?.video)))), `${w.person.name} sees ${LINES} lines`, ms, 100);

  /** One run: what each saw, and when the way changed. */
  const run = async (room) => {
    await relay.order(`down ${WIDE}`);
    const { ana, bo, cem, dee } = await people(room);
    try {
      const watches = { bo: await Watch.of(bo, "Ana"), cem: await Watch.of(cem, "Ana"), dee: await Watch.of(dee, "Ana") };
      for (const w of Object.values(watches)) await tall(w, 40_000);
      await wait(5_000);
      const narrow = Date.now();
      await relay.order(`down ${NARROW}`);
      await wait(20_000);
      const wide = Date.now();
      await relay.order(`down ${WIDE}`);
      await wait(BACK_MS + 5_000);
      const end = Date.now(); // to take what was seen takes its time
      const seen = {};
      for (const [k, w] of Object.entries(watches)) seen[k] = await w.take();
      return { narrow, wide, end, seen };
    } finally {
      for (const p of [ana, bo, cem, dee]) await p.close();
    }
  };

  const judge = ({ narrow, wide, end, seen }) => {
    const after = (t, ok) => (seen.bo.frames.find(([at, , h]) => at >= t && ok(h))?.[0] ?? Infinity) - t;
    const bo = {
      lowerMs: Math.round(after(narrow, (h) => h < LINES)), backMs: Math.round(after(wide, (h) => h >= LINES)),
      stillMs: longestGap(seen.bo.frames, narrow, end), switches: seen.bo.frames.filter(([at, , h], i, all) => at >= narrow && i > 0 && all[i - 1][2] !== h).length,
      lost: delta(seen.bo.samples, "video", "packetsLost", narrow, end), frozenS: delta(seen.bo.samples, "video", "totalFreezesDuration", narrow, end),
    };
    const others = Object.fromEntries(
      ["cem", "dee"].map((k) => {
        const { samples, frames } = seen[k];
        const rate = (from, to) => Math.round((8 * delta(samples, "video", "bytesReceived", from, to)) / (to - from));
        return [k, {
          least: Math.min(...frames.filter(([at]) => at >= narrow - 3_000).map((f) => f[2])), stillMs: longestGap(frames, narrow - 3_000, end), lost: delta(samples, "video", "packetsLost", narrow - 3_000, end),
          before: rate(narrow - 4_000, narrow), during: rate(narrow, wide), plis: delta(samples, "video", "pliCount", narrow, end),
        }];
      }),
    );
    const bad = [];
    if (bo.lowerMs > LOWER_MS) bad.push(`a lower layer after ${bo.lowerMs} ms`);
    if (bo.backMs > BACK_MS) bad.push(`the top layer after ${bo.backMs} ms`);
    if (bo.stillMs > FREEZE_MS) bad.push(`${bo.stillMs} ms without a picture`);
    for (const [k, o] of Object.entries(others)) {
      if (o.least < LINES) bad.push(`${k} saw ${o.least} lines`);
      if (o.lost > 0) bad.push(`${k} lost ${o.lost} packets`);
      if (o.stillMs > FREEZE_MS) bad.push(`${k}: ${o.stillMs} ms without a picture`);
      if (o.during < 0.8 * o.before) bad.push(`${k}: ${o.during} of ${o.before} kbit/s`);
    }
    return { bo, others, bad };
  };

  const save = (r, figures) => {
    const t0 = r.narrow;
    const sec = (at) => (at - t0) / 1_000;
    const mine = (k) => r.seen[k].samples.filter((s) => s.at > t0 - 6_000);
    const line = (k, pick) => ({ name: k, points: rates(mine(k)).map((x) => [sec(x.at), pick(x)]) });
    const height = (k) => ({ name: k, step: true, points: mine(k).filter((s) => s.video.frameHeight).map((s) => [sec(s.at), s.video.frameHeight]) });
    const lost = (k) => ({ name: k, points: mine(k).map((s) => [sec(s.at), (s.video.packetsLost ?? 0) - (mine(k)[0].video.packetsLost ?? 0)]) });
    const who = ["bo", "cem", "dee"];
    draw("squeeze", "3 Mbit/s, 300 kbit/s from 0 s to 20 s, 3 Mbit/s: Bo behind the relay, Cem and Dee not", [
      { title: "video received, kbit/s", lines: who.map((k) => line(k, (x) => x.video)) },
      { title: "lines of the picture", max: 600, lines: who.map(height) },
      { title: "packets lost", lines: who.map(lost) },
    ], [{ at: 0, text: "300 kbit/s" }, { at: sec(r.wide), text: "3 Mbit/s" }], { figures, narrow: r.narrow, wide: r.wide, samples: r.seen });
  };

  test("SFM-8, SWX-9: from 3 Mbit/s to 300 kbit/s and back: a lower layer within 1 s, back within 10 s, the others unchanged", async () => {
    let result;
    for (let i = 1; i <= TRIES; i++) {
      const r = await run(`squeeze-${i}`);
      result = judge(r);
      console.log(`    try ${i}: ${JSON.stringify(result)}`);
      save(r, result);
      if (result.bad.length === 0) break;
    }
    assert.deepEqual(result.bad, []);
  });
});
