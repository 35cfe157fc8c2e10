// The number that people compare by another way, to know that the server has put
// nobody in the middle and added nobody: made of the identity keys of all.

import { compare, concat, fromBase64, utf8, type Bytes } from "./bytes";

const GROUPS = 12;
const PERSON_GROUPS = 6;
const GROUP_BYTES = 5;
/** Makes it dear to search for keys with a similar number. */
const ROUNDS = 5_200;

/** Twelve groups of five digits; the same for all who see the same members. Keys that several devices share count once. */
export function safetyNumber(identities: Iterable<string>): Promise<string> {
  return digits("Parley safety number 1", identities, GROUPS);
}

/** Six groups for one identity. */
export function personNumber(identity: string): Promise<string> {
  return digits("Parley identity number 1", [identity], PERSON_GROUPS);
}

async function digits(salt: string, identities: Iterable<string>, groups: number): Promise<string> {
  const keys = [...new Set(identities)].map(fromBase64).filter((k): k is Bytes => k !== null && k.length > 0);
  if (keys.length === 0) return "";
  const all = await crypto.subtle.importKey("raw", concat(...keys.sort(compare)), "PBKDF2", false, ["deriveBits"]);
  const bits = await crypto.subtle.deriveBits({ name: "PBKDF2", hash: "SHA-256", salt: utf8(salt), iterations: ROUNDS }, all, groups * GROUP_BYTES * 8);
  const b = new Uint8Array(bits);
  const out: string[] = [];
  for (let i = 0; i < b.length; i += GROUP_BYTES) {
    const n = b.subarray(i, i + GROUP_BYTES).reduce((sum, x) => sum * 256 + x, 0);
    out.push(String(n % 100_000).padStart(5, "0"));
  }
  return out.join(" ");
}
