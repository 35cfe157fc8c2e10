// Whether media arrives at a receiver, by its counters.

import { receiverStats } from "./receiver-stats";

interface Seen {
  track: string;
  /** Counter at the first look. */
  base: number | null;
  flows: boolean;
}

const UNHEARD = 15; // packets (300 ms) that count as sound where the browser does not say what it played

/** What has come out so far: decoded frames, or packets of sound that is being played. */
async function output(receiver: RTCRtpReceiver, pc?: RTCPeerConnection): Promise<number> {
  for (const s of await receiverStats(receiver, pc)) {
    if (s["type"] !== "inbound-rtp") continue;
    if (s["kind"] === "video") return Number(s["framesDecoded"]) || 0;
    const packets = Number(s["packetsReceived"]) || 0;
    return Number(s["jitterBufferEmittedCount"]) > 0 ? packets : Math.floor(packets / UNHEARD);
  }
  return 0;
}

/**
 * Remembers which receivers give pictures or sound since they carry the track
 * they carry now. A first look sets the mark; more than the mark is a flow.
 */
export class Arrivals {
  private readonly seen = new WeakMap<RTCRtpReceiver, Seen>();

  flows(receiver: RTCRtpReceiver, track: string): boolean {
    const s = this.seen.get(receiver);
    return s?.track === track && s.flows;
  }

  /** Looks at one receiver. */
  async look(receiver: RTCRtpReceiver, track: string, pc?: RTCPeerConnection): Promise<void> {
    let s = this.seen.get(receiver);
    if (s?.track !== track) this.seen.set(receiver, (s = { track, base: null, flows: false }));
    if (s.flows) return;
    const n = await output(receiver, pc).catch(() => 0);
    if (s.base === null || n < s.base) s.base = n; // another SSRC counts from nothing
    else s.flows = n > s.base;
  }

  /** What is known of a receiver no longer holds: its stream was interrupted on purpose. */
  forget(receiver: RTCRtpReceiver): void {
    this.seen.delete(receiver);
  }
}
