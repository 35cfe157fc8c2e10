// The conference-info document (RFC 4575 in its JSON form) and the subscriber's
// patch algorithm. Pure functions: nothing here knows a socket.
//
// Only conference-info, users, user, endpoint, sidebarsByRef and sidebarsByVal
// (and its entries) take part in partial updates; all other members are atomic:
// present means replaced whole, absent means unchanged, null is never sent.

import type { PublicKeys } from "./e2ee/identity";
import type { DeviceInput, FloorStatus, InputKind, Policy, Presence } from "./commands";
import type { Manner, Source, Topology } from "./protocol";

export type DocState = "full" | "partial" | "deleted";
export type MediaStatus = "sendrecv" | "sendonly" | "recvonly" | "inactive";

/** Name space of our own members in a document; foreign ones stand beside it. */
export const EXT = "urn:parley:conference-info:1";

export type Ext<T> = { [EXT]?: T } & Record<string, unknown>;

/** Our own members of an element. */
export function extOf<T>(element: { ext?: Ext<T> }): Partial<T> {
  return (element.ext?.[EXT] ?? {}) as Partial<T>;
}

export interface MediaInfo {
  displayText?: string;
  type?: string;
  label?: string;
  srcId?: string;
  status?: MediaStatus;
  ext?: Ext<{ mutedBy?: "self" | "focus" | "both"; source?: Source; stream?: string }>;
}

export interface EndpointInfo {
  state?: DocState;
  displayText?: string;
  status?: string;
  joiningMethod?: string;
  joiningInfo?: { when?: string; reason?: string; by?: string };
  disconnectionMethod?: string;
  disconnectionInfo?: { when?: string; reason?: string; by?: string };
  media?: Record<string, MediaInfo>;
  ext?: Ext<{
    reachability?: "ok" | "suspended"; kind?: string; inputs?: DeviceInput[]; active?: Partial<Record<InputKind, string>>;
    /** How its media flows, and its own topology where one was chosen for it. */
    manner?: Manner; topology?: TopologyInfo;
    /** Its public keys, in an encrypted conference. */
    e2ee?: PublicKeys;
  }>;
}

/** A raised hand; rank 1 was first. */
export interface Hand {
  raised: boolean;
  at?: string;
  rank?: number;
}

export interface UserInfo {
  state?: DocState;
  displayText?: string;
  roles?: string[];
  endpoint?: Record<string, EndpointInfo>;
  ext?: Ext<{ part?: string; hand?: Hand; presence?: Presence }>;
}

/** A sidebar that is a conference of its own. */
export interface SidebarRef {
  uri?: string;
  displayText?: string;
}

/** How media flows, by the name that was chosen. */
export interface TopologyInfo {
  name: Topology;
  allowDiscouraged?: boolean;
  /** To moderators: what a mixer would need here. */
  lacking?: string;
}

/** Our own members of a conference. */
export interface ConferenceExt {
  rev?: number;
  policy?: Policy;
  topology?: TopologyInfo;
  layout?: { mode?: string; pins?: string[] };
  recording?: { state?: string };
  floors?: FloorInfo[];
  /** To moderators: how many wait in the lobby. */
  lobbyCount?: number;
  /** Media whose new tracks start muted by a moderator. */
  muted?: ("audio" | "video")[];
  /** What this document calls its reader, where that is not the authenticated name. */
  self?: { user?: string };
}

/** A floor: holders first, then the queue. */
export interface FloorInfo {
  floor: string;
  requests?: Omit<FloorStatus, "floor">[];
}

export interface ConferenceInfo {
  entity?: string;
  state?: DocState;
  version?: number;
  conferenceDescription?: { displayText?: string; subject?: string; maximumUserCount?: number; [k: string]: unknown };
  hostInfo?: Record<string, unknown>;
  conferenceState?: { userCount?: number; active?: boolean; locked?: boolean };
  users?: { state?: DocState; user?: Record<string, UserInfo> };
  sidebarsByRef?: { state?: DocState; entry?: Record<string, SidebarRef> };
  sidebarsByVal?: { state?: DocState; entry?: Record<string, ConferenceInfo> };
  ext?: Ext<ConferenceExt>;
}

/** What a subscriber holds; version is null before the first document. */
export interface Subscriber {
  version: number | null;
  doc: ConferenceInfo | null;
}

/** What to do after a document was offered. */
export type Outcome = "applied" | "discarded" | "refresh" | "ended";

export const emptySubscriber: Subscriber = { version: null, doc: null };

/** Takes one notified document; returns the new subscriber and what to do. The input is not changed. */
export function receive(local: Subscriber, state: DocState, version: number, body: ConferenceInfo | null): [Subscriber, Outcome] {
  const adopted: Subscriber = { version, doc: body };
  if (local.version === null) {
    if (state === "partial") return [local, "refresh"]; // nothing to patch
    return [adopted, state === "deleted" ? "ended" : "applied"];
  }
  if (version <= local.version) return [local, "discarded"];
  if (state !== "partial") return [adopted, state === "deleted" ? "ended" : "applied"];
  if (version > local.version + 1) return [local, "refresh"]; // a gap: keep what we have until the full one
  return [{ version, doc: patch(local.doc ?? {}, body ?? {}, conference) }, "applied"];
}

type Obj = Record<string, unknown>;

/** How the members of one element that is not atomic are patched. */
interface Shape {
  /** Member → shape of a single child element with a state of its own. */
  child?: Record<string, () => Shape>;
  /** Member → shape of the children in an object under their key. */
  keyed?: Record<string, () => Shape | null>;
}

// null: the keyed children have no state of their own and are replaced one by one.
const endpoint: Shape = { keyed: { media: () => null } };
const user: Shape = { keyed: { endpoint: () => endpoint } };
const users: Shape = { keyed: { user: () => user } };
const sidebarsByRef: Shape = { keyed: { entry: () => null } };
const sidebarsByVal: Shape = { keyed: { entry: () => conference } };
const conference: Shape = { child: { users: () => users, sidebarsByRef: () => sidebarsByRef, sidebarsByVal: () => sidebarsByVal } };

function patch<T extends object>(local: T, change: T, shape: Shape): T {
  const out: Obj = { ...(local as Obj) };
  for (const [name, value] of Object.entries(change as Obj)) {
    const keyed = shape.keyed?.[name];
    const child = shape.child?.[name];
    if (keyed) out[name] = patchKeyed((out[name] ?? {}) as Obj, value as Obj, keyed());
    else if (child) merge(out, name, value as Obj, child());
    else out[name] = value;
  }
  if ("state" in out) out["state"] = "full"; // a copy is whole, however it came about
  return out as T;
}

function patchKeyed(local: Obj, change: Obj, shape: Shape | null): Obj {
  const out = { ...local };
  for (const [key, value] of Object.entries(change)) {
    if (shape) merge(out, key, value as Obj, shape);
    else out[key] = value;
  }
  return out;
}

/** Absent state means full, as in the RFC: the writer always writes it. */
function merge(into: Obj, name: string, change: Obj, shape: Shape): void {
  const state = change["state"] ?? "full";
  if (state === "deleted") delete into[name];
  else if (state === "partial") into[name] = patch((into[name] ?? {}) as Obj, change, shape);
  else into[name] = change;
}
