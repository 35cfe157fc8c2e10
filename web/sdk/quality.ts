// Connection quality from getStats: two samples of counters in, a grade out.

export type Quality = "good" | "fair" | "poor" | "unknown";

/** What one sample of a stream or a connection tells. */
export interface Sample {
  /** Packets that arrived and that did not, since the start. */
  received: number;
  lost: number;
  jitterMs: number | null;
  rttMs: number | null;
}

export interface Figures {
  lossPercent: number | null;
  jitterMs: number | null;
  rttMs: number | null;
}

/** The change between two samples. */
export function figures(before: Sample | undefined, now: Sample): Figures {
  const received = now.received - (before?.received ?? 0);
  const lost = Math.max(0, now.lost - (before?.lost ?? 0));
  const all = received + lost;
  return { lossPercent: all > 0 ? (100 * lost) / all : null, jitterMs: now.jitterMs, rttMs: now.rttMs };
}

/**
 * Good below 2 % loss, 250 ms round trip and 50 ms jitter; poor above 8 %,
 * 500 ms or 120 ms. The marks are where concealment begins to be heard and
 * where talk begins to collide (ITU-T G.114: 150 ms one way is comfortable).
 */
export function grade(f: Figures): Quality {
  if (f.lossPercent === null && f.rttMs === null) return "unknown";
  const loss = f.lossPercent ?? 0;
  const rtt = f.rttMs ?? 0;
  const jitter = f.jitterMs ?? 0;
  if (loss > 8 || rtt > 500 || jitter > 120) return "poor";
  if (loss > 2 || rtt > 250 || jitter > 50) return "fair";
  return "good";
}

const order: Quality[] = ["unknown", "good", "fair", "poor"];

/** The worse of several grades. */
export function worst(...all: Quality[]): Quality {
  return all.reduce((a, b) => (order.indexOf(b) > order.indexOf(a) ? b : a), "unknown");
}

/** The mark to show: the better of the last two grades, so that one bad moment is no alarm. */
export function settle(before: Quality | undefined, now: Quality): Quality {
  if (before === undefined || before === "unknown" || now === "unknown") return now;
  return order.indexOf(before) < order.indexOf(now) ? before : now;
}

interface Stat {
  type: string;
  kind?: string;
  [k: string]: unknown;
}

const num = (v: unknown): number | null => (typeof v === "number" ? v : null);

/** Round trip of the nominated pair, ms. */
export function pairRtt(report: Iterable<Stat>): number | null {
  let rtt: number | null = null;
  for (const s of report) {
    if (s.type === "candidate-pair" && s["state"] === "succeeded" && s["nominated"] !== false) {
      const t = num(s["currentRoundTripTime"]);
      if (t !== null) rtt = t * 1000;
    }
  }
  return rtt;
}

/** Sums the inbound streams of a report. */
export function inboundSample(report: Iterable<Stat>): Sample {
  return sum(report, "inbound-rtp", "packetsReceived");
}

/** What the server says of our own streams (receiver reports). */
export function outboundSample(report: Iterable<Stat>): Sample {
  const all = [...report];
  const s = sum(all, "remote-inbound-rtp", "packetsReceived");
  // Receiver reports name only losses; what was sent gives the base.
  let sent = 0;
  for (const o of all) if (o.type === "outbound-rtp") sent += num(o["packetsSent"]) ?? 0;
  return { ...s, received: Math.max(0, sent - s.lost) };
}

function sum(report: Iterable<Stat>, type: string, counter: string): Sample {
  const out: Sample = { received: 0, lost: 0, jitterMs: null, rttMs: null };
  for (const s of report) {
    if (s.type !== type) continue;
    out.received += num(s[counter]) ?? 0;
    out.lost += Math.max(0, num(s["packetsLost"]) ?? 0);
    const jitter = num(s["jitter"]);
    if (jitter !== null) out.jitterMs = Math.max(out.jitterMs ?? 0, jitter * 1000);
    const rtt = num(s["roundTripTime"]);
    if (rtt !== null) out.rttMs = Math.max(out.rttMs ?? 0, rtt * 1000);
  }
  return out;
}
