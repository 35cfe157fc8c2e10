// Measures a connection again and again, and keeps the grades.

import { receiverStats } from "./receiver-stats";
import type { Participant } from "./roster";
import { figures, grade, inboundSample, outboundSample, pairRtt, settle, worst, type Figures, type Quality, type Sample } from "./quality";

/** A received track as the monitor needs it. */
interface Measured {
  id: string;
  receiver: RTCRtpReceiver;
  pc: RTCPeerConnection;
}

type Stats = Parameters<typeof inboundSample>[0] extends Iterable<infer S> ? S[] : never;

/** The longest round trip of several connections. */
function longest(rtts: (number | null)[]): number | null {
  const known = rtts.filter((x) => x !== null);
  return known.length > 0 ? Math.max(...known) : null;
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

  /** Takes a measurement of the connections in use; false: there is nothing to measure yet. */
  async measure(connections: RTCPeerConnection[], tracks: Iterable<Measured>): Promise<boolean> {
    const live = connections.filter((pc) => pc.connectionState === "connected");
    if (live.length === 0) return false;
    const reports = new Map<RTCPeerConnection, Stats>();
    for (const pc of live) reports.set(pc, [...(await pc.getStats()).values()]);
    const rtts = new Map([...reports].map(([pc, r]) => [pc, pairRtt(r)]));
    for (const t of [...tracks]) {
      const sample = inboundSample((await receiverStats(t.receiver, t.pc)) as Stats);
      this.mark(t.id, grade(this.step(t.id, { ...sample, rttMs: rtts.get(t.pc) ?? null })));
    }
    // Connections that come and go change the sums: a count that falls starts anew.
    const together = [...reports.values()].flat();
    const rttMs = longest([...rtts.values()]);
    const all = this.step("in", { ...inboundSample(together), rttMs });
    const out = this.step("out", { ...outboundSample(together), rttMs });
    this.figures = { ...all, lossPercent: Math.max(all.lossPercent ?? 0, out.lossPercent ?? 0) };
    this.mark("self", worst(grade(all), grade(out)));
    return true;
  }

  private mark(key: string, raw: Quality): void {
    this.grades.set(key, { shown: settle(this.grades.get(key)?.raw, raw), raw });
  }

  private step(key: string, now: Sample): Figures {
    const before = this.samples.get(key);
    const f = figures(before && before.received > now.received ? undefined : before, now);
    this.samples.set(key, now);
    return f;
  }
}
