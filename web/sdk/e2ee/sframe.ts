// SFrame (RFC 9605): header, key derivation, and one frame sealed or opened, by
// WebCrypto. Pure: no state but what the caller holds. Which keys there are, and
// which counters were used, is keyring.ts.

import { concat, utf8, type Bytes } from "./bytes";

/** A cipher suite with GCM; those with CTR have shorter tags and are not offered here. */
export interface Suite {
  id: number;
  hash: "SHA-256" | "SHA-512";
  keyBytes: number;
}

/** RFC 9605, section 4.5. */
export const AES_128_GCM_SHA256_128: Suite = { id: 4, hash: "SHA-256", keyBytes: 16 };
export const AES_256_GCM_SHA512_128: Suite = { id: 5, hash: "SHA-512", keyBytes: 32 };

const SALT_BYTES = 12;
const TAG_BITS = 128;

export interface Header {
  kid: bigint;
  ctr: bigint;
  /** Bytes on the wire. */
  size: number;
}

/** What is derived from a base key for one KID (section 4.4.2). */
export interface FrameKey {
  key: CryptoKey;
  salt: Bytes;
}

// ---- header (section 4.3)

function minimal(n: bigint): number[] {
  const out: number[] = [];
  for (; n > 0n; n >>= 8n) out.unshift(Number(n & 0xffn));
  return out;
}

const U64 = 1n << 64n;

export function encodeHeader(kid: bigint, ctr: bigint): Bytes {
  if (kid < 0n || ctr < 0n || kid >= U64 || ctr >= U64) throw new RangeError("KID and CTR have 64 bits");
  const k = kid < 8n ? [] : minimal(kid);
  const c = ctr < 8n ? [] : minimal(ctr);
  const config = (k.length ? 0x80 | ((k.length - 1) << 4) : Number(kid) << 4) | (c.length ? 0x08 | (c.length - 1) : Number(ctr));
  return new Uint8Array([config, ...k, ...c]);
}

/** Null: cut off, or not in the shortest form, which alone is valid. */
export function decodeHeader(b: Uint8Array): Header | null {
  if (b.length === 0) return null;
  const config = b[0]!;
  let at = 1;
  const field = (extended: boolean, bits: number): bigint | null => {
    if (!extended) return BigInt(bits);
    const n = bits + 1;
    if (at + n > b.length || b[at] === 0) return null;
    let v = 0n;
    for (let i = 0; i < n; i++) v = (v << 8n) | BigInt(b[at + i]!);
    at += n;
    return v < 8n ? null : v;
  };
  const kid = field((config & 0x80) !== 0, (config >> 4) & 7);
  if (kid === null) return null;
  const ctr = field((config & 0x08) !== 0, config & 7);
  return ctr === null ? null : { kid, ctr, size: at };
}

// ---- keys (section 4.4.2)

function be(n: bigint, bytes: number): Bytes {
  const out = new Uint8Array(bytes);
  for (let i = bytes - 1; i >= 0; i--, n >>= 8n) out[i] = Number(n & 0xffn);
  return out;
}

/** HKDF-Extract with an empty salt and HKDF-Expand in one (RFC 5869). */
export async function hkdf(hash: string, ikm: Bytes, info: Bytes, bytes: number, salt: Bytes = new Uint8Array(0)): Promise<Bytes> {
  const k = await crypto.subtle.importKey("raw", ikm, "HKDF", false, ["deriveBits"]);
  return new Uint8Array(await crypto.subtle.deriveBits({ name: "HKDF", hash, salt, info }, k, bytes * 8));
}

/** The bytes behind a frame key; for tests. */
export async function deriveRaw(suite: Suite, base: Bytes, kid: bigint): Promise<{ key: Bytes; salt: Bytes }> {
  const tail = concat(be(kid, 8), be(BigInt(suite.id), 2));
  return {
    key: await hkdf(suite.hash, base, concat(utf8("SFrame 1.0 Secret key "), tail), suite.keyBytes),
    salt: await hkdf(suite.hash, base, concat(utf8("SFrame 1.0 Secret salt "), tail), SALT_BYTES),
  };
}

export async function derive(suite: Suite, base: Bytes, kid: bigint): Promise<FrameKey> {
  const raw = await deriveRaw(suite, base, kid);
  return { key: await crypto.subtle.importKey("raw", raw.key, "AES-GCM", false, ["encrypt", "decrypt"]), salt: raw.salt };
}

/** Section 4.4.3. */
export function nonce(salt: Uint8Array, ctr: bigint): Bytes {
  const out = be(ctr, SALT_BYTES);
  for (let i = 0; i < SALT_BYTES; i++) out[i]! ^= salt[i]!;
  return out;
}

// ---- one frame (sections 4.4.3 and 4.4.4)

/** Header and ciphertext. Metadata is authenticated and not carried. */
export async function seal(k: FrameKey, kid: bigint, ctr: bigint, metadata: Uint8Array, plain: Bytes): Promise<Bytes> {
  const header = encodeHeader(kid, ctr);
  const algorithm = { name: "AES-GCM", iv: nonce(k.salt, ctr), additionalData: concat(header, metadata), tagLength: TAG_BITS };
  return concat(header, new Uint8Array(await crypto.subtle.encrypt(algorithm, k.key, plain)));
}

/** The plaintext; null when it is not what was sealed. */
export async function open(k: FrameKey, h: Header, metadata: Uint8Array, sealed: Bytes): Promise<Bytes | null> {
  const header = sealed.subarray(0, h.size);
  const algorithm = { name: "AES-GCM", iv: nonce(k.salt, h.ctr), additionalData: concat(header, metadata), tagLength: TAG_BITS };
  try {
    return new Uint8Array(await crypto.subtle.decrypt(algorithm, k.key, sealed.subarray(h.size)));
  } catch {
    return null;
  }
}
