// What a tab needs to come back as the same person after it was killed: the
// session's resume key, kept per device beside the device id.

import { safeStorage } from "./ids";
import type { Welcome } from "./protocol";

const KEY = "parley.resume.";

export interface ResumeKey {
  session: string;
  token: string;
  lastSeq: number;
}

/** Keeps the key of a session; as is who the access token stands for, in the caller's words. */
export function rememberSession(device: string, room: string, as: string, w: Welcome): void {
  const kept = { session: w.session, token: w.resumeToken, lastSeq: w.seq ?? 0, as, room };
  try {
    safeStorage("localStorage")?.setItem(KEY + device, JSON.stringify(kept));
  } catch {
    // Full: a killed tab will come back as a new session of the same device.
  }
}

/** The kept key, if it is of this room and this person. */
export function recallSession(device: string, room: string, as: string): ResumeKey | null {
  const text = safeStorage("localStorage")?.getItem(KEY + device);
  if (!text) return null;
  try {
    const k = JSON.parse(text) as ResumeKey & { room: string; as: string };
    return k.room === room && k.as === as ? k : null;
  } catch {
    return null;
  }
}

export function forgetSession(device: string): void {
  safeStorage("localStorage")?.removeItem(KEY + device);
}
