// How media flow, over the last minutes: what this browser measures, and what the
// server tells of our own connection (package "stats", docs/statistics.md). A model
// of figures; drawing them is the application's.

/** One stream that the server sends us, as it tells (api.StreamOut). */
export interface StreamOutReport {
  track: string;
  mid?: string;
  kind: string;
  source: string;
  codec?: string;
  state: string;
  bitrate: number;
  loss: number;
  jitterMs: number;
  /** 0 the lowest, -1 none. */
  encoding: number;
  spatial: number;
  temporal: number;
  encodings?: number;
  width?: number;
  height?: number;
  freezes?: number;
  score: number;
}

/** One encoding of ours as it reaches the server (api.StreamIn). */
export interface StreamInReport {
  track: string;
  kind: string;
  source: string;
  encoding: number;
  live: boolean;
  bitrate: number;
  loss: number;
  jitterMs: number;
  score: number;
}

export interface ConnectionReport {
  conn: string;
  part: string;
  user: string;
  device: string;
  own?: boolean;
  rttMs: number;
  rateIn: number;
  goodput: number;
  estimateOut: number;
  scoreIn: number;
  scoreOut: number;
  control?: { target: number; feedback?: string; queueMs: number; pathLoss: number };
  in?: StreamInReport[];
  out?: StreamOutReport[];
}

/** Body of a notification of package "stats". */
export interface StatsReport {
  at: string;
  intervalMs: number;
  scope: string;
  connections: ConnectionReport[];
  omitted?: number;
}

export interface Point {
  /** ms, of the same clock in all series. */
  at: number;
  /** null: not known then; a line has a gap there. */
  value: number | null;
}

/** A figure over time; the oldest goes when there are enough. */
export class Series {
  readonly points: Point[] = [];
  constructor(private readonly keep = KEEP) {}

  add(at: number, value: number | null | undefined): void {
    this.points.push({ at, value: value !== undefined && value !== null && Number.isFinite(value) ? value : null });
    if (this.points.length > this.keep) this.points.shift();
  }

  get last(): number | null {
    return this.points.at(-1)?.value ?? null;
  }

  get most(): number | null {
    const known = this.points.map((p) => p.value).filter((v) => v !== null);
    return known.length > 0 ? Math.max(...known) : null;
  }
}

/** Points that a series keeps: three minutes. */
export const KEEP = 180;

/** Counters of one received stream, from getStats. */
export interface StreamCount {
  id: string;
  /** Of its section, which also names it where it shows one person after another. */
  mid: string;
  kind: string;
  at: number;
  bytes: number;
  packets: number;
  lost: number;
  frames: number;
  freezes: number;
  jitterMs: number | null;
  width: number | null;
  height: number | null;
  codec: string;
}

/** Counters of all connections together. */
export interface LinkCount {
  at: number;
  sent: number;
  received: number;
  rttMs: number | null;
  /** What the browser believes it may send, bit/s. */
  available: number | null;
}

/** What is known of one stream that we receive. */
export class StreamFigures {
  readonly rate = new Series();
  readonly loss = new Series();
  readonly fps = new Series();
  readonly height = new Series();
  width: number | null = null;
  jitterMs: number | null = null;
  freezes = 0;
  codec = "";
  /** The server's word; null where it sends none of it. */
  server: StreamOutReport | null = null;
  private before: StreamCount | null = null;

  constructor(
    readonly track: string,
    readonly kind: string,
  ) {}

  /** The counters at the last measurement. */
  get counted(): StreamCount | null {
    return this.before;
  }

  take(now: StreamCount): void {
    const b = this.before;
    this.before = now;
    [this.width, this.jitterMs, this.freezes, this.codec] = [now.width, now.jitterMs, now.freezes, now.codec];
    if (!b || now.at <= b.at || now.bytes < b.bytes) return; // a receiver that begins anew counts from nothing
    const s = (now.at - b.at) / 1000;
    this.rate.add(now.at, (8 * (now.bytes - b.bytes)) / s);
    const [got, lost] = [now.packets - b.packets, Math.max(0, now.lost - b.lost)];
    this.loss.add(now.at, got + lost > 0 ? lost / (got + lost) : null);
    if (this.kind !== "video") return;
    this.fps.add(now.at, Math.max(0, now.frames - b.frames) / s);
    this.height.add(now.at, now.frames > b.frames ? now.height : null);
  }
}

/** See the head of this file. */
export class CallStats {
  readonly received = new Series();
  readonly sent = new Series();
  /** What the path to us is estimated to carry, by the server; and from us, by the browser. */
  readonly estimate = new Series();
  readonly available = new Series();
  readonly rtt = new Series();
  readonly lossDown = new Series();
  readonly lossUp = new Series();
  /** 1 to 5; 0: nothing to judge, or nobody told. */
  scoreIn = 0;
  scoreOut = 0;
  readonly streams = new Map<string, StreamFigures>();
  private link: LinkCount | null = null;
  private told: ConnectionReport | null = null;
  private toldAt = -Infinity;

  /** Takes what this browser measured. Streams that it does not name are gone. */
  takeLocal(link: LinkCount, streams: StreamCount[]): void {
    this.takeLink(link);
    const named = new Set(streams.map((s) => s.id));
    for (const id of this.streams.keys()) if (!named.has(id)) this.streams.delete(id);
    let [got, lost] = [0, 0];
    for (const s of streams) {
      let f = this.streams.get(s.id);
      if (!f || f.kind !== s.kind) this.streams.set(s.id, (f = new StreamFigures(s.id, s.kind)));
      const before = f.counted;
      f.take(s);
      if (before && s.packets >= before.packets) [got, lost] = [got + s.packets - before.packets, lost + Math.max(0, s.lost - before.lost)];
      f.server = this.fresh(link.at)?.out?.find((o) => (s.mid && o.mid ? o.mid === s.mid : o.track === s.id)) ?? null;
    }
    this.lossDown.add(link.at, got + lost > 0 ? lost / (got + lost) : null);
    const own = this.fresh(link.at);
    this.estimate.add(link.at, own?.control?.target || own?.estimateOut || null);
    const up = own?.in?.filter((x) => x.live) ?? [];
    this.lossUp.add(link.at, up.length > 0 ? Math.max(...up.map((x) => x.loss)) : null);
    [this.scoreIn, this.scoreOut] = [own?.scoreIn ?? 0, own?.scoreOut ?? 0];
  }

  /** Takes what the server tells of our own connection, now by our clock. */
  takeReport(r: StatsReport, now: number): void {
    this.told = r.connections.find((c) => c.own) ?? null;
    this.toldAt = now;
  }

  /** The server's word, unless it is old: it stops with the connection to it. */
  private fresh(now: number): ConnectionReport | null {
    return now - this.toldAt < STALE_MS ? this.told : null;
  }

  private takeLink(now: LinkCount): void {
    const b = this.link;
    this.link = now;
    this.rtt.add(now.at, now.rttMs);
    this.available.add(now.at, now.available);
    if (!b || now.at <= b.at || now.sent < b.sent || now.received < b.received) return;
    const s = (now.at - b.at) / 1000;
    this.sent.add(now.at, (8 * (now.sent - b.sent)) / s);
    this.received.add(now.at, (8 * (now.received - b.received)) / s);
  }
}

const STALE_MS = 6_000;

type Stat = Record<string, unknown>;

const num = (v: unknown): number | null => (typeof v === "number" ? v : null);

/** Reads the counters of one received stream; null: it has none yet. */
export function streamCount(id: string, kind: string, report: Stat[], at: number): StreamCount | null {
  const s = report.find((x) => x["type"] === "inbound-rtp");
  if (!s) return null;
  const codec = report.find((x) => x["type"] === "codec" && x["id"] === s["codecId"]);
  const jitter = num(s["jitter"]);
  return {
    id, kind, at, mid: String(s["mid"] ?? ""),
    bytes: num(s["bytesReceived"]) ?? 0, packets: num(s["packetsReceived"]) ?? 0, lost: num(s["packetsLost"]) ?? 0,
    frames: num(s["framesDecoded"]) ?? 0, freezes: num(s["freezeCount"]) ?? 0, jitterMs: jitter === null ? null : jitter * 1000,
    width: num(s["frameWidth"]), height: num(s["frameHeight"]), codec: String(codec?.["mimeType"] ?? "").replace(/^\w+\//, ""),
  };
}

/** Reads the counters of connections. */
export function linkCount(reports: Stat[][], at: number): LinkCount {
  const out: LinkCount = { at, sent: 0, received: 0, rttMs: null, available: null };
  for (const report of reports) {
    for (const s of report) {
      if (s["type"] === "inbound-rtp") out.received += num(s["bytesReceived"]) ?? 0;
      if (s["type"] === "outbound-rtp") out.sent += num(s["bytesSent"]) ?? 0;
      if (s["type"] !== "candidate-pair" || s["state"] !== "succeeded" || s["nominated"] === false) continue;
      const rtt = num(s["currentRoundTripTime"]);
      if (rtt !== null) out.rttMs = Math.max(out.rttMs ?? 0, rtt * 1000);
      const may = num(s["availableOutgoingBitrate"]);
      if (may !== null) out.available = (out.available ?? 0) + may;
    }
  }
  return out;
}
