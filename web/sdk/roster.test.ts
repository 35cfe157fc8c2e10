import { describe, expect, test } from "vitest";
import { EXT, type ConferenceInfo } from "./info";
import { participants } from "./roster";
import { SpeakerPicker } from "./speakers";
import { figures, grade, inboundSample, outboundSample, pairRtt, settle, worst } from "./quality";

const doc: ConferenceInfo = {
  state: "full", users: { state: "full", user: {
    "guest:b": { state: "full", displayText: "Bob", endpoint: {
      d2: { state: "full", status: "connected", joiningInfo: { when: "2031-01-01T10:00:05Z" }, ext: { [EXT]: { reachability: "suspended" } }, media: {
        trk_1: { type: "audio", status: "recvonly", ext: { [EXT]: { source: "microphone", mutedBy: "self" } } },
        trk_2: { type: "video", status: "sendonly", ext: { [EXT]: { source: "camera" } } },
        "recv-v0": { type: "video", status: "recvonly" } } },
      d9: { state: "full", status: "disconnected" } } },
    "guest:c": { state: "full", displayText: "Cem", endpoint: { d3: { state: "full", status: "connected", joiningInfo: { when: "2031-01-01T10:00:01Z" } } } },
    "guest:z": { state: "full", displayText: "Me", endpoint: { d1: { state: "full", status: "connected", joiningInfo: { when: "2031-01-01T10:00:09Z" } } } },
  } },
};

describe("roster", () => {
  test("self first, then in order of coming; who has gone is not shown", () => {
    const list = participants(doc, { user: "guest:z", device: "d1" });
    expect(list.map((p) => p.name)).toEqual(["Me", "Cem", "Bob"]);
    expect(list[0]!.self).toBe(true);
  });
  test("tracks are the rows with a source, mute and reachability come from our extension", () => {
    const bob = participants(doc, null).find((p) => p.name === "Bob")!;
    expect(bob.reachable).toBe(false);
    expect(bob.tracks.map((t) => [t.id, t.source, t.muted])).toEqual([["trk_1", "microphone", true], ["trk_2", "camera", false]]);
  });
  test("no document, nobody", () => expect(participants(null)).toEqual([]));
});

describe("speaker picker", () => {
  test("holds the floor over a pause, gives it to another after it", () => {
    const p = new SpeakerPicker();
    const at = (now: number, a: number, b: number) => p.feed(now, new Map([["a", a], ["b", b]]));
    expect(at(0, 0, 0)).toBe(null);
    expect(at(100, 0.5, 0)).toBe("a");
    expect(at(400, 0, 0.5)).toBe("a"); // one breath
    expect(at(2000, 0, 0.5)).toBe("b");
    expect(at(9000, 0, 0)).toBe("b"); // silence moves nothing
    expect(p.feed(9100, new Map([["a", 0]]))).toBe(null); // the track is gone
  });
});

describe("quality", () => {
  test("grades", () => {
    expect(grade({ lossPercent: null, jitterMs: null, rttMs: null })).toBe("unknown");
    expect(grade({ lossPercent: 0, jitterMs: 5, rttMs: 30 })).toBe("good");
    expect(grade({ lossPercent: 4, jitterMs: 5, rttMs: 30 })).toBe("fair");
    expect(grade({ lossPercent: 0, jitterMs: 5, rttMs: 700 })).toBe("poor");
    expect(settle("good", "poor")).toBe("good"); // one bad moment
    expect(settle("poor", "poor")).toBe("poor");
    expect(settle("poor", "good")).toBe("good");
    expect(settle(undefined, "fair")).toBe("fair");
    expect(worst("good", "poor", "unknown")).toBe("poor");
  });
  test("figures are of the interval, not of the whole call", () => {
    const before = { received: 1000, lost: 100, jitterMs: 1, rttMs: 1 };
    expect(figures(before, { received: 1098, lost: 102, jitterMs: 3, rttMs: 9 })).toEqual({ lossPercent: 2, jitterMs: 3, rttMs: 9 });
    expect(figures(before, { received: 1100, lost: 98, jitterMs: 3, rttMs: 9 }).lossPercent).toBe(0);
  });
  test("reports are read", () => {
    const report = [
      { type: "inbound-rtp", packetsReceived: 10, packetsLost: -1, jitter: 0.02 },
      { type: "inbound-rtp", packetsReceived: 5, packetsLost: 5, jitter: 0.01 },
      { type: "outbound-rtp", packetsSent: 50 },
      { type: "remote-inbound-rtp", packetsLost: 5, roundTripTime: 0.1 },
      { type: "candidate-pair", state: "succeeded", nominated: true, currentRoundTripTime: 0.04 },
      { type: "candidate-pair", state: "failed", currentRoundTripTime: 9 },
    ];
    expect(inboundSample(report)).toEqual({ received: 15, lost: 5, jitterMs: 20, rttMs: null });
    expect(outboundSample(report)).toMatchObject({ received: 45, lost: 5, rttMs: 100 });
    expect(pairRtt(report)).toBeCloseTo(40);
  });
});
