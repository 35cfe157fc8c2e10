// Pictures with motion for a fake camera, what a page receives over time, and
// drawings of it.

import { execFileSync } from "node:child_process";
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { results } from "./people.mjs";

/** A y4m file for --use-file-for-fake-video-capture whose every picture differs: an encoder needs all bits it may have. */
export function motionFile(file, { width = 1280, height = 720, rate = 20, seconds = 3 } = {}) {
  execFileSync("ffmpeg", ["-v", "error", "-y", "-f", "lavfi", "-i", `testsrc2=size=${width}x${height}:rate=${rate}:duration=${seconds}`, "-vf", "noise=alls=12:allf=t,format=yuv420p", file], { stdio: "inherit" });
  return file;
}

/**
 * Runs in the page: samples what is received each 100 ms, and notes every frame
 * that is shown of one person, or of the only picture there is.
 */
export const sampler = async (user) => {
  const find = () => document.querySelector(user ? `.tile[data-user="${CSS.escape(user)}"][data-kind="person"] video` : "video");
  const out = { samples: [], frames: [] };
  const watched = new WeakSet();
  const follow = (el) => {
    if (!el || watched.has(el)) return;
    watched.add(el);
    const frame = (_, m) => {
      out.frames.push([performance.timeOrigin + performance.now(), m.width, m.height]);
      if (el.isConnected) el.requestVideoFrameCallback(frame);
    };
    el.requestVideoFrameCallback(frame);
  };
  const fields = ["bytesReceived", "packetsReceived", "packetsLost", "framesDecoded", "keyFramesDecoded", "framesDropped", "frameWidth", "frameHeight", "freezeCount", "totalFreezesDuration", "nackCount", "pliCount", "jitterBufferDelay", "jitterBufferEmittedCount", "retransmittedPacketsReceived", "concealedSamples", "totalSamplesReceived"];
  let busy = false;
  const sample = async () => {
    follow(find());
    if (busy) return;
    busy = true;
    try {
      const s = { at: performance.timeOrigin + performance.now(), video: {}, audio: {} };
      for (const pc of window.__pcs ?? []) {
        if (pc.connectionState === "closed") continue;
        for (const r of (await pc.getStats()).values()) {
          if (r.type !== "inbound-rtp" || !s[r.kind]) continue;
          for (const f of fields) if (r[f] !== undefined) s[r.kind][f] = (f.startsWith("frameW") || f.startsWith("frameH") ? 0 : (s[r.kind][f] ?? 0)) + r[f];
        }
      }
      out.samples.push(s);
    } finally {
      busy = false;
    }
  };
  follow(find());
  setInterval(() => void sample(), 100);
  window.__record = { take: () => out };
};

/** For addInitScript: keeps the connections, for Watch. */
export const keepConnections = () => {
  window.__pcs = [];
  const Native = window.RTCPeerConnection;
  window.RTCPeerConnection = class extends Native {
    constructor(...args) {
      super(...args);
      window.__pcs.push(this);
    }
  };
};

/** For addInitScript: who only watches has no camera and is silent; what is watched is large. */
export const watcher = () => {
  localStorage.setItem("parley.pref.camOn", "0");
  localStorage.setItem("parley.pref.micOn", "0");
  localStorage.setItem("parley.pref.layout", "speaker");
};

/** In the page of who sends: a busy machine must not take the size that a test is about. */
export const keepSize = async () => {
  for (const pc of window.__pcs) {
    for (const s of pc.getSenders()) {
      if (s.track?.kind !== "video" || pc.connectionState !== "connected") continue;
      const p = s.getParameters();
      p.degradationPreference = "maintain-resolution";
      await s.setParameters(p);
    }
  }
};

/** What one person gets of another one's camera over time; instants are of the wall clock. */
export class Watch {
  static async of(person, name) {
    const user = (await person.participants()).find((p) => p.name === name).user;
    await person.page.evaluate(sampler, user);
    const w = new Watch();
    w.person = person;
    return w;
  }

  take() {
    return this.person.page.evaluate(() => window.__record.take());
  }
}

/** Rates in kbit/s between samples, over windows of about ms. */
export function rates(samples, ms = 500) {
  const out = [];
  let from = samples[0];
  for (const s of samples) {
    if (s.at - from.at < ms) continue;
    const of = (kind) => (8 * ((s[kind].bytesReceived ?? 0) - (from[kind].bytesReceived ?? 0))) / (s.at - from.at);
    out.push({ at: s.at, video: of("video"), audio: of("audio") });
    from = s;
  }
  return out;
}

/** The longest time between two shown frames within [from, to], ms. */
export function longestGap(frames, from, to) {
  let last = from;
  let worst = 0;
  for (const [at] of frames) {
    if (at < from || at > to) continue;
    worst = Math.max(worst, at - last);
    last = at;
  }
  return Math.round(Math.max(worst, to - last));
}

/** The change of a counter over [from, to]. */
export function delta(samples, kind, field, from, to) {
  const inside = samples.filter((s) => s.at >= from && s.at <= to);
  return inside.length < 2 ? 0 : (inside.at(-1)[kind][field] ?? 0) - (inside[0][kind][field] ?? 0);
}

/** Writes test/results/NAME.json and NAME.svg: lines over seconds, one panel each. */
export function draw(name, title, panels, marks = [], data) {
  if (data) writeFileSync(join(results, `${name}.json`), JSON.stringify(data, null, 1));
  const W = 900, H = 180, L = 60, T = 36;
  const all = panels.flatMap((p) => p.lines.flatMap((l) => l.points.map((q) => q[0])));
  const x0 = Math.min(...all), x1 = Math.max(...all);
  const x = (v) => L + ((v - x0) / (x1 - x0 || 1)) * (W - L - 20);
  const colours = ["#1f6feb", "#d1242f", "#1a7f37", "#9a6700", "#8250df", "#57606a"];
  const esc = (s) => String(s).replace(/[&<]/g, (c) => (c === "&" ? "&amp;" : "&lt;"));
  let out = "";
  panels.forEach((p, k) => {
    const top = T + k * (H + 34), max = p.max ?? Math.max(1, ...p.lines.flatMap((l) => l.points.map((q) => q[1])));
    const y = (v) => top + H - (Math.min(v, max) / max) * H;
    out += `<text x="${L}" y="${top - 6}" font-weight="600">${esc(p.title)}</text><rect x="${L}" y="${top}" width="${W - L - 20}" height="${H}" fill="none" stroke="#d0d7de"/>`;
    for (let i = 0; i <= 4; i++) out += `<text x="${L - 6}" y="${y((max * i) / 4) + 4}" text-anchor="end">${Math.round((max * i) / 4)}</text><path d="M${L} ${y((max * i) / 4)}H${W - 20}" stroke="#eaeef2"/>`;
    for (let s = Math.ceil(x0 / 5) * 5; s <= x1; s += 5) out += `<text x="${x(s)}" y="${top + H + 14}" text-anchor="middle">${s}</text>`;
    for (const m of marks) out += `<path d="M${x(m.at)} ${top}v${H}" stroke="#57606a" stroke-dasharray="4 3"/>${k === 0 ? `<text x="${x(m.at) + 3}" y="${top + 12}" fill="#57606a">${esc(m.text)}</text>` : ""}`;
    p.lines.forEach((l, i) => {
      const c = colours[i % colours.length];
      const d = l.points.map((q, n) => `${n ? (l.step ? `H${x(q[0]).toFixed(1)}V${y(q[1]).toFixed(1)}` : `L${x(q[0]).toFixed(1)} ${y(q[1]).toFixed(1)}`) : `M${x(q[0]).toFixed(1)} ${y(q[1]).toFixed(1)}`}`).join("");
      out += `<path d="${d}" fill="none" stroke="${c}" stroke-width="1.5"/><text x="${W - 26}" y="${top + 14 + 14 * i}" text-anchor="end" fill="${c}">${esc(l.name)}</text>`;
    });
  });
  const height = T + panels.length * (H + 34) + 6;
  writeFileSync(join(results, `${name}.svg`), `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 ${W} ${height}" font-family="sans-serif" font-size="11"><rect width="100%" height="100%" fill="#fff"/><text x="${L}" y="16" font-size="14" font-weight="600">${esc(title)}</text>${out}</svg>\n`);
}

/** For addInitScript: keeps the connections, and notes in __arrivals when sound arrives, before any buffer. */
export const arrivals = () => {
  window.__pcs = [];
  window.__arrivals = [];
  const Native = window.RTCPeerConnection;
  window.RTCPeerConnection = class extends Native {
    constructor(config, ...rest) {
      super({ ...config, encodedInsertableStreams: true }, ...rest);
      window.__pcs.push(this);
      this.addEventListener("track", ({ receiver, track }) => {
        if (receiver.__tapped) return;
        receiver.__tapped = true;
        const { readable, writable } = receiver.createEncodedStreams();
        const note = (frame, to) => {
          if (track.kind === "audio") window.__arrivals.push(performance.timeOrigin + performance.now());
          to.enqueue(frame);
        };
        void readable.pipeThrough(new TransformStream({ transform: note })).pipeTo(writable);
      });
    }
  };
};

/** Times between neighbours. */
export const gapsBetween = (at) => at.slice(1).map((t, i) => t - at[i]);

/** The q-quantile of numbers, by nearest rank. */
export const quantile = (list, q) => [...list].sort((a, b) => a - b)[Math.max(0, Math.ceil(q * list.length) - 1)];

/** All packets a person got so far, and those that are missing. */
export const lossOf = (person) =>
  person.page.evaluate(async () => {
    const sum = { packets: 0, lost: 0 };
    for (const pc of window.__pcs) {
      if (pc.connectionState === "closed") continue;
      for (const r of (await pc.getStats()).values()) {
        if (r.type !== "inbound-rtp") continue;
        sum.packets += r.packetsReceived ?? 0;
        sum.lost += r.packetsLost ?? 0;
      }
    }
    return sum;
  });

export const deltaOf = (a, b) => Object.fromEntries(Object.keys(a).map((k) => [k, b[k] - a[k]]));
