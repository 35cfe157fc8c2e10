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
  receive?: Record<string, string>;
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
}
