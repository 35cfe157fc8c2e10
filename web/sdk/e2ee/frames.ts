// What of an encoded frame stays clear, and a frame sealed and opened as a whole:
//
//   clear bytes | SFrame header | ciphertext and tag
//
// VP8 is the codec of encrypted calls: an SFU needs its payload descriptor, which
// is outside of the frame, and the frame's first bytes (RFC 6386, section 9.1):
// whether it is a key frame, and then its size. All that is clear is authenticated
// with the kind of medium, so that nothing can be made of it but what it was.

import { concat, type Bytes } from "./bytes";
import type { Outcome, ReceiverRing, SenderRing } from "./keyring";
import { decodeHeader } from "./sframe";

export type FrameKind = "audio" | "video";

const KEY_FRAME = 10; // frame tag, start code, width, height
const DELTA_FRAME = 3; // frame tag

/** How many bytes stay clear; known from the bytes themselves. Sound has none. */
export function clearBytes(kind: FrameKind, frame: Uint8Array): number {
  if (kind === "audio") return 0;
  return (frame[0]! & 1) === 0 ? KEY_FRAME : DELTA_FRAME;
}

const marks: Record<FrameKind, Uint8Array> = { audio: new Uint8Array([0]), video: new Uint8Array([1]) };

/** Null: it must not leave. */
export async function sealFrame(ring: SenderRing, kind: FrameKind, frame: Bytes): Promise<Bytes | null> {
  const clear = frame.subarray(0, clearBytes(kind, frame));
  if (frame.length <= clear.length && kind === "video") return null; // no picture is that short
  const sealed = await ring.seal(concat(marks[kind], clear), frame.subarray(clear.length));
  return sealed && concat(clear, sealed);
}

/** The frame, or why it must not be shown. */
export async function openFrame(ring: ReceiverRing, expected: string | null, kind: FrameKind, frame: Bytes): Promise<{ plain: Bytes; from: string } | Outcome> {
  const clear = frame.subarray(0, clearBytes(kind, frame));
  const sealed = frame.subarray(clear.length);
  const h = decodeHeader(sealed);
  if (!h) return "forged";
  const got = await ring.open(expected, h, concat(marks[kind], clear), sealed);
  return typeof got === "string" ? got : { plain: concat(clear, got.plain), from: got.from };
}

/** Whether frames of a codec are sealed here; others never leave. Unknown: an older browser, to which only these were offered. */
export function sealable(kind: FrameKind, mimeType: string | undefined): boolean {
  if (!mimeType) return true;
  return mimeType.toLowerCase() === (kind === "audio" ? "audio/opus" : "video/vp8");
}
