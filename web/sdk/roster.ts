// From the conference document to what a user interface shows. Pure functions.

import { extOf, type ConferenceInfo, type EndpointInfo } from "./info";
import type { Kind, Source } from "./protocol";

export interface TrackInfo {
  id: string;
  kind: Kind;
  source: Source;
  muted: boolean;
  mutedBy?: string;
}

/** One device of one person: a tile. */
export interface Participant {
  /** Stable key: user and device. */
  key: string;
  user: string;
  device: string;
  name: string;
  self: boolean;
  roles: string[];
  /** What it is: browser, app, sip, bot, recorder, whip, whep … */
  kind: string;
  /** False while the signalling of the device is away; it may come back. */
  reachable: boolean;
  tracks: TrackInfo[];
  /** When it came, as the server says it (RFC 3339); for a steady order. */
  since: string;
}

const present = new Set(["connected", "muted-via-focus", "on-hold"]);

/** Lists who is in the conference: self first, then in order of coming. */
export function participants(doc: ConferenceInfo | null, self?: { user: string; device: string } | null): Participant[] {
  const out: Participant[] = [];
  for (const [user, u] of Object.entries(doc?.users?.user ?? {})) {
    for (const [device, e] of Object.entries(u.endpoint ?? {})) {
      if (e.status && !present.has(e.status)) continue;
      const mine = self?.user === user && self.device === device;
      out.push({
        key: `${user}/${device}`, user, device, self: mine, name: u.displayText || e.displayText || "", roles: u.roles ?? [], kind: extOf(e).kind ?? "browser",
        reachable: extOf(e).reachability !== "suspended", tracks: tracksOf(e), since: e.joiningInfo?.when ?? "",
      });
    }
  }
  const byText = (a: string, b: string) => (a < b ? -1 : a > b ? 1 : 0);
  return out.sort((a, b) => Number(b.self) - Number(a.self) || byText(a.since, b.since) || byText(a.key, b.key));
}

function tracksOf(e: EndpointInfo): TrackInfo[] {
  const out: TrackInfo[] = [];
  for (const [id, m] of Object.entries(e.media ?? {})) {
    const { source, mutedBy } = extOf(m);
    if (!source) continue; // a receive-only row is no track
    const kind: Kind = source === "camera" || source === "screen" ? "video" : "audio";
    const sends = m.status === undefined || m.status === "sendrecv" || m.status === "sendonly";
    out.push({ id, kind, source, muted: !sends || !!mutedBy, mutedBy });
  }
  return out;
}
