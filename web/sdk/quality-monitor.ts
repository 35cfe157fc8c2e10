// Measures a connection again and again, and keeps the grades.

import type { Participant } from "./roster";
import { figures, grade, inboundSample, outboundSample, pairRtt, settle, worst, type Figures, type Quality, type Sample } from "./quality";

/** A received track as the monitor needs it. */
interface Measured {
  id: string;
  receiver: RTCRtpReceiver;
}

/** Keeps the last samples of one call; made by {@link Room}. */
export class QualityMonitor {
  /** Figures of the connection as a whole. */
  figures: Figures = { lossPercent: null, jitterMs: null, rttMs: null };
  private samples = new Map<string, Sample>();
  private grades = new Map<string, { shown: Quality; raw: Quality }>();

  /** Grade of a participant's streams as they reach us; of our own connection for self. */
  of(p: Participant): Quality {
    if (p.self) return this.grades.get("self")?.shown ?? "unknown";
    return worst(...p.tracks.map((t) => this.grades.get(t.id)?.shown ?? "unknown"));
  }

  /** Takes a measurement; false: there is nothing to measure yet. */
  async measure(pc: RTCPeerConnection | undefined, tracks: Iterable<Measured>): Promise<boolean> {
    if (!pc || pc.connectionState !== "connected") return false;
    const report = [...(await pc.getStats()).values()];
    const rtt = pairRtt(report);
    for (const t of [...tracks]) {
      const sample = inboundSample([...(await t.receiver.getStats()).values()]);
      this.mark(t.id, grade(this.step(t.id, { ...sample, rttMs: rtt })));
    }
    const all = this.step("in", { ...inboundSample(report), rttMs: rtt });
    const out = this.step("out", { ...outboundSample(report), rttMs: rtt });
    this.figures = { ...all, lossPercent: Math.max(all.lossPercent ?? 0, out.lossPercent ?? 0) };
    this.mark("self", worst(grade(all), grade(out)));
    return true;
  }

  private mark(key: string, raw: Quality): void {
    this.grades.set(key, { shown: settle(this.grades.get(key)?.raw, raw), raw });
  }

  private step(key: string, now: Sample): Figures {
    const f = figures(this.samples.get(key), now);
    this.samples.set(key, now);
    return f;
  }
}
