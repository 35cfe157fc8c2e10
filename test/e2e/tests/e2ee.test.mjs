// End-to-end encryption: two see each other and the server sees noise; keys change
// when people come and leave; what would need the clear is refused; and a server
// that lies is seen, or gets nothing.

import assert from "node:assert/strict";
import { execFileSync, spawnSync } from "node:child_process";
import { webcrypto } from "node:crypto";
import { mkdtempSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, describe, test } from "node:test";
import { launchChromium } from "../lib/browsers.mjs";
import { keepConnections } from "../lib/media.mjs";
import { Outside, ivf } from "../lib/outsider.mjs";
import { noErrors, Person, receives } from "../lib/people.mjs";
import { Relay, through } from "../lib/relay.mjs";
import { finish, startServer, waitFor } from "../lib/server.mjs";

/** A picture that is red on the left and blue on the right. */
function pictureFile(file) {
  execFileSync("ffmpeg", ["-v", "error", "-y", "-f", "lavfi", "-i", "color=red:size=320x360:rate=20:duration=2", "-f", "lavfi", "-i", "color=blue:size=320x360:rate=20:duration=2",
    "-filter_complex", "hstack,noise=alls=8:allf=t,format=yuv420p", file], { stdio: "inherit" });
  return file;
}

/** Runs in the page: average colours of the left and the right of one person's picture; null: it shows none. */
const colours = (name) => {
  const tile = [...document.querySelectorAll('.tile[data-kind="person"]')].find((x) => x.getAttribute("aria-label") === name);
  const video = tile?.querySelector("video");
  if (!video || video.readyState < 2 || tile.querySelector(".seal-cover")) return null;
  const c = document.createElement("canvas");
  [c.width, c.height] = [64, 36];
  const g = c.getContext("2d");
  g.drawImage(video, 0, 0, 64, 36);
  const mean = (x) => {
    const d = g.getImageData(x, 8, 16, 20).data;
    const sum = [0, 0, 0];
    for (let i = 0; i < d.length; i += 4) for (let k = 0; k < 3; k++) sum[k] += d[i + k];
    return sum.map((v) => Math.round((4 * v) / d.length));
  };
  return { left: mean(8), right: mean(40) };
};

/** Whether mean colours of a left and a right, six numbers, are those of the picture. */
const redAndBlue = (c) => c[0] > 150 && c[2] < 90 && c[5] > 150 && c[3] < 90;

/** The browser has red and blue where they belong. */
async function sees(person, name) {
  return waitFor(async () => {
    const c = await person.page.evaluate(colours, name);
    if (c && redAndBlue([...c.left, ...c.right])) return c;
    throw new Error(`${person.name} sees ${JSON.stringify(c)} of ${name}`);
  }, `${person.name} sees ${name}'s picture`, 30_000);
}

const seal = (p) => p.page.evaluate(() => window.__parley.seal());
const flow = (p) => p.page.evaluate(() => window.__parley.flow());
const tile = (p, name) => p.page.locator(`.tile[data-kind="person"][aria-label="${name}"] .seal`);

/** All have the same number and know one another. */
function agree(...people) {
  return waitFor(async () => {
    const all = await Promise.all(people.map(seal));
    if (all.every((s) => s && s.number !== "" && s.number === all[0].number && s.members.length === people.length - 1)) return all;
    throw new Error(JSON.stringify(all.map((s) => s && [s.number, s.members.length])));
  }, "all have the same safety number");
}

/** What ffmpeg makes of frames: pictures, how many are red and blue, errors, and the mean colour of the left and right halves of the last. */
function decode(dir, name, frames) {
  const file = join(dir, `${name}.ivf`);
  writeFileSync(file, ivf(frames, 640, 360));
  const run = spawnSync("ffmpeg", ["-v", "error", "-i", file, "-fps_mode", "passthrough", "-vf", "format=rgb24,scale=2:1:flags=area", "-f", "rawvideo", "-"], { encoding: "buffer", maxBuffer: 1 << 26 });
  const errors = String(run.stderr).split("\n").filter(Boolean).length;
  const pictures = Array.from({ length: Math.floor(run.stdout.length / 6) }, (_, i) => [...run.stdout.subarray(6 * i, 6 * i + 6)]);
  return { frames: frames.length, pictures: pictures.length, errors, shown: pictures.filter(redAndBlue).length, last: pictures.at(-1) };
}

/** KID and CTR of an SFrame header (RFC 9605, section 4.3); null: none. */
function header(b) {
  let at = 1;
  const field = (extended, bits) => {
    if (!extended) return BigInt(bits);
    let v = 0n;
    for (const end = at + bits + 1; at < end; at++) v = (v << 8n) | BigInt(b[at] ?? 0);
    return v;
  };
  const kid = field(b[0] & 0x80, (b[0] >> 4) & 7);
  return { kid, ctr: field(b[0] & 8, b[0] & 7), size: at };
}

/** Keys as a client makes them, for a server that puts itself in the middle. */
async function falseKeys() {
  const b64 = (b) => Buffer.from(b).toString("base64url");
  const { subtle } = webcrypto;
  const who = await subtle.generateKey({ name: "ECDSA", namedCurve: "P-256" }, true, ["sign", "verify"]);
  const agree = await subtle.generateKey({ name: "ECDH", namedCurve: "P-256" }, true, ["deriveBits"]);
  const key = Buffer.from(await subtle.exportKey("raw", agree.publicKey));
  const sig = await subtle.sign({ name: "ECDSA", hash: "SHA-256" }, who.privateKey, Buffer.concat([Buffer.from("Parley E2EE session key 1\0"), key]));
  return { identity: b64(await subtle.exportKey("raw", who.publicKey)), key: b64(key), sig: b64(sig) };
}

/** Every value of a message, where change says so. */
function rewrite(x, change) {
  if (Array.isArray(x)) return x.map((v) => rewrite(v, change));
  if (!x || typeof x !== "object") return x;
  const out = {};
  for (const [k, v] of Object.entries(x)) out[k] = rewrite(v, change);
  return change(out) ?? out;
}

describe("E1: end-to-end encryption in Chromium", { timeout: 600_000 }, () => {
  let server, browser, dir, ana, bo, cem;
  const url = (room) => `${server.room(room)}?e2ee`;
  const enter = async (name, room, ...scripts) => {
    const p = await Person.open(browser, url(room), name, {}, ...scripts);
    await p.enter();
    return p;
  };
  /** A page whose server says other things than the real one. */
  const lied = async (name, room, change, { scripts = [], said = () => undefined } = {}) => {
    const p = await Person.open(browser, "about:blank", name, {}, ...scripts);
    await p.page.routeWebSocket(/\/ws$/, (ws) => {
      const to = ws.connectToServer();
      ws.onMessage((m) => (said(m), to.send(m)));
      to.onMessage((m) => ws.send(typeof m === "string" ? JSON.stringify(rewrite(JSON.parse(m), change)) : m));
    });
    await p.page.goto(url(room));
    return p;
  };

  before(async () => {
    dir = mkdtempSync(join(tmpdir(), "parley-e2e-seal-"));
    server = await startServer();
    browser = await launchChromium([`--use-file-for-fake-video-capture=${pictureFile(join(dir, "picture.y4m"))}`]);
  }, { timeout: 120_000 });

  after(() => finish(server, { browser, dir }));

  test("a meeting is started encrypted; two see and hear each other, and their numbers are the same", async () => {
    ana = await Person.open(browser, server.base, "Ana");
    await ana.page.getByLabel("Room name").fill("sealed");
    await ana.page.getByLabel("End-to-end encrypted").check();
    await ana.page.getByRole("button", { name: "Start meeting" }).click();
    await ana.page.getByText("This meeting is end-to-end encrypted.").waitFor();
    assert.equal(new URL(ana.page.url()).search, "?e2ee");
    await ana.enter();
    bo = await enter("Bo", "sealed");
    for (const p of [ana, bo]) {
      const got = await receives(p, 1, 1);
      assert.deepEqual([...new Set(got.map((s) => s.codec))].sort(), ["audio/opus", "video/VP8"]);
      assert.equal((await flow(p)).manner, "sfu");
    }
    console.log(`    Bo sees Ana as ${JSON.stringify(await sees(bo, "Ana"))}, Ana sees Bo as ${JSON.stringify(await sees(ana, "Bo"))}`);
    await tile(ana, "Bo").and(ana.page.locator('[data-seal="secure"]')).waitFor();
    const [a, b] = await agree(ana, bo);
    assert.match(a.number, /^(\d{5} ){11}\d{5}$/);
    assert.equal(a.members[0].number, b.self.number);
    assert.equal(a.counts.withheld + b.counts.withheld, 0);
    assert.ok(a.counts.opened > 50 && b.counts.opened > 50);
    // The server's roster says so too, in its document.
    const doc = JSON.stringify(await ana.page.evaluate(() => window.__parley.document()));
    assert.ok(doc.includes('"e2ee":true'), "policy in the document");
    await ana.page.getByRole("button", { name: "End-to-end encrypted" }).click();
    await ana.page.getByLabel("Number that another person has").fill(b.number);
    await ana.page.getByText("The same: nobody is in between.").waitFor();
    await ana.page.getByLabel("Number that another person has").fill(b.number.replace(/^./, (d) => String((Number(d) + 1) % 10)));
    await ana.page.getByText(/^Different/).waitFor();
    await ana.shot("e2ee.png");
    await ana.page.getByLabel("Number that another person has").fill("");
  });

  test("what the server has is noise: a device without keys sees nothing of the picture, nor does ffmpeg", async () => {
    const eve = await Outside.open(browser, server, "Eve");
    try {
      const joined = await eve.join("sealed");
      assert.equal(joined.error, undefined, "the server believes that it can encrypt");
      const got = await waitFor(async () => {
        const s = await eve.stats();
        return s.seen > 120 && s.heard > 200 ? s : Promise.reject(new Error(JSON.stringify(s)));
      }, "frames come to the device without keys");
      console.log(`    without keys: ${JSON.stringify(got)}`);
      // VP8 is arithmetic coding with the SFrame header at its beginning: with one key
      // in a few, a decoder finds nothing wrong in the noise and makes noise of it.
      // So neither its errors nor its silence say anything; what it shows does.
      const shown = await eve.pictures();
      console.log(`    and shows ${JSON.stringify(shown)}`);
      assert.ok(!shown.some(redAndBlue), "it shows the picture");
      const frames = { video: await eve.frames("video"), audio: await eve.frames("audio") };
      // All are SFrame behind the clear bytes of VP8. A repair may bring a frame to
      // the transform again; no number comes with another frame.
      for (const [kind, list] of Object.entries(frames)) {
        const seen = new Map();
        for (const f of list) {
          const h = header(f.bytes.subarray(kind === "audio" ? 0 : f.bytes[0] & 1 ? 3 : 10));
          assert.ok(h.kid >> 20n > 0n && h.kid >> 48n === 0n && f.bytes.length >= h.size + 16, `${kind} is sealed`);
          const number = `${h.kid} ${h.ctr}`, bytes = Buffer.from(f.bytes).toString("base64");
          assert.equal(seen.get(number) ?? bytes, bytes, `${kind}: a number came with two frames`);
          seen.set(number, bytes);
        }
        assert.ok(seen.size > list.length * 0.9, `${kind}: ${seen.size} of ${list.length} are new`);
      }
      // Each sender alone, as ffmpeg would get it.
      const kids = new Map();
      for (const f of frames.video) {
        const { kid } = header(f.bytes.subarray(f.bytes[0] & 1 ? 3 : 10));
        kids.set(kid >> 20n, [...(kids.get(kid >> 20n) ?? []), f]);
      }
      for (const [, list] of kids) {
        const d = decode(dir, "sealed", list);
        console.log(`    ffmpeg, sealed: ${JSON.stringify(d)}`);
        assert.ok(d.frames > 10, "frames of each sender");
        assert.equal(d.shown, 0, "the picture is in it");
      }
      // The others do not take it for a member: no key is told to it, and people see that.
      await waitFor(async () => (await ana.people()).some((p) => p.name === "Outsider"), "it is in the roster");
      assert.equal((await seal(ana)).members.length, 1);
      await ana.page.getByText("Without keys of their own, neither seen nor heard: Outsider").waitFor();
      await ana.shot("e2ee-outsider.png");
    } finally {
      await eve.close();
    }
  });

  test("the same look at a meeting without encryption shows the picture", async () => {
    const open = await Person.open(browser, server.room("open"), "Ola");
    await open.enter();
    assert.equal(await seal(open), null);
    assert.equal(await open.page.getByRole("button", { name: "End-to-end encrypted" }).count(), 0);
    const eve = await Outside.open(browser, server, "Eve");
    await eve.join("open", { e2ee: undefined, caps: {} });
    await waitFor(async () => (await eve.stats()).seen > 60, "frames come");
    const d = decode(dir, "open", await eve.frames("video"));
    console.log(`    ffmpeg, open: ${JSON.stringify(d)}`);
    assert.equal(d.errors, 0);
    assert.ok(d.pictures > 50 && d.shown === d.pictures, "ffmpeg sees red and blue");
    assert.ok((await eve.pictures()).some(redAndBlue), "and so does the browser");
    await eve.close();
    await open.close();
  });

  test("who comes makes a new epoch of keys, who leaves another one with a random key", async () => {
    const place = async (p) => (await seal(p)).place;
    const generation = (s) => s.split(".")[0];
    await agree(ana, bo);
    await waitFor(async () => (await ana.people()).length === 2, "the outsider is gone");
    const [a0, b0, n0] = [await place(ana), await place(bo), (await seal(ana)).number];
    cem = await enter("Cem", "sealed");
    await receives(cem, 2, 2);
    await receives(ana, 2, 2);
    await sees(cem, "Ana");
    await sees(ana, "Cem");
    const all = await agree(ana, bo, cem);
    const [a1, b1] = [await place(ana), await place(bo)];
    console.log(`    keys of Ana and Bo: ${a0}, ${b0}; with Cem: ${a1}, ${b1}`);
    assert.notEqual(a1, a0, "Ana's key changed");
    assert.notEqual(b1, b0, "Bo's key changed");
    assert.notEqual(all[0].number, n0);
    await cem.press("Leave");
    await waitFor(async () => {
      const [x, y] = [await place(ana), await place(bo)];
      return generation(x) !== generation(a1) && generation(y) !== generation(b1);
    }, "a new generation after Cem has left");
    console.log(`    without Cem: ${await place(ana)}, ${await place(bo)}`);
    await receives(bo, 1, 1);
    await sees(bo, "Ana");
    await tile(bo, "Ana").and(bo.page.locator('[data-seal="secure"]')).waitFor();
    const [s] = await agree(ana, bo);
    assert.equal(s.number, n0, "the same two have the same number again");
    await cem.close();
  });

  test("what would need the clear is refused: mixer, recorder, telephones, WHIP, WHEP, clients that cannot", async () => {
    const refused = async (what, answer, code, reason = "e2ee-required") => {
      console.log(`    ${what}: ${answer.error?.code} ${answer.error?.reason} (${answer.error?.message})`);
      assert.deepEqual([answer.error?.code, answer.error?.reason], [code, reason], what);
      assert.ok(answer.error.message, what);
    };
    const x = await Outside.open(browser, server, "Xi");
    const keys = await falseKeys();
    for (const kind of ["recorder", "sip", "rtp", "focus"]) await refused(kind, await x.join("sealed", { kind, e2ee: keys }), 403);
    await refused("no keys", await x.join("sealed", { e2ee: undefined }), 403);
    await refused("no capability", await x.join("sealed", { caps: {} }), 403);
    await refused("a leg of its own by the mixer", await x.join("sealed", { topology: "mixer", e2ee: keys }), 409);
    assert.equal((await x.join("sealed", { e2ee: keys })).error, undefined);
    for (const topology of ["mixer", "hybrid", "translator", "rtcp-terminating-mcu", "mesh"]) await refused(`topology ${topology}`, await x.request("conference.setTopology", { topology }, "sealed"), 409);
    await refused("recording", await x.request("recording.start", {}, "sealed"), 409);
    await refused("switching it off", await x.request("conference.setPolicy", { policy: { e2ee: false } }, "sealed"), 409, "e2ee-fixed");
    await x.close();
    for (const kind of ["whip", "whep"]) {
      const sdp = "v=0\r\no=- 1 1 IN IP4 0.0.0.0\r\ns=-\r\nt=0 0\r\na=group:BUNDLE 0\r\nm=audio 9 UDP/TLS/RTP/SAVPF 111\r\nc=IN IP4 0.0.0.0\r\na=mid:0\r\n" +
        `a=${kind === "whip" ? "sendonly" : "recvonly"}\r\na=rtcp-mux\r\na=ice-ufrag:abcd\r\na=ice-pwd:abcdefghijklmnopqrstuvwx\r\na=setup:actpass\r\na=fingerprint:sha-256 ${Array(32).fill("AB").join(":")}\r\na=rtpmap:111 opus/48000/2\r\n`;
      const res = await fetch(`${server.base}/${kind}/sealed`, { method: "POST", headers: { "Content-Type": "application/sdp" }, body: sdp });
      const text = await res.text();
      console.log(`    ${kind}: ${res.status} ${text.slice(0, 160)}`);
      assert.equal(res.status, 403, kind);
      assert.match(text, /e2ee-required/);
    }
    // Nothing of that disturbed the call; and its owner is offered none of it.
    await receives(ana, 1, 1);
    await ana.page.getByRole("button", { name: /^People/ }).click();
    const offered = await ana.page.getByLabel("How media flows").locator("option").allTextContents();
    assert.deepEqual(offered, ["Automatic", "Forwarding", "Whoever speaks"]);
    assert.equal(await ana.page.getByRole("button", { name: "Start recording" }).count(), 0);
  });

  test("a server that swaps an identity key changes the safety number", async () => {
    const mallory = await falseKeys();
    const honest = (await agree(ana, bo))[0];
    await bo.press("Leave");
    await bo.close();
    // The server shows Bo, instead of Ana's keys, its own, well signed by an identity of its own.
    let mine;
    const said = (m) => (mine ??= JSON.parse(m).params?.e2ee?.key);
    bo = await lied("Bo", "sealed", (o) => (typeof o.identity === "string" && typeof o.sig === "string" && o.key !== mine ? { ...mallory } : undefined), { said });
    await bo.enter();
    await waitFor(async () => (await seal(bo))?.members.some((m) => m.key === mallory.key), "Bo is shown the false keys");
    const [a, b] = await waitFor(async () => {
      const [x, y] = [await seal(ana), await seal(bo)];
      return x.members.length === 1 && x.number !== "" && y.number !== "" && [x, y];
    }, "both have a number");
    console.log(`    Ana: ${a.number}\n    Bo:  ${b.number}`);
    assert.notEqual(a.number, b.number, "the numbers differ");
    assert.notEqual(a.number, honest.number, "a fresh profile has a fresh identity");
    assert.equal(b.members[0].identity, mallory.identity);
    // And since the server has not Ana's key, Bo is shown nothing of her.
    await tile(bo, "Ana").and(bo.page.locator('[data-seal="failed"], [data-seal="waiting"]')).waitFor();
    await bo.page.locator(".seal-cover").first().waitFor();
    await bo.shot("e2ee-swapped.png");
    noErrors(ana);
    await ana.close();
    await bo.close();
  });

  test("a client fails closed: where the server does not encrypt, and where it sends people to one another", async () => {
    const down = await lied("Dan", "sealed2", (o) => {
      if (typeof o.part !== "string" || typeof o.ms !== "string") return undefined;
      const { e2ee: _, ...rest } = o;
      return rest;
    }, { scripts: [keepConnections] });
    await down.knock();
    await down.page.getByText("This meeting is not end-to-end encrypted").waitFor();
    assert.equal(await down.page.evaluate(() => window.__pcs.length), 0, "no connection was made");
    await down.shot("e2ee-missing.png");
    await down.close();
    // The same when the meeting runs without already.
    const first = await Person.open(browser, server.room("plain"), "Ola");
    await first.enter();
    const second = await Person.open(browser, url("plain"), "Dan", {}, keepConnections);
    await second.knock();
    await second.page.getByText("This meeting is not end-to-end encrypted").waitFor();
    assert.equal(await second.page.evaluate(() => window.__pcs.length), 0);
    await Promise.all([first.close(), second.close()]);
    // "Talk to one another directly": there would be no transforms on that way.
    const eli = await enter("Eli", "direct");
    const fay = await lied("Fay", "direct", (o) => (o.manner === "sfu" && o.topology ? { ...o, manner: "direct", peers: [{ part: "part_x", dev: "dev_x", offer: true }] } : undefined), { scripts: [keepConnections] });
    await fay.enter();
    await receives(fay, 1, 1);
    assert.deepEqual((await flow(fay)).peers, []);
    assert.equal(await fay.page.evaluate(() => window.__pcs.length), 1, "the server's connection alone");
    await Promise.all([eli.close(), fay.close()]);
  });

  test("whoever speaks is shown in one section, and breakout rooms are encrypted too", async () => {
    const gil = await enter("Gil", "rooms");
    const hal = await enter("Hal", "rooms");
    const secure = (p) => waitFor(async () => {
      const s = await seal(p);
      const kinds = new Set(s.states.filter((x) => x.state === "secure").map((x) => x.kind));
      if (kinds.size === 2 && s.states.every((x) => x.state === "secure" || x.state === "none")) return s; // none: a slot that nobody is in
      throw new Error(JSON.stringify(s?.states));
    }, `all that ${p.name} gets is decrypted`);
    await receives(hal, 1, 1);
    await gil.page.getByRole("button", { name: /^People/ }).click();
    await gil.page.getByLabel("How media flows").selectOption({ label: "Whoever speaks" });
    await waitFor(async () => (await flow(hal)).manner === "switch", "Hal is served by switching");
    await waitFor(async () => (await flow(hal)).remote.some((x) => x.startsWith("slot:")), "Hal gets slots");
    await receives(hal, 1, 1);
    await secure(hal);
    await hal.page.locator('.tile[data-kind="slot"] [data-seal="secure"]').waitFor();
    await gil.page.getByLabel("How media flows").selectOption({ label: "Automatic" });
    await waitFor(async () => (await flow(hal)).manner === "sfu", "Hal is served by forwarding again");
    const [main] = await agree(gil, hal);
    await gil.press("Breakout rooms");
    const dialog = gil.page.getByRole("dialog", { name: "Breakout rooms" });
    await dialog.getByLabel("Room of Hal").selectOption({ label: "Room 1" });
    await dialog.getByRole("button", { name: "Open rooms" }).click();
    await hal.page.getByText("You are in Room 1").waitFor();
    await waitFor(async () => (await seal(hal))?.members.length === 0, "Hal is alone with new keys");
    await dialog.getByRole("button", { name: "Go to Room 1" }).click();
    await gil.page.getByText("You are in Room 1").first().waitFor();
    await receives(gil, 1, 1);
    await sees(gil, "Hal");
    const [inside] = await agree(gil, hal);
    assert.equal(inside.number, main.number, "the same two have the same number");
    assert.notEqual(inside.self.key, main.self.key, "and other session keys");
    await gil.shot("e2ee-breakout.png");
    await Promise.all([gil.close(), hal.close()]);
  });

  test("layers are chosen blind: a narrow way brings the lower one, a wide one the higher", async () => {
    const relay = await Relay.start({ target: server.media });
    const sim = await Person.open(browser, `${url("layers")}&simulcast`, "Sim");
    try {
      await sim.enter();
      const far = await enter("Far", "layers", through(relay));
      await receives(far, 1, 1);
      const picture = async () => (await far.stats()).inbound.find((s) => s.kind === "video");
      const width = (ok, what) => waitFor(async () => {
        const [a, b] = [await picture(), await new Promise((r) => setTimeout(r, 1_000)).then(picture)];
        if (ok(b.frameWidth) && b.framesDecoded > a.framesDecoded) return b;
        throw new Error(JSON.stringify(b));
      }, what, 45_000);
      const before = await width((w) => w >= 320, "a higher layer");
      await relay.order("down rate=250k queue-time=300ms");
      const narrow = await width((w) => w < before.frameWidth, "a lower layer in 250 kbit/s");
      await relay.order("down rate=0");
      const wide = await width((w) => w > narrow.frameWidth, "a higher layer again");
      console.log(`    width ${before.frameWidth}, narrow ${narrow.frameWidth}, wide again ${wide.frameWidth}; key frames ${wide.keyFramesDecoded}; ${JSON.stringify((await seal(far)).counts)}`);
      const rids = (await sim.stats()).outbound.filter((s) => s.rid && s.framesEncoded > 0);
      assert.ok(rids.length >= 2, "several encodings are sent");
      assert.equal((await seal(far)).states.every((s) => s.state === "secure"), true);
      noErrors(sim, far);
      await far.close();
    } finally {
      await sim.close();
      await relay.stop();
    }
  });

  test("an older way of transforms works too; a browser without any is told", async () => {
    const old = await enter("Olga", "older", () => delete window.RTCRtpScriptTransform);
    const now = await enter("Nina", "older");
    for (const p of [old, now]) await receives(p, 1, 1);
    await sees(old, "Nina");
    await sees(now, "Olga");
    await agree(old, now);
    const none = () => {
      delete window.RTCRtpScriptTransform;
      delete RTCRtpSender.prototype.createEncodedStreams;
      delete RTCRtpReceiver.prototype.createEncodedStreams;
    };
    const cannot = await Person.open(browser, url("older"), "Ray", {}, none);
    await cannot.page.getByRole("alert").getByText(/This browser cannot encrypt end to end/).waitFor();
    assert.ok(await cannot.page.getByRole("button", { name: "Join" }).isDisabled());
    // By a link that does not say it, the server tells before; and where it does not, it refuses, and the page says why.
    await cannot.page.goto(server.room("older"));
    await cannot.page.getByRole("alert").getByText(/This browser cannot encrypt end to end/).waitFor();
    await cannot.page.route("**/status", (r) => r.fulfill({ status: 404 }));
    await cannot.page.goto(server.room("older"));
    await cannot.knock();
    await cannot.page.getByText("This meeting is end-to-end encrypted, and this device cannot take part").waitFor();
    await cannot.shot("e2ee-cannot.png");
    await cannot.close();
    noErrors(old, now);
    await Promise.all([old.close(), now.close()]);
  });
});
