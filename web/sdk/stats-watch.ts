// Watches how media flow while somebody looks: asks the server for its statistics
// and measures here, once a second. Nobody looking costs nothing.

import type { Notify } from "./protocol";
import { receiverStats } from "./receiver-stats";
import type { RemoteTrack } from "./room-types";
import type { Session } from "./session";
import { CallStats, linkCount, streamCount, type StatsReport, type StreamCount } from "./stats";

const EVERY_MS = 1_000;

export interface Watched {
  session: Session;
  /** The conference we are in; empty before. */
  conf: () => string;
  connections: () => RTCPeerConnection[];
  remote: () => ReadonlyMap<string, RemoteTrack>;
  /** New figures are there. */
  changed: () => void;
}

/** Made by {@link Room}. */
export class StatsWatch {
  /** null while nobody looks. */
  figures: CallStats | null = null;
  private timer: ReturnType<typeof setInterval> | undefined;
  private busy = false;

  constructor(private readonly of: Watched) {}

  /** Begins or ends; again is no harm. */
  watch(on: boolean): void {
    if (on === (this.figures !== null)) return;
    clearInterval(this.timer);
    this.figures = on ? new CallStats() : null;
    this.ask();
    if (!on) return;
    this.timer = setInterval(() => void this.measure(), EVERY_MS);
    void this.measure();
  }

  /** We are in a conference now, perhaps another one: its statistics have to be asked for. */
  entered(): void {
    if (this.figures) this.ask();
  }

  private ask(): void {
    const conf = this.of.conf();
    if (!conf) return;
    // Who may not be told, or has no connection to the server, still has what is measured here.
    const how = this.figures ? { filter: { intervalMs: EVERY_MS } } : { expiresS: 0 };
    void this.of.session.subscribe(conf, "stats", how).catch(() => undefined);
  }

  receive(n: Notify): void {
    const body = n.body as StatsReport | undefined;
    if (n.state === "full" && Array.isArray(body?.connections)) this.figures?.takeReport(body, performance.now());
  }

  close(): void {
    clearInterval(this.timer);
    this.figures = null;
  }

  private async measure(): Promise<void> {
    if (this.busy) return; // a slow report must not pile up
    this.busy = true;
    try {
      await this.sample();
    } catch {
      // a connection that was closed meanwhile
    } finally {
      this.busy = false;
    }
  }

  private async sample(): Promise<void> {
    const live = this.of.connections().filter((pc) => pc.connectionState === "connected");
    const reports = await Promise.all(live.map(async (pc) => [...(await pc.getStats()).values()] as Record<string, unknown>[]));
    const streams: StreamCount[] = [];
    for (const t of [...this.of.remote().values()]) {
      const s = streamCount(t.id, t.media.kind, await receiverStats(t.receiver, t.pc), performance.now());
      if (s) streams.push(s);
    }
    if (!this.figures) return;
    this.figures.takeLocal(linkCount(reports, performance.now()), streams);
    this.of.changed();
  }
}
