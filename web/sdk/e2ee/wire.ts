// What the page and the worker of end-to-end encryption say to each other.

import type { FrameKind } from "./frames";
import type { Epoch } from "./keyring";

/** How one stream fares. none: nothing came yet. */
export type SealState = "none" | "waiting" | "secure" | "failed";

/** Names one sender's or receiver's transform. */
export interface Role {
  id: number;
  dir: "send" | "receive";
  kind: FrameKind;
}

export type ToWorker =
  | { t: "own"; index: number; epoch: Epoch }
  | { t: "member"; from: string; index: number }
  | { t: "key"; from: string; index: number; epoch: Epoch }
  | { t: "forget"; from: string }
  // Whose frames a receiver takes: a member's, any member's (null), nobody's ("").
  | { t: "expect"; id: number; from: string | null }
  | { t: "drop"; id: number }
  // Where the browser has no RTCRtpScriptTransform.
  | { t: "streams"; role: Role; readable: ReadableStream; writable: WritableStream }
  | { t: "count"; reply: number };

export type FromWorker =
  | { t: "state"; id: number; state: SealState; from: string | null }
  // A frame of a member came for which there is no key; of: its address, where one is expected.
  | { t: "missing"; of: string | null }
  | { t: "count"; reply: number; counts: Counts };

/** Frames since the start, for tests and the security panel. */
export interface Counts {
  sealed: number;
  withheld: number;
  opened: number;
  dropped: number;
}
