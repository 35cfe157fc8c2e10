// Wire types of conference control beyond joining and media, mirroring
// api/commands.go and api/admin.go.

import type { Role } from "./protocol";

/** What an owner or moderator may set for a conference; absent members stay as they are. */
export interface Policy {
  /** Newcomers wait for a moderator. */
  lobby?: boolean;
  waitForModerator?: boolean;
  maxUsers?: number;
  singleDevice?: boolean;
  /** Anyone may open a sidebar, not only moderators. */
  allowSidebars?: boolean;
  allowInvite?: boolean;
  /** Attendees may write. */
  chat?: boolean;
  oneScreen?: boolean;
  floorAlgorithm?: "moderator-controlled" | "FCFS" | string;
  maxFloorUsers?: number;
  /** Media of a floor's label is heard from its holders only. */
  floorMutes?: boolean;
  /** User who grants, denies and revokes beside the moderators. */
  floorChair?: string;
  /** Labels with a floor, for instance "a0". */
  floors?: string[];
  topology?: string;
  /** Cameras that each receiver is sent at most, those of who spoke last; 0: all. */
  lastN?: number;
  /** Microphones that are heard at a time, the loudest; 0: all. */
  loudestK?: number;
  /** Media is encrypted end to end; decided before the conference starts. */
  e2ee?: boolean;
}

/** Result of commands that return nothing else; already: it was so before. */
export interface Done {
  already?: boolean;
}

/** Result in the provisional answer 182 to a join that waits. */
export interface LobbyTicket {
  conf: string;
  part: string;
  user: string;
  device: string;
  reason: "lobby" | "waiting-for-moderator" | string;
}

/** What became of one who waited in the lobby; code 409: somebody was faster. */
export interface LobbyOutcome {
  part: string;
  code: number;
  outcome: "admitted" | "rejected" | "left" | string;
}

export interface LobbyResult {
  parts?: LobbyOutcome[];
  already?: boolean;
}

/** Result of hand.raise: place in the row of raised hands, 1 is first. */
export interface HandResult {
  rank?: number;
  already?: boolean;
}

export interface ExpelParams {
  part?: string;
  dev?: string;
  reason?: string;
  /** The person cannot come back. */
  ban?: boolean;
  rejoinAfterS?: number;
}

export interface MuteMany {
  track?: string;
  part?: string;
  medium?: "audio" | "video";
  scope?: "one" | "all" | "others";
}

export interface InviteTarget {
  uri: string;
  mode?: "dial" | "ask";
  role?: Role;
}

export interface InviteOutcome {
  uri: string;
  code: number;
  reason?: string;
  /** For mode ask: to be put behind the conference's link as #invite=. */
  invite?: string;
}

export interface InviteResult {
  targets: InviteOutcome[];
}

export interface TransferParams {
  part?: string;
  dev?: string;
  /** Conference or sidebar. */
  to: string;
  keep?: boolean;
}

/** Result of participant.transfer: the devices that were told to go. */
export interface TransferResult {
  devices?: string[];
  already?: boolean;
}

export interface LayoutParams {
  mode: string;
  pins?: string[];
  scope?: "self" | "all";
}

export type FloorState = "pending" | "accepted" | "granted" | "denied" | "cancelled" | "released" | "revoked";

export interface FloorStatus {
  request: string;
  floor: string;
  status: FloorState;
  user: string;
  /** Place in the queue; 1 is next. */
  queue?: number;
}

export interface SidebarCreate {
  title?: string;
  /** Participants to move at once. */
  members?: string[];
  byVal?: boolean;
}

export interface SidebarResult {
  sidebar: string;
  uri: string;
}

export interface RecordingParams {
  layout?: string;
  tracks?: string[];
  consent?: boolean;
}

export type InputKind = "audioinput" | "videoinput" | "audiooutput";

export interface DeviceInput {
  id: string;
  kind: InputKind;
  label?: string;
}

export interface DeviceParams {
  /** Empty: the caller's own. */
  device?: string;
  kind?: string;
  label?: string;
  inputs?: DeviceInput[];
  active?: Partial<Record<InputKind, string>>;
  codecs?: string[];
}

export interface Presence {
  state?: "active" | "away" | "busy";
  note?: string;
  typing?: boolean;
}

export interface ChatParams {
  text: string;
  /** Empty: to all; else participants, or a role as "role:moderator". */
  to?: string[];
  replyTo?: string;
  cid?: string;
}

/** Result of chat.send. */
export interface ChatReceipt {
  id: string;
  at: string;
}

/** A chat message as everybody gets it; id and time are the server's. */
export interface ChatMessage {
  id: string;
  at: string;
  /** User entity. */
  from: string;
  name: string;
  text: string;
  to?: string[];
  replyTo?: string;
  cid?: string;
}

export interface SyncParams {
  ms: string;
  rev: number;
  tracks?: string[];
  subscriptions?: string[];
}

/** A conference that the server keeps: scheduled, active or ended. */
export interface Definition {
  uri: string;
  title?: string;
  state: "scheduled" | "active" | "ended";
  startsAt?: string;
  endsAt?: string;
  owner?: string;
  policy: Policy;
  banned?: string[];
  createdAt?: string;
  endedAt?: string;
  conf?: string;
  users?: number;
}
