import { expect, test } from "vitest";
import { Arrivals } from "./arrivals";
import { receiverStats } from "./receiver-stats";

const report = (...list: Record<string, unknown>[]) => new Map(list.map((s, i) => [String(i), s]));

/** A receiver that has lost its SSRC, as Chromium does when nothing names it, and its connection. */
function lost(frames: () => number) {
  const receiver = { track: { id: "t1" }, getStats: async () => report({ type: "transport" }) } as unknown as RTCRtpReceiver;
  const inbound = (id: string, n: number) => ({ type: "inbound-rtp", kind: "video", trackIdentifier: id, framesDecoded: n });
  const pc = { getStats: async () => report({ type: "codec" }, inbound("t0", 900), inbound("t1", frames())) } as unknown as RTCPeerConnection;
  return { receiver, pc };
}

test("what the receiver does not say, its connection does, of that receiver alone", async () => {
  const { receiver, pc } = lost(() => 7);
  const list = await receiverStats(receiver, pc);
  expect(list.filter((s) => s["type"] === "inbound-rtp").map((s) => s["framesDecoded"])).toEqual([7]);
  expect(list.some((s) => s["type"] === "codec")).toBe(true);
});

test("a picture under an SSRC that nothing names has arrived, also when it counts from nothing", async () => {
  let frames = 50;
  const { receiver, pc } = lost(() => frames);
  const arrivals = new Arrivals();
  await arrivals.look(receiver, "slot:1", pc);
  expect(arrivals.flows(receiver, "slot:1")).toBe(false);
  frames = 2;
  await arrivals.look(receiver, "slot:1", pc);
  expect(arrivals.flows(receiver, "slot:1")).toBe(false);
  frames = 4;
  await arrivals.look(receiver, "slot:1", pc);
  expect(arrivals.flows(receiver, "slot:1")).toBe(true);
});
