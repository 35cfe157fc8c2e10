// The composed picture as a browser gets it: four fake cameras and one that sends
// H.264, in a grid with names; kept as test/results/composed.png.

import assert from "node:assert/strict";
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { after, before, describe, test } from "node:test";
import { launchChromium } from "../lib/browsers.mjs";
import { Person, results } from "../lib/people.mjs";
import { finish, startServer, waitFor } from "../lib/server.mjs";

const people = [
  { name: "Ana", colour: [210, 30, 30] },
  { name: "Bo", colour: [30, 60, 220] },
  { name: "Cem", colour: [220, 200, 30] },
  { name: "Dana", colour: [200, 40, 200] },
  { name: "Emil", colour: [30, 200, 200], h264: true },
];

/** For addInitScript: the fake camera behind coloured glass, so that each is known by its colour. */
const glass = ([r, g, b], h264) => {
  const md = navigator.mediaDevices;
  const native = md?.getUserMedia?.bind(md);
  if (native) {
    md.getUserMedia = async (c) => {
      const stream = await native({ ...c, video: c.video ? { ...(c.video === true ? {} : c.video), width: 320, height: 240, frameRate: 15 } : c.video });
      const camera = stream.getVideoTracks()[0];
      if (!camera) return stream;
      const video = Object.assign(document.createElement("video"), { muted: true, srcObject: new MediaStream([camera]) });
      await video.play();
      const canvas = Object.assign(document.createElement("canvas"), { width: 320, height: 180 });
      const ctx = canvas.getContext("2d");
      setInterval(() => {
        ctx.globalAlpha = 1;
        ctx.drawImage(video, 0, 0, 320, 180);
        ctx.globalAlpha = 0.85;
        ctx.fillStyle = `rgb(${r}, ${g}, ${b})`;
        ctx.fillRect(0, 0, 320, 180);
      }, 100);
      return new MediaStream([...canvas.captureStream(10).getVideoTracks(), ...stream.getAudioTracks()]);
    };
  }
  if (!h264) return;
  const all = RTCRtpReceiver.getCapabilities.bind(RTCRtpReceiver);
  RTCRtpReceiver.getCapabilities = (kind) => (kind === "video" ? { ...all(kind), codecs: all(kind).codecs.filter((c) => /h264/i.test(c.mimeType)) } : all(kind));
};

/** Runs in the page: where each colour is in the composed picture, and the picture itself. */
const regions = async (colours) => {
  const v = document.querySelector('.tile[data-kind="mix"] video');
  if (!v?.videoWidth) return null;
  const canvas = Object.assign(document.createElement("canvas"), { width: v.videoWidth, height: v.videoHeight });
  const ctx = canvas.getContext("2d");
  ctx.drawImage(v, 0, 0);
  const { data, width, height } = ctx.getImageData(0, 0, canvas.width, canvas.height);
  const found = colours.map(() => ({ n: 0, xs: [], ys: [] }));
  for (let y = 0; y < height; y += 2) {
    for (let x = 0; x < width; x += 2) {
      const at = 4 * (y * width + x);
      const i = colours.findIndex((c) => Math.hypot(c[0] - data[at], c[1] - data[at + 1], c[2] - data[at + 2]) < 70);
      if (i < 0) continue;
      const f = found[i];
      f.n += 4;
      f.xs.push(x);
      f.ys.push(y);
    }
  }
  // Its edges, but for the odd pixel that the codec put elsewhere.
  const edges = (list) => {
    list.sort((a, b) => a - b);
    return [list[Math.floor(0.005 * list.length)] ?? 0, (list[Math.floor(0.995 * list.length)] ?? 0) + 2];
  };
  for (const f of found) {
    [f.x0, f.x1] = edges(f.xs);
    [f.y0, f.y1] = edges(f.ys);
    delete f.xs;
    delete f.ys;
  }
  // Letters: light pixels in the lower left of a tile.
  for (const f of found) {
    f.letters = 0;
    for (let y = Math.round(f.y1 - 0.2 * (f.y1 - f.y0)); y < f.y1; y++) {
      for (let x = f.x0; x < (f.x0 + f.x1) / 2; x++) {
        const at = 4 * (y * width + x);
        if (Math.min(data[at], data[at + 1], data[at + 2]) > 175) f.letters++;
      }
    }
  }
  return { width, height, found, png: canvas.toDataURL("image/png") };
};

describe("the composed picture", { timeout: 180_000 }, () => {
  let server, browser;

  before(async () => {
    server = await startServer();
    browser = await launchChromium();
  }, { timeout: 60_000 });

  after(() => finish(server, { browser }));

  test("five people in a grid, each at their place, in their colour, with their name", async () => {
    const here = [];
    for (const p of people) {
      const script = { content: `(${glass})(${JSON.stringify(p.colour)}, ${p.h264 ?? false})` };
      const one = await Person.open(browser, server.room("grid"), p.name, {}, script);
      await one.enter();
      here.push(one);
      if (here.length > 1) continue;
      await one.page.getByRole("button", { name: /^People/ }).click();
      await one.page.getByLabel("How media flows").selectOption({ label: "Mixed by the server" });
      await one.press("Close");
    }
    const [ana, , , , emil] = here;
    const colours = people.map((p) => p.colour);
    const seen = await waitFor(async () => {
      const r = await ana.page.evaluate(regions, colours);
      if (!r) throw new Error("no composed picture yet");
      const share = r.found.map((f) => f.n / (r.width * r.height));
      const size = r.found.map((f) => (f.x1 - f.x0) * (f.y1 - f.y0));
      if (share.every((s) => s > 0.06) && Math.max(...size) < 1.3 * Math.min(...size)) return r; // nothing moves any more
      writeFileSync(join(results, "composed.png"), Buffer.from(r.png.split(",")[1], "base64"));
      throw new Error(`shares of the picture: ${share.map((s) => s.toFixed(3))}, sizes: ${size}`);
    }, "all five are in the picture", 60_000, 500);
    writeFileSync(join(results, "composed.png"), Buffer.from(seen.png.split(",")[1], "base64"));
    console.log(`    ${seen.width}x${seen.height}: ${seen.found.map((f, i) => `${people[i].name} ${f.x0},${f.y0}–${f.x1},${f.y1}`).join("; ")}`);
    const codec = (await emil.stats()).outbound.find((s) => s.kind === "video").codec;
    assert.match(codec, /H264/i);
    // In reading order as they came, none over another, all of a size, and each with letters in its corner.
    const centre = seen.found.map((f) => ({ x: (f.x0 + f.x1) / 2, y: (f.y0 + f.y1) / 2 }));
    const order = [0, 1, 2, 3, 4].sort((a, b) => (Math.abs(centre[a].y - centre[b].y) > seen.height / 8 ? centre[a].y - centre[b].y : centre[a].x - centre[b].x));
    assert.deepEqual(order, [0, 1, 2, 3, 4]);
    for (const [i, a] of seen.found.entries()) {
      for (const b of seen.found.slice(i + 1)) assert.ok(a.x1 <= b.x0 + 8 || b.x1 <= a.x0 + 8 || a.y1 <= b.y0 + 8 || b.y1 <= a.y0 + 8, "tiles lie beside each other");
      assert.ok(a.letters > 8, `${people[i].name}'s name: ${a.letters} light pixels`);
    }
  });
});
