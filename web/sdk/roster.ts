// From the conference document to what a user interface shows. Pure functions.

import type { Presence } from "./commands";
import type { PublicKeys } from "./e2ee/identity";
import { extOf, type ConferenceInfo, type EndpointInfo, type UserInfo } from "./info";
import type { Kind, Role, Source } from "./protocol";

export interface TrackInfo {
  id: string;
  kind: Kind;
  source: Source;
  muted: boolean;
  mutedBy?: string;
  /** The number that contributing sources have (CSRC), where it is known. */
  srcId?: number;
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
  /** Name of the device for people. */
  label: string;
  /** False while the signalling of the device is away; it may come back. */
  reachable: boolean;
  /** In the roster, but neither heard nor hearing: in a sidebar, for instance. */
  held: boolean;
  tracks: TrackInfo[];
  /** When it came, as the server says it (RFC 3339); for a steady order. */
  since: string;
  /** How its media flows: direct, sfu, mixer and so on; empty: not told. */
  manner: string;
  /** Its own topology, where one was chosen for it. */
  topology: string;
  /** Its public keys, where media is encrypted end to end; the server's word. */
  e2ee?: PublicKeys;
}

/** One person with all devices. */
export interface Person {
  user: string;
  /** The name that commands use. */
  part: string;
  name: string;
  /** One of the devices is this one. */
  self: boolean;
  role: Role;
  devices: Participant[];
  /** Place among the raised hands, 1 was first; 0: not raised. */
  hand: number;
  presence: Presence;
  /** All devices are held: the person is elsewhere. */
  held: boolean;
}

/** Somebody in the lobby, as moderators see them. */
export interface Waiting {
  user: string;
  part: string;
  name: string;
  since: string;
}

const live = new Set(["connected", "muted-via-focus", "on-hold"]);

const byText = (a: string, b: string) => (a < b ? -1 : a > b ? 1 : 0);

interface Self {
  user: string;
  device: string;
}

function inLobby(u: UserInfo): boolean {
  return (u.roles ?? []).includes("lobby");
}

function roleOf(u: UserInfo): Role {
  return (u.roles?.[0] ?? "attendee") as Role;
}

/** Lists the devices in the conference: self first, then in order of coming. */
export function participants(doc: ConferenceInfo | null, self?: Self | null): Participant[] {
  const out: Participant[] = [];
  for (const [user, u] of Object.entries(doc?.users?.user ?? {})) {
    if (!inLobby(u)) out.push(...devicesOf(user, u, self));
  }
  return out.sort((a, b) => Number(b.self) - Number(a.self) || byText(a.since, b.since) || byText(a.key, b.key));
}

function devicesOf(user: string, u: UserInfo, self?: Self | null): Participant[] {
  const out: Participant[] = [];
  for (const [device, e] of Object.entries(u.endpoint ?? {})) {
    if (e.status && !live.has(e.status)) continue;
    const ext = extOf(e);
    out.push({
      key: `${user}/${device}`, user, device, self: self?.user === user && self.device === device, name: u.displayText || e.displayText || "", roles: u.roles ?? [],
      kind: ext.kind ?? "browser", label: e.displayText ?? "", reachable: ext.reachability !== "suspended", held: e.status === "on-hold", tracks: tracksOf(e),
      since: e.joiningInfo?.when ?? "", manner: ext.manner ?? "", topology: ext.topology?.name ?? "", e2ee: ext.e2ee,
    });
  }
  return out;
}

/** Lists the persons in the conference, each once however many devices they use: self first, then in order of coming. */
export function people(doc: ConferenceInfo | null, self?: Self | null): Person[] {
  const out = new Map<string, Person>();
  for (const d of participants(doc, self)) {
    const known = out.get(d.user);
    if (known) {
      known.devices.push(d);
      known.self ||= d.self;
      known.held &&= d.held;
      continue;
    }
    const u = doc!.users!.user![d.user]!;
    const ext = extOf(u);
    out.set(d.user, {
      user: d.user, part: ext.part ?? "", name: d.name, self: d.self, role: roleOf(u), devices: [d], hand: ext.hand?.raised ? (ext.hand.rank ?? 1) : 0,
      presence: ext.presence ?? {}, held: d.held,
    });
  }
  return [...out.values()];
}

/** Raised hands in order. */
export function hands(list: Person[]): Person[] {
  return list.filter((p) => p.hand > 0).sort((a, b) => a.hand - b.hand);
}

/** Who waits in the lobby, longest first; empty for all but moderators. */
export function lobby(doc: ConferenceInfo | null): Waiting[] {
  const out: Waiting[] = [];
  for (const [user, u] of Object.entries(doc?.users?.user ?? {})) {
    const waiting = inLobby(u) ? Object.values(u.endpoint ?? {}).filter((e) => e.status === "on-hold") : [];
    if (waiting.length > 0) out.push({ user, part: extOf(u).part ?? "", name: u.displayText ?? "", since: waiting[0]!.joiningInfo?.when ?? "" });
  }
  return out.sort((a, b) => byText(a.since, b.since) || byText(a.user, b.user));
}

function tracksOf(e: EndpointInfo): TrackInfo[] {
  const out: TrackInfo[] = [];
  for (const [id, m] of Object.entries(e.media ?? {})) {
    const { source, mutedBy } = extOf(m);
    if (!source) continue; // a receive-only row is no track
    const kind: Kind = source === "camera" || source === "screen" ? "video" : "audio";
    const sends = m.status === undefined || m.status === "sendrecv" || m.status === "sendonly";
    out.push({ id, kind, source, muted: !sends || !!mutedBy, mutedBy, srcId: m.srcId ? Number(m.srcId) : undefined });
  }
  return out;
}
