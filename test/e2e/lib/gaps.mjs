// Measures what a person hears and sees without a break: the longest silence of
// everything that plays, and the longest time without a new frame of one person.

import assert from "node:assert/strict";
import { writeFileSync } from "node:fs";

export const AUDIO_MS = 300; // the longest silence that a change may bring
export const VIDEO_MS = 1_000; // the longest time without a new picture

/** Prints what was measured over a change, and holds it against the limits. */
export function within(what, g) {
  console.log(`    ${what}: longest silence ${g.silenceMs} ms, longest time without a picture ${g.stillMs} ms (${g.frames} frames)`);
  assert.ok(g.silenceMs <= AUDIO_MS, `${what}: ${g.silenceMs} ms of silence`);
  assert.ok(g.stillMs <= VIDEO_MS, `${what}: ${g.stillMs} ms without a picture`);
}

const RATE = 48_000;

/** A WAV file of a tone whose end fits its beginning, for --use-file-for-fake-audio-capture. */
export function toneFile(file, hz = 440, seconds = 2) {
  const n = RATE * seconds;
  const out = Buffer.alloc(44 + 2 * n);
  out.write("RIFF", 0);
  out.writeUInt32LE(36 + 2 * n, 4);
  out.write("WAVEfmt ", 8);
  out.writeUInt32LE(16, 16);
  out.writeUInt16LE(1, 20);
  out.writeUInt16LE(1, 22);
  out.writeUInt32LE(RATE, 24);
  out.writeUInt32LE(2 * RATE, 28);
  out.writeUInt16LE(2, 32);
  out.writeUInt16LE(16, 34);
  out.write("data", 36);
  out.writeUInt32LE(2 * n, 40);
  for (let i = 0; i < n; i++) out.writeInt16LE(Math.round(12_000 * Math.sin((2 * Math.PI * hz * i) / RATE)), 44 + 2 * i);
  writeFileSync(file, out);
  return file;
}

/**
 * For addInitScript: a microphone as it is, since noise suppression would take a
 * steady tone away, and a small picture, since all persons share this machine.
 */
export const rawCapture = () => {
  const md = navigator.mediaDevices;
  const native = md?.getUserMedia?.bind(md);
  if (!native) return;
  const over = (c, more) => (c ? { ...(c === true ? {} : c), ...more } : c);
  md.getUserMedia = (c) =>
    native({
      audio: over(c?.audio, { echoCancellation: false, noiseSuppression: false, autoGainControl: false }),
      video: over(c?.video, { width: 320, height: 240, frameRate: 20 }),
    });
};

/** Runs in the page: see Gaps. */
const meter = async (user) => {
  const code = `registerProcessor("gap", class extends AudioWorkletProcessor {
    constructor() { super(); this.run = 0; this.worst = 0; this.heard = false; this.port.onmessage = (e) => {
      if (e.data === "reset") { this.run = 0; this.worst = 0; } else this.port.postMessage({ worst: Math.max(this.worst, this.run) / sampleRate * 1000, heard: this.heard }); }; }
    process([input]) {
      let sum = 0, n = 128;
      for (const ch of input ?? []) { for (const x of ch) sum += x * x; n = ch.length; }
      if (Math.sqrt(sum / n) < 0.002) this.run += n; else { this.worst = Math.max(this.worst, this.run); this.run = 0; this.heard = true; }
      return true;
    }
  });`;
  const ctx = new AudioContext({ sampleRate: 48000 });
  await ctx.resume();
  await ctx.audioWorklet.addModule(URL.createObjectURL(new Blob([code], { type: "text/javascript" })));
  const node = new AudioWorkletNode(ctx, "gap", { numberOfInputs: 1, channelCount: 1, channelCountMode: "explicit" });
  const mute = new GainNode(ctx, { gain: 0 });
  node.connect(mute).connect(ctx.destination);
  const sources = new Map();
  const video = { last: performance.now(), worst: 0, frames: 0 };
  const watched = new WeakSet();
  const follow = (el) => {
    if (watched.has(el)) return;
    watched.add(el);
    const frame = () => {
      if (!el.isConnected) return;
      const now = performance.now();
      if (!el.classList.contains("next")) {
        video.worst = Math.max(video.worst, now - video.last);
        video.last = now;
        video.frames++;
      }
      el.requestVideoFrameCallback(frame);
    };
    el.requestVideoFrameCallback(frame);
  };
  setInterval(() => {
    const playing = new Set();
    for (const el of document.querySelectorAll("audio")) {
      const track = el.srcObject?.getAudioTracks()[0];
      if (track && !el.paused) playing.add(track);
    }
    for (const track of playing) {
      if (sources.has(track)) continue;
      const s = new MediaStreamAudioSourceNode(ctx, { mediaStream: new MediaStream([track]) });
      s.connect(node);
      sources.set(track, s);
    }
    for (const [track, s] of sources) {
      if (playing.has(track)) continue;
      s.disconnect();
      sources.delete(track);
    }
    for (const el of document.querySelectorAll(`.tile[data-user="${CSS.escape(user)}"][data-kind="person"] video, .tile[data-kind="mix"] video, .tile[data-kind="slot"] video`)) follow(el);
  }, 5);
  window.__gaps = {
    reset: () => {
      node.port.postMessage("reset");
      video.last = performance.now();
      video.worst = video.frames = 0;
    },
    read: () =>
      new Promise((resolve) => {
        node.port.onmessage = (e) => resolve({ silenceMs: Math.round(e.data.worst), heard: e.data.heard, stillMs: Math.round(Math.max(video.worst, performance.now() - video.last)), frames: video.frames });
        node.port.postMessage("read");
      }),
  };
};

/** Watches what one person gets of another one. The page needs bypassCSP. */
export class Gaps {
  constructor(person) {
    this.person = person;
  }

  /** Watches all sound, and the picture of the user of this name or whatever is composed. */
  static async of(person, name) {
    const user = (await person.participants()).find((p) => p.name === name).user;
    await person.page.evaluate(meter, user);
    return new Gaps(person);
  }

  reset() {
    return this.person.page.evaluate(() => window.__gaps.reset());
  }

  read() {
    return this.person.page.evaluate(() => window.__gaps.read());
  }
}
