// Sessions straight between people: hidden addresses (X1), meshes (MSH-1, MSH-5),
// and a fingerprint that was touched on its way (MSH-2).

import assert from "node:assert/strict";
import { mkdtempSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, describe, test } from "node:test";
import { launchChromium } from "../lib/browsers.mjs";
import { Gaps, rawCapture, toneFile, within } from "../lib/gaps.mjs";
import { keepConnections } from "../lib/media.mjs";
import { Person, receives } from "../lib/people.mjs";
import { finish, freeTCP, hostAddress, startServer, waitFor } from "../lib/server.mjs";

/** For addInitScript: keeps every frame that the socket brings. */
const frames = () => {
  window.__frames = [];
  const Socket = window.WebSocket;
  window.WebSocket = class extends Socket {
    constructor(...args) {
      super(...args);
      this.addEventListener("message", (e) => window.__frames.push(String(e.data)));
    }
  };
};

/** For addInitScript: one digit of every fingerprint that another device sends is another one. */
const tamper = () => {
  const Socket = window.WebSocket;
  window.WebSocket = class extends Socket {
    set onmessage(fn) {
      super.onmessage = (e) => {
        const data = String(e.data);
        if (!/"event":"media\.(offer|answer)"/.test(data)) return fn.call(this, e);
        const touched = data.replace(/(a=fingerprint:sha-256 )(..)/g, (_, a, b) => a + (b === "00" ? "11" : "00"));
        fn.call(this, new MessageEvent("message", { data: touched }));
      };
    }
  };
};

describe("straight between people", { timeout: 240_000 }, () => {
  let server, browser, admin, dir;
  const enter = async (name, room, prepare, ...scripts) => {
    const p = await Person.open(browser, server.room(room), name, { bypassCSP: true }, rawCapture, keepConnections, frames, ...scripts);
    await prepare?.(p);
    await p.enter();
    return p;
  };
  const flow = (p) => p.page.evaluate(() => window.__parley.flow());
  const direct = (p, n) =>
    waitFor(async () => {
      const f = await flow(p);
      if (f.manner === "direct" && f.path === "direct" && f.server === null && f.peers.filter((s) => s === "connected").length === n) return f;
      throw new Error(`${p.name}: ${JSON.stringify(f)}`);
    }, `${p.name} is connected to ${n} others`, 30_000, 100);
  const metric = async (re) => [...(await (await fetch(`${admin}/metrics`)).text()).matchAll(re)].reduce((n, m) => n + Number(m[1]), 0);
  const media = () => metric(/^parley_received_datagrams_total\{kind="(?:rtp|rtcp|dtls)"\} (\S+)/gm);

  before(async () => {
    const port = await freeTCP();
    admin = `http://127.0.0.1:${port}`;
    server = await startServer({ args: ["--admin", `127.0.0.1:${port}`] });
    dir = mkdtempSync(join(tmpdir(), "parley-e2e-tone-"));
    browser = await launchChromium([`--use-file-for-fake-audio-capture=${toneFile(join(dir, "tone.wav"))}`]);
  }, { timeout: 120_000 });

  after(() => finish(server, { browser, dir }));

  test("MSH-1, MSH-5: three in a mesh: the server sees no media, and each pair has streams of its own", async () => {
    const ana = await enter("Ana", "mesh");
    await ana.page.getByRole("button", { name: /^People/ }).click();
    await ana.page.getByLabel("How media flows").selectOption({ label: "Direct between all" });
    await ana.press("Close");
    const bo = await enter("Bo", "mesh");
    const cem = await enter("Cem", "mesh");
    for (const p of [ana, bo, cem]) await direct(p, 2);
    for (const p of [ana, bo, cem]) await receives(p, 2, 2);
    assert.equal(await media(), 0, "RTP, RTCP and DTLS datagrams at the media node");
    await ana.shot("direct-mesh.png");
    // MSH-5: each pair has SSRCs of its own, and a throttle of one leaves the other alone.
    const sent = () =>
      ana.page.evaluate(async () => {
        const out = [];
        for (const pc of window.__pcs.filter((x) => x.connectionState === "connected")) {
          const v = [...(await pc.getStats()).values()].find((s) => s.type === "outbound-rtp" && s.kind === "video");
          out.push({ ssrc: v.ssrc, bytes: v.bytesSent, at: v.timestamp });
        }
        return out;
      });
    const rates = async (ms) => {
      const a = await sent();
      await new Promise((r) => setTimeout(r, ms));
      const b = await sent();
      return b.map((x, i) => Math.round((8 * (x.bytes - a[i].bytes)) / (x.at - a[i].at)));
    };
    const [one, two] = await sent();
    assert.notEqual(one.ssrc, two.ssrc, "Ana's video to Bo and to Cem");
    const before = await waitFor(async () => {
      const r = await rates(1_000);
      return r[1] > 180 && r[0] > 180 ? r : null;
    }, "both pictures take more than 180 kbit/s", 30_000);
    await ana.page.evaluate(async () => {
      const pc = window.__pcs.filter((x) => x.connectionState === "connected")[0];
      const s = pc.getSenders().find((x) => x.track?.kind === "video");
      const p = s.getParameters();
      p.encodings[0].maxBitrate = 150_000;
      await s.setParameters(p);
    });
    await new Promise((r) => setTimeout(r, 1_500));
    const after = await rates(2_000);
    console.log(`    kbit/s of Ana's two pictures: ${before}, with the first throttled: ${after}`);
    assert.ok(after[0] < 200, `the throttled one: ${after[0]} kbit/s`);
    assert.ok(after[1] > before[1] / 2, `the other one: ${after[1]} kbit/s, was ${before[1]}`);
    for (const p of [ana, bo, cem]) await p.close();
  });

  test("X1, REL-5: an address that is hidden stands in no message, in a call of two and when a third comes and goes", async () => {
    const ana = await enter("Ana", "hidden");
    const bo = await enter("Bo", "hidden", (p) => p.page.getByLabel("Hide my address").check());
    await direct(ana, 1);
    await direct(bo, 1);
    await receives(ana, 1, 1);
    await receives(bo, 1, 1);
    assert.ok((await metric(/^parley_turn_packets_total\{direction="to-peer"\} (\S+)/gm)) > 50, "media goes by the relay");
    assert.equal(await media(), 0, "and not by the media node");
    // REL-5, MSH-2: what each was told of the other's key is the other's own; no key of the pair is the server's.
    const prints = (p) =>
      p.page.evaluate(() => {
        const pc = window.__pcs.find((x) => x.connectionState === "connected");
        const of = (d) => /a=fingerprint:(\S+ \S+)/.exec(d.sdp)[1];
        return { own: of(pc.localDescription), other: of(pc.remoteDescription) };
      });
    const [a, b] = [await prints(ana), await prints(bo)];
    assert.deepEqual([a.other, b.other], [b.own, a.own]);
    await bo.press("Mute"); // one voice: what Bo hears is Ana
    const gaps = await Gaps.of(bo, "Ana");
    await waitFor(async () => (await gaps.read()).heard, "Bo hears Ana's tone");
    const cem = await enter("Cem", "hidden", async (p) => {
      await p.press("Mute");
      await gaps.reset();
    });
    for (const p of [ana, bo]) await waitFor(async () => (await flow(p)).path === "server" && (await flow(p)).peers.length === 0, `${p.name} is served by the server`, 30_000, 100);
    within("relayed → sfu", await gaps.read());
    await receives(ana, 2, 0);
    await gaps.reset();
    await cem.press("Leave");
    await direct(ana, 1);
    await direct(bo, 1);
    within("sfu → relayed", await gaps.read());
    await receives(ana, 1, 0);
    // What came to Ana of Bo: descriptions and candidates.
    const part = await bo.page.evaluate(() => window.__parley.self().part);
    const frames = (await ana.page.evaluate(() => window.__frames)).map((f) => JSON.parse(f)).filter((f) => f.body?.part === part && /^media\./.test(f.event ?? ""));
    const lines = frames.flatMap((f) => [...(f.body.candidates ?? []), ...(f.body.sdp ?? "").split(/\r\n/)]).filter((x) => x.includes("candidate:"));
    assert.ok(lines.length > 0, "Bo has sent candidates");
    for (const l of lines) assert.match(l, / typ relay raddr (0\.0\.0\.0|::) rport/, l);
    // Relays are on this machine as well, so their address alone would tell nothing: the kind says it all.
    const all = await ana.page.evaluate(() => window.__frames.join("\n"));
    const mdns = frames.map((f) => JSON.stringify(f)).filter((x) => x.includes(".local"));
    assert.deepEqual(mdns, [], "no name that stands for an address");
    assert.ok(all.includes(hostAddress() ?? "127.0.0.1"), "Ana does learn the relay's");
    for (const p of [ana, bo, cem]) await p.close();
  });

  test("MSH-2: a fingerprint that was altered on its way makes no connection; the server takes over", async () => {
    const ana = await enter("Ana", "touched");
    const bo = await enter("Bo", "touched", undefined, tamper);
    await waitFor(async () => (await flow(ana)).manner === "sfu" && (await flow(bo)).manner === "sfu", "the attempt is given up", 40_000, 250);
    await receives(ana, 1, 1);
    await receives(bo, 1, 1);
    for (const p of [ana, bo]) {
      const secured = await p.page.evaluate(async () => {
        let n = 0;
        for (const pc of window.__pcs) for (const s of (await pc.getStats()).values()) if (s.type === "transport" && s.dtlsState === "connected") n++;
        return n;
      });
      assert.ok(secured <= 1, `${p.name} has ${secured} secured connections: only the server's may be`);
    }
    for (const p of [ana, bo]) await p.close();
  });
});
