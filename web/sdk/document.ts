// What a conference document says beside its roster: lock, policy, floors,
// sidebars, recording. Pure functions; the roster's are in roster.ts.

import type { FloorState, Policy } from "./commands";
import { extOf, type ConferenceInfo, type TopologyInfo } from "./info";
import type { Source } from "./protocol";
import { people, type Person } from "./roster";

export function isLocked(doc: ConferenceInfo | null): boolean {
  return doc?.conferenceState?.locked ?? false;
}

export function titleOf(doc: ConferenceInfo | null): string {
  return doc?.conferenceDescription?.displayText ?? "";
}

export function policyOf(doc: ConferenceInfo | null): Policy {
  return (doc && extOf(doc).policy) ?? {};
}

/** Whether media is encrypted end to end. */
export function isSealed(doc: ConferenceInfo | null): boolean {
  return policyOf(doc).e2ee ?? false;
}

/** How media flows in the conference. */
export function topologyOf(doc: ConferenceInfo | null): TopologyInfo {
  return (doc && extOf(doc).topology) ?? { name: "auto" };
}

/** Media whose new tracks start muted: a moderator muted all. */
export function mutedMedia(doc: ConferenceInfo | null): ("audio" | "video")[] {
  return (doc && extOf(doc).muted) ?? [];
}

/** What the document calls its reader. */
export function selfIn(doc: ConferenceInfo | null, user: string): string {
  return (doc && extOf(doc).self?.user) || user;
}

/** How many wait in the lobby; moderators only are told. */
export function lobbyCount(doc: ConferenceInfo | null): number {
  return (doc && extOf(doc).lobbyCount) ?? 0;
}

/** State of the recording, "idle" when there is none. */
export function recordingOf(doc: ConferenceInfo | null): string {
  return (doc && extOf(doc).recording?.state) ?? "idle";
}

/** Whether something is being stored, or about to be. */
export function isRecording(doc: ConferenceInfo | null): boolean {
  return ["starting", "running", "paused", "stopping"].includes(recordingOf(doc));
}

export interface FloorRequest {
  request: string;
  user: string;
  status: FloorState;
  /** Place in the queue; 1 is next, 0: not queued. */
  queue: number;
}

/** A floor: who holds it and who asks. */
export interface Floor {
  /** The label it is over: a0 main audio, s0 slides. */
  floor: string;
  holders: FloorRequest[];
  queue: FloorRequest[];
}

/** The floors of a conference; none where the policy has none. */
export function floors(doc: ConferenceInfo | null): Floor[] {
  const list = (doc && extOf(doc).floors) ?? [];
  return list.map((f) => {
    const all = (f.requests ?? []).map((r) => ({ request: r.request, user: r.user, status: r.status, queue: r.queue ?? 0 }));
    const waits = all.filter((r) => r.status === "pending" || r.status === "accepted");
    return { floor: f.floor, holders: all.filter((r) => r.status === "granted"), queue: waits.sort((a, b) => (a.queue || 1e9) - (b.queue || 1e9)) };
  });
}

const labels: Record<Source, string> = { microphone: "a0", camera: "v0", screen: "s0", screenAudio: "sa0" };

/** Whether a source of this user is closed until it gets the floor over its medium. */
export function waitsForFloor(doc: ConferenceInfo | null, user: string, source: Source): boolean {
  const f = floors(doc).find((x) => x.floor === labels[source]);
  return f !== undefined && !f.holders.some((h) => h.user === user);
}

/** A sidebar, by reference or by value. */
export interface Sidebar {
  /** What commands call it: its URI, which is also its address. */
  uri: string;
  title: string;
  /** Who is inside; known only of sidebars by value. */
  people: Person[] | null;
}

export function sidebars(doc: ConferenceInfo | null): Sidebar[] {
  const out: Sidebar[] = [];
  for (const [uri, e] of Object.entries(doc?.sidebarsByRef?.entry ?? {})) out.push({ uri, title: e.displayText ?? "", people: null });
  for (const [uri, c] of Object.entries(doc?.sidebarsByVal?.entry ?? {})) out.push({ uri, title: titleOf(c), people: people(c) });
  return out.sort((a, b) => (a.title < b.title ? -1 : a.title > b.title ? 1 : a.uri < b.uri ? -1 : 1));
}
