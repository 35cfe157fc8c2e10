// The events of package conference, typed. They inform the moment; the document
// is the truth, and a client that ignores them all ends up right.

import type { ChatMessage, FloorStatus, InputKind } from "./commands";
import type { LegState, MediaNeeded, MediaSlots, MediaWithheld, PeerDescription, Role, Source, TrackLayers } from "./protocol";
import type { Speaker } from "./speakers";

/** What every event carries. By is a user entity; absent: the server itself. */
export interface EventBase {
  conf: string;
  rev: number;
  at: string;
  by?: string;
}

interface OfPart {
  part?: string;
  user?: string;
}

/** Event name → members beside {@link EventBase}. */
export interface ConferenceEvents {
  "conference.started": { uri?: string; title?: string };
  "conference.ending": { afterS?: number; reason?: string };
  "conference.ended": { reason?: string };
  "conference.locked": { locked?: boolean };
  "participant.joined": OfPart & { name?: string; role?: Role; device?: string };
  "participant.left": OfPart & { device?: string; reason?: string };
  "participant.expelled": OfPart & { device?: string; reason?: string; ban?: boolean };
  "lobby.changed": OfPart & { name?: string; count?: number; outcome?: string; state?: string };
  "role.changed": OfPart & { role?: Role; was?: Role };
  "hand.changed": OfPart & { raised?: boolean; rank?: number };
  "track.published": OfPart & { track: string; device?: string; kind?: string; source?: Source };
  "track.muted": OfPart & { track: string; muted: boolean; mutedBy: "" | "self" | "focus" | "both" };
  "track.ended": OfPart & { track: string; reason?: string; code?: number };
  "unmute.requested": { track: string };
  "unmute.declined": OfPart & { track: string };
  "media.needed": MediaNeeded;
  "topology.changed": LegState;
  "media.slots": MediaSlots;
  "media.withheld": MediaWithheld;
  "track.layers": TrackLayers;
  "media.offer": PeerDescription;
  "media.answer": PeerDescription;
  "media.candidate": { ms: string; candidates?: string[]; part?: string; dev?: string };
  "media.closed": { ms: string; reason?: string };
  "speaker.active": { speakers?: Speaker[] } & Speaker;
  "layout.changed": { mode?: string; pins?: string[] };
  "floor.status": FloorStatus;
  "device.added": { user: string; device: string; kind?: string; label?: string };
  "device.update": { user: string; device: string; label?: string; active?: Partial<Record<InputKind, string>> };
  "sidebar.created": { sidebar: string; uri?: string; title?: string; byVal?: boolean };
  "sidebar.ended": { sidebar: string; uri?: string; reason?: string };
  "recording.state": { state?: string };
  moved: Moved;
  "chat.message": ChatMessage;
  quality: Record<string, unknown>;
}

/** This device is to be in another conference: join it with the token. */
export interface Moved {
  conf: string;
  uri: string;
  token?: string;
  /** The old place is kept, on hold. */
  keep?: boolean;
  /** This is the way back to it. */
  back?: boolean;
  reason?: string;
}

/** One event of the conference package as a room tells it. */
export type ConferenceEvent = { [K in keyof ConferenceEvents]: { name: K; body: ConferenceEvents[K] & Partial<EventBase> } }[keyof ConferenceEvents];
