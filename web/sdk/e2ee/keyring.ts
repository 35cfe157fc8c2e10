// The sender keys of a call: our own with its counter, and those of others with
// what was received under each. Runs in the worker; knows no thread and no frame.
//
// A KID names a sender (28 bits of the hash of its session key), a generation and
// a step. Each generation begins with a random key; each step is derived from the
// one before and tells nothing of it. So who comes is given the step of that
// moment and can open nothing of before; who leaves is followed by a generation
// that it was not told.

import { utf8, type Bytes } from "./bytes";
import { AES_128_GCM_SHA256_128, derive, hkdf, open, seal, type FrameKey, type Header, type Suite } from "./sframe";

/** A base key and its place. */
export interface Epoch {
  generation: number;
  step: number;
  key: Bytes;
}

export const MAX_GENERATION = 0xfff;
export const MAX_STEP = 0xff;
const INDEX_BITS = 28n;

export function kidOf(index: number, generation: number, step: number): bigint {
  return (BigInt(index) << 20n) | (BigInt(generation) << 8n) | BigInt(step);
}

/** Null: no KID of ours. */
export function readKid(kid: bigint): { index: number; generation: number; step: number } | null {
  if (kid >> (20n + INDEX_BITS) !== 0n) return null;
  return { index: Number(kid >> 20n), generation: Number((kid >> 8n) & 0xfffn), step: Number(kid & 0xffn) };
}

/** The number of a sender: of its session's public key. */
export async function indexOf(key: Bytes): Promise<number> {
  const h = new DataView(await crypto.subtle.digest("SHA-256", key));
  return h.getUint32(0) >>> 4;
}

/** The next step of a generation, from which this one cannot be found. */
export async function ratchet(e: Epoch): Promise<Epoch> {
  return { generation: e.generation, step: e.step + 1, key: await hkdf("SHA-256", e.key, utf8("Parley SFrame ratchet 1"), e.key.length) };
}

// ---- sending

/** Seals under one key at a time; without one nothing comes out. */
export class SenderRing {
  private kid = 0n;
  private ctr = 0n;
  private frame: FrameKey | null = null;
  private turn = 0;

  constructor(private readonly suite: Suite = AES_128_GCM_SHA256_128) {}

  get ready(): boolean {
    return this.frame !== null;
  }

  async use(index: number, e: Epoch): Promise<void> {
    const turn = ++this.turn;
    const kid = kidOf(index, e.generation, e.step);
    const frame = await derive(this.suite, e.key, kid);
    // A later one overtook; or the same key again, whose counter must not begin anew.
    if (turn !== this.turn || (this.frame && kid === this.kid)) return;
    [this.kid, this.ctr, this.frame] = [kid, 0n, frame];
  }

  /** Null: there is no key. The counter is taken before anything is awaited, so that none is used twice. */
  async seal(metadata: Uint8Array, plain: Bytes): Promise<Bytes | null> {
    const { frame, kid } = this;
    if (!frame) return null;
    return seal(frame, kid, this.ctr++, metadata, plain);
  }
}

// ---- receiving

/** Frames may come late by retransmission, while sound of the same sender counts on. */
const WINDOW = 4096;

/** Counters that were seen, in a window that moves on. */
export class ReplayWindow {
  private readonly bits = new Uint32Array(WINDOW / 32);
  private top = -1n;

  /** Whether a counter is new, and not so old that it cannot be told. */
  fresh(ctr: bigint): boolean {
    if (ctr > this.top) return true;
    if (this.top - ctr >= BigInt(WINDOW)) return false;
    const i = Number(ctr % BigInt(WINDOW));
    return (this.bits[i >> 5]! & (1 << (i & 31))) === 0;
  }

  /** To be called once the frame is known to be genuine. */
  mark(ctr: bigint): void {
    if (ctr > this.top) {
      if (ctr - this.top >= BigInt(WINDOW)) this.bits.fill(0);
      else for (let c = this.top + 1n; c <= ctr; c++) this.put(c, false);
      this.top = ctr;
    }
    this.put(ctr, true);
  }

  private put(ctr: bigint, on: boolean): void {
    const i = Number(ctr % BigInt(WINDOW));
    if (on) this.bits[i >> 5]! |= 1 << (i & 31);
    else this.bits[i >> 5]! &= ~(1 << (i & 31));
  }
}

/** A step of a generation: what was received under it outlives the key. */
interface Slot {
  frame: FrameKey | null;
  window: ReplayWindow;
}

interface Generation {
  /** The step we were told, from which later ones follow; null: its owner has left. */
  told: Epoch | null;
  slots: Map<number, Slot>;
  /** When it ends, since another one has begun; 0: it is the last. */
  until: number;
}

interface Sender {
  index: number;
  here: boolean;
  generations: Map<number, Generation>;
}

/** How a frame fared. missing: no key for it; stale: an old key, or seen before; forged: not what was sealed; stranger: of nobody who may be here. */
export type Outcome = "missing" | "stale" | "forged" | "stranger";

/** A generation outlives the next one's beginning by this: frames are still on their way. No longer, since who left knows it. */
const KEEP_MS = 10_000;
/** Of so many who left it is still known what they sent. */
const GONE = 256;

/** The keys of the others, by their address. */
export class ReceiverRing {
  private readonly senders = new Map<string, Sender>();

  constructor(private readonly suite: Suite = AES_128_GCM_SHA256_128, private readonly now: () => number = Date.now) {}

  /** A member, of whom there need be no key yet. */
  meet(from: string, index: number): void {
    const s = this.senders.get(from);
    if (s) s.here = true;
    else this.senders.set(from, { index, here: true, generations: new Map() });
  }

  /** A key that a member told us. */
  add(from: string, index: number, told: Epoch): void {
    this.meet(from, index);
    const s = this.senders.get(from)!;
    const old = s.generations.get(told.generation);
    if (!old) s.generations.set(told.generation, { told, slots: new Map(), until: 0 });
    else if (!old.told || told.step < old.told.step) old.told = told; // later steps follow from the one we know
    for (const [n, g] of s.generations) {
      if (n !== told.generation) g.until ||= this.now() + KEEP_MS;
      if (this.over(g)) s.generations.delete(n);
    }
  }

  private over(g: Generation): boolean {
    return g.until > 0 && this.now() >= g.until;
  }

  /** Its keys go. What came from it stays known: a server that shows it leave and return must not replay it. */
  forget(from: string): void {
    const s = this.senders.get(from);
    if (!s) return;
    s.here = false;
    for (const g of s.generations.values()) {
      g.told = null;
      for (const slot of g.slots.values()) slot.frame = null;
    }
    this.senders.delete(from);
    this.senders.set(from, s); // the last to leave is kept longest
    const gone = [...this.senders].filter(([, x]) => !x.here);
    for (const [name] of gone.slice(0, Math.max(0, gone.length - GONE))) this.senders.delete(name);
  }

  /** Opens a frame of the sender expected; expected null: of any member. */
  async open(expected: string | null, h: Header, metadata: Uint8Array, sealed: Bytes): Promise<{ plain: Bytes; from: string } | Outcome> {
    const k = readKid(h.kid);
    if (!k) return "forged";
    const here = [...this.senders].filter(([, s]) => s.here && s.index === k.index);
    const may = here.filter(([from]) => expected === null || from === expected);
    // A member's number is known before its keys: another number is somebody else, or no frame of ours.
    if (may.length === 0) return here.length > 0 || (expected !== null && this.senders.get(expected)?.here) ? "stranger" : "missing";
    let worst: Outcome = "missing";
    for (const [from, s] of may) {
      const got = await this.openFrom(s, k, h, metadata, sealed);
      if (typeof got !== "string") return { plain: got, from };
      worst = got;
    }
    return worst;
  }

  private async openFrom(s: Sender, k: { generation: number; step: number }, h: Header, metadata: Uint8Array, sealed: Bytes): Promise<Bytes | Outcome> {
    const g = s.generations.get(k.generation);
    if (g && this.over(g)) return "stale";
    const known = g?.slots.get(k.step);
    if (!g || (!known?.frame && (!g.told || k.step < g.told.step))) return "missing";
    if (known && !known.window.fresh(h.ctr)) return "stale";
    const frame = known?.frame ?? (await this.frameKey(g.told!, k.step, h.kid));
    const plain = await open(frame, h, metadata, sealed);
    if (!plain) return "forged";
    // Others may have come this far, or the sender may have left, meanwhile: what is kept is what counts.
    if (!s.here || !g.told) return "missing";
    let kept = g.slots.get(k.step);
    if (!kept) g.slots.set(k.step, (kept = { frame, window: new ReplayWindow() }));
    if (!kept.window.fresh(h.ctr)) return "stale";
    kept.frame = frame;
    kept.window.mark(h.ctr);
    return plain;
  }

  private async frameKey(told: Epoch, step: number, kid: bigint): Promise<FrameKey> {
    let e = told;
    while (e.step < step) e = await ratchet(e);
    return derive(this.suite, e.key, kid);
  }
}
