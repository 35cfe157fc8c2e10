import { describe, expect, test, vi } from "vitest";
import { CallStats, KEEP, linkCount, Series, streamCount, type ConnectionReport, type LinkCount, type StatsReport, type StreamCount } from "./stats";
import { StatsWatch } from "./stats-watch";

const link = (at: number, more: Partial<LinkCount> = {}): LinkCount => ({ at, sent: 0, received: 0, rttMs: null, available: null, ...more });
const video = (at: number, more: Partial<StreamCount> = {}): StreamCount => ({
  id: "trk_1", mid: "2", kind: "video", at, bytes: 0, packets: 0, lost: 0, frames: 0, freezes: 0, jitterMs: 5, width: 1280, height: 720, codec: "VP8", ...more,
});
const own = (more: Partial<ConnectionReport> = {}): ConnectionReport => ({
  conn: "c", part: "p", user: "u", device: "d", own: true, rttMs: 40, rateIn: 0, goodput: 0, estimateOut: 0, scoreIn: 4.2, scoreOut: 3.1, ...more,
});
const report = (...connections: ConnectionReport[]): StatsReport => ({ at: "", intervalMs: 1000, scope: "own", connections });

describe("a series", () => {
  test("keeps the latest points, and gaps", () => {
    const s = new Series(3);
    for (const [i, v] of [5, 9, null, NaN, 4].entries()) s.add(i, v);
    expect(s.points).toEqual([{ at: 2, value: null }, { at: 3, value: null }, { at: 4, value: 4 }]);
    expect([s.last, s.most]).toEqual([4, 4]);
    expect(new Series().most).toBe(null);
  });
  test("is bounded however long the call", () => {
    const s = new Series();
    for (let i = 0; i < 10 * KEEP; i++) s.add(i, i);
    expect(s.points.length).toBe(KEEP);
  });
});

describe("figures of a call", () => {
  test("rates are of the time between two measurements", () => {
    const c = new CallStats();
    c.takeLocal(link(0, { sent: 1000, received: 500 }), [video(0, { bytes: 10_000, packets: 100, lost: 2, frames: 10 })]);
    expect(c.received.points).toEqual([]);
    c.takeLocal(link(2000, { sent: 26_000, received: 250_500, rttMs: 35 }), [video(2000, { bytes: 260_000, packets: 290, lost: 12, frames: 70, freezes: 1 })]);
    expect([c.sent.last, c.received.last, c.rtt.last]).toEqual([100_000, 1_000_000, 35]);
    const s = c.streams.get("trk_1")!;
    expect([s.rate.last, s.loss.last, s.fps.last, s.height.last, s.freezes, s.codec]).toEqual([1_000_000, 0.05, 30, 720, 1, "VP8"]);
    expect(c.lossDown.last).toBe(0.05);
  });
  test("a picture that stands has no height, one that is gone no figures", () => {
    const c = new CallStats();
    c.takeLocal(link(0), [video(0)]);
    c.takeLocal(link(1000), [video(1000)]);
    expect(c.streams.get("trk_1")!.height.last).toBe(null);
    c.takeLocal(link(2000), []);
    expect(c.streams.size).toBe(0);
  });
  test("counters that begin anew make no rates below nothing", () => {
    const c = new CallStats();
    c.takeLocal(link(0, { received: 9_000 }), [video(0, { bytes: 9_000 })]);
    c.takeLocal(link(1000, { received: 100 }), [video(1000, { bytes: 100 })]);
    expect(c.received.points).toEqual([]);
    expect(c.streams.get("trk_1")!.rate.points).toEqual([]);
  });
  test("the server tells layers, the estimate and what is lost on the way to it", () => {
    const c = new CallStats();
    const out = { track: "other", mid: "2", kind: "video", source: "camera", state: "flowing", bitrate: 1, loss: 0, jitterMs: 0, encoding: 1, spatial: 0, temporal: 2, encodings: 3, score: 4 };
    const up = (loss: number, live = true) => ({ track: "t", kind: "video", source: "camera", encoding: 0, live, bitrate: 1, loss, jitterMs: 0, score: 4 });
    c.takeReport(report(own({ own: false }), own({ control: { target: 900_000, queueMs: 0, pathLoss: 0 }, in: [up(0.02), up(0.9, false)], out: [out] })), 0);
    c.takeLocal(link(100), [video(100)]);
    expect([c.estimate.last, c.lossUp.last, c.scoreIn, c.scoreOut]).toEqual([900_000, 0.02, 4.2, 3.1]);
    expect(c.streams.get("trk_1")!.server?.encoding).toBe(1); // by section: a slot's track is another one
  });
  test("what the server told long ago is not shown as if it were now", () => {
    const c = new CallStats();
    c.takeReport(report(own({ estimateOut: 5 })), 0);
    c.takeLocal(link(60_000), [video(60_000)]);
    expect([c.estimate.last, c.scoreOut, c.streams.get("trk_1")!.server]).toEqual([null, 0, null]);
  });
});

describe("what browsers report", () => {
  const inbound = { type: "inbound-rtp", codecId: "c", mid: "1", bytesReceived: 9, packetsReceived: 3, packetsLost: 1, framesDecoded: 2, frameWidth: 640, frameHeight: 360, jitter: 0.012, freezeCount: 4 };
  test("a stream", () => {
    expect(streamCount("t", "video", [{ type: "codec", id: "c", mimeType: "video/AV1" }, inbound], 7)).toEqual({
      id: "t", mid: "1", kind: "video", at: 7, bytes: 9, packets: 3, lost: 1, frames: 2, freezes: 4, jitterMs: 12, width: 640, height: 360, codec: "AV1",
    });
    expect(streamCount("t", "video", [{ type: "codec" }], 7)).toBe(null);
  });
  test("connections together", () => {
    const pair = { type: "candidate-pair", state: "succeeded", nominated: true, currentRoundTripTime: 0.03, availableOutgoingBitrate: 500_000 };
    const other = { ...pair, currentRoundTripTime: 0.08 };
    expect(linkCount([[inbound, pair, { type: "outbound-rtp", bytesSent: 40 }, { ...pair, state: "failed", currentRoundTripTime: 9 }], [inbound, other]], 5)).toEqual({
      at: 5, sent: 40, received: 18, rttMs: 80, available: 1_000_000,
    });
  });
});

describe("watching", () => {
  function house() {
    const asked: unknown[] = [];
    let conf = "conf_1";
    const session = { subscribe: async (...a: unknown[]) => void asked.push(a) };
    const changed = vi.fn();
    const pc = { connectionState: "connected", getStats: async () => new Map([["1", { type: "outbound-rtp", bytesSent: 5 }]]) };
    const watch = new StatsWatch({ session: session as never, conf: () => conf, connections: () => [pc as never], remote: () => new Map(), changed });
    return { asked, watch, changed, move: (to: string) => (conf = to) };
  }
  test("asks the server when somebody looks, and says when nobody does", async () => {
    const h = house();
    expect(h.watch.figures).toBe(null);
    h.watch.watch(true);
    h.watch.watch(true);
    await vi.waitFor(() => expect(h.changed).toHaveBeenCalledTimes(1));
    h.watch.receive({ kind: "notify", package: "stats", state: "full", body: report(own()) });
    h.watch.receive({ kind: "notify", package: "stats", state: "full", body: "nonsense" });
    h.move("conf_2");
    h.watch.entered();
    h.watch.watch(false);
    expect(h.asked).toEqual([
      ["conf_1", "stats", { filter: { intervalMs: 1000 } }], ["conf_2", "stats", { filter: { intervalMs: 1000 } }], ["conf_2", "stats", { expiresS: 0 }],
    ]);
    h.watch.entered();
    expect(h.asked.length).toBe(3);
    h.watch.close();
  });
});
