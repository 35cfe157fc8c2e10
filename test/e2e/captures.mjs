// Makes internal/media/layer/testdata/captures anew: what Chromium sends in
// simulcast and SVC, recorded behind SRTP by test/cmd/capture.
//
//   node captures.mjs DIR [name…]

import { execFileSync, spawn } from "node:child_process";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join, resolve } from "node:path";
import { fileURLToPath } from "node:url";
import { launchChromium } from "./lib/browsers.mjs";

const here = dirname(fileURLToPath(import.meta.url));
const [dir, ...only] = process.argv.slice(2);
if (!dir) throw new Error("usage: node captures.mjs DIR [name…]");

const three = (a, b, c) => [
  { rid: "q", scaleResolutionDownBy: 4, maxBitrate: a, scalabilityMode: "L1T3" },
  { rid: "h", scaleResolutionDownBy: 2, maxBitrate: b, scalabilityMode: "L1T3" },
  { rid: "f", scaleResolutionDownBy: 1, maxBitrate: c, scalabilityMode: "L1T3" },
];

// Below 960x540 libwebrtc leaves the third layer out.
const size = { width: 960, height: 540 };
// The repairs' stream is recorded with simulcast only: in SVC it is mostly padding.
const simulcast = { ...size, millis: 5_700, rtx: true, start: 600, encodings: three(50_000, 110_000, 280_000) };
const svc = (scalabilityMode, maxBitrate = 700_000) => ({ ...size, millis: 3_900, start: 900, encodings: [{ scalabilityMode, maxBitrate }] });

const wanted = [
  { name: "vp8-simulcast", mime: "video/VP8", ...simulcast },
  { name: "vp8-simulcast-dd", mime: "video/VP8", ...simulcast, dependency: true },
  { name: "vp9-l3t3-key", mime: "video/VP9", profile: "profile-id=0", ...svc("L3T3_KEY") },
  { name: "vp9-l3t3", mime: "video/VP9", profile: "profile-id=0", ...svc("L3T3") },
  { name: "vp9-l3t3-key-dd", mime: "video/VP9", profile: "profile-id=0", ...svc("L3T3_KEY"), dependency: true },
  { name: "av1-l2t2", mime: "video/AV1", ...svc("L2T2", 400_000), dependency: true },
  { name: "av1-l3t3", mime: "video/AV1", ...svc("L3T3"), dependency: true },
  { name: "av1-l3t3-key", mime: "video/AV1", ...svc("L3T3_KEY"), dependency: true },
  { name: "av1-l1t3", mime: "video/AV1", ...svc("L1T3", 400_000), dependency: true },
  { name: "h264-simulcast", mime: "video/H264", profile: "packetization-mode=1", ...simulcast },
].filter((w) => !only.length || only.includes(w.name));

const tmp = mkdtempSync(join(tmpdir(), "parley-capture-"));
execFileSync("go", ["build", "-o", join(tmp, "capture"), "./cmd/capture"], { cwd: join(here, ".."), stdio: "inherit" });
const child = spawn(join(tmp, "capture"), ["-dir", resolve(dir)], { stdio: ["ignore", "pipe", "inherit"] });
const browser = await launchChromium(["--force-webrtc-ip-handling-policy=default", "--allow-loopback-in-peer-connection", "--disable-features=WebRtcHideLocalIpsWithMdns"]);
let bad = 0;
try {
  const url = await new Promise((r) => child.stdout.once("data", (d) => r(String(d).trim())));
  for (const w of wanted) {
    const page = await browser.newPage();
    await page.goto(url);
    try {
      const d = await page.evaluate((x) => window.capture(x), w);
      console.log(w.name, JSON.stringify(d.error ?? { streams: d.streams, payloads: d.payloads?.map((p) => p.mime), bytes: d.bytes, sent: d.sent }));
      if (d.error) bad++;
    } catch (err) {
      console.log(w.name, String(err));
      bad++;
    }
    await page.close();
  }
} finally {
  await browser.close();
  child.kill("SIGTERM");
  rmSync(tmp, { recursive: true, force: true });
}
process.exitCode = bad ? 1 : 0;
