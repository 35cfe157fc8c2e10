// Wire types of confctl.1, mirroring the server's api package. Readers ignore
// unknown members, so every interface is open by nature.

export const SUBPROTOCOL = "confctl.1";

export type Role = "owner" | "moderator" | "presenter" | "attendee" | "observer" | "lobby";
export type Source = "camera" | "microphone" | "screen" | "screenAudio";
export type Kind = "audio" | "video";

export interface WireError {
  code: number;
  reason: string;
  message?: string;
  data?: Record<string, unknown>;
  retryAfterMs?: number;
}

export interface Welcome {
  kind: "welcome";
  version: number;
  session: string;
  resumeToken: string;
  resumed: boolean;
  resync?: boolean;
  seq: number;
  heartbeatMs: number;
  graceMs: number;
  limits?: Record<string, number>;
  iceServers?: RTCIceServer[] | null;
  user: string;
  features?: string[];
}

export interface Response {
  kind: "response";
  id: string;
  code: number;
  final: boolean;
  dup?: boolean;
  result?: unknown;
  error?: WireError;
  seq?: number;
}

export interface Notify {
  kind: "notify";
  sub?: string;
  conf?: string;
  package: string;
  state?: "full" | "partial" | "deleted";
  version?: number;
  event?: string;
  body?: unknown;
  seq?: number;
}

export interface Goodbye {
  kind: "goodbye";
  action: "disconnect" | "resume" | "reconnect";
  reason: string;
  url?: string;
  afterMs?: number;
}

export interface PublishParams {
  cid: string;
  kind: Kind;
  source: Source;
  label?: string;
  stream?: string;
  rids?: string[];
  muted?: boolean;
}

export interface PublishResult {
  cid: string;
  track: string;
}

export interface MediaNeeded {
  ms: string;
  audio: number;
  video: number;
  reason?: string;
  rev: number;
}

export interface OfferParams {
  ms: string;
  rev: number;
  sdp: string;
  tracks?: Record<string, string>;
}

export interface AnswerResult {
  ms: string;
  rev: number;
  sdp: string;
  /** mid → track id, or mix:audio, mix:video, slot:1 and so on. */
  receive?: Record<string, string>;
}

/** How media flows for this device: with the join, and as event topology.changed. */
export interface LegState {
  /** Of the conference. */
  topology: Topology;
  allowDiscouraged?: boolean;
  /** This device's own choice. */
  own?: Topology;
  manner: Manner;
  /** set, joined, left, caps, bandwidth, failed */
  reason?: string;
  /** Whom to talk to directly. */
  peers?: PeerRef[];
  iceServers?: RTCIceServer[];
}

/** A device to talk to directly; offer: we send the first offer. */
export interface PeerRef {
  part: string;
  dev: string;
  offer?: boolean;
}

/** Names of topologies, for a conference and for one device. */
export const topologies = [
  "auto", "sfu", "mesh", "mixer", "switch", "hybrid", "translator", "rtcp-terminating-mcu", "multicast", "relay", "video-switching-mcu", "asymmetric",
] as const;

export type Topology = (typeof topologies)[number] | (string & {});

/** direct: peers among themselves; else the name of a topology. */
export type Manner = "direct" | Topology;

/** Event track.layers: how many encodings of a track of ours somebody wants, the lowest first; 0: all. */
export interface TrackLayers {
  track: string;
  layers: number;
  rids?: string[];
}

/** Event media.withheld: every picture that is subscribed to and not sent now. */
export interface MediaWithheld {
  ms: string;
  tracks: { track: string; why: "last-n" | "bandwidth" | (string & {}) }[];
}

/** Event media.slots: what sections that show one source after another show now. */
export interface MediaSlots {
  ms: string;
  slots: { mid: string; name: string; track?: string; user?: string; device?: string }[];
}

/** Event media.offer or media.answer from another device, and answer to ours. */
export interface PeerDescription {
  ms: string;
  rev: number;
  sdp?: string;
  part?: string;
  dev?: string;
}

export interface JoinResult {
  conf: string;
  uri: string;
  part: string;
  user: string;
  device: string;
  role: Role;
  rev: number;
  ms: string;
  tracks?: PublishResult[];
  answer?: AnswerResult;
  needed: MediaNeeded;
  leg?: LegState;
  /** Media is encrypted end to end here. */
  e2ee?: boolean;
}
