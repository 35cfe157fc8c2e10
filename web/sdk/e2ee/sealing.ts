// End-to-end encryption of one stay in a conference, as seen by the page: who the
// members are by the roster, which key we send with, who was told of it, and how
// each stream fares. The worker has the keys that frames are opened with.
//
// Who comes: our key goes one step on, which those who have it derive themselves,
// and the newcomer is told the new step. Who leaves: a random key for those who
// remain, and we seal with it when they have it.

import { fromBase64, random } from "./bytes";
import { Emitter } from "../emitter";
import { Pair, type Letter } from "./envelope";
import { verify, type PublicKeys, type SessionKeys } from "./identity";
import { indexOf, MAX_GENERATION, MAX_STEP, ratchet, type Epoch } from "./keyring";
import { personNumber, safetyNumber } from "./safety";
import { Transforms, type WorkerPort } from "./transforms";
import type { Counts, FromWorker, SealState } from "./wire";

export interface SealingEvents {
  /** Members, our key, the safety number or the state of a stream changed. */
  changed: void;
}

export interface Message {
  to: string;
  body: string;
}

export interface SealingOptions {
  /** Name of the conference, the same for all members. */
  conf: string;
  keys: SessionKeys;
  worker: WorkerPort;
  send: (messages: Message[]) => Promise<unknown>;
}

/** A member as others see it. */
export interface Sealed {
  key: string;
  identity: string;
  /** Six groups of digits for the identity. */
  number: string;
}

/** Numbers of the letters to and from one member. They outlive its membership, so that no letter counts twice. */
interface Post {
  sent: number;
  seen: number;
}

interface Known extends Sealed {
  index: number;
  pair: Pair;
  post: Post;
  asked: number;
  answered: number;
}

const BATCH = 64; // messages in one request
const RETRY_MS = 1_000;
const OVERLAP_MS = 200; // after a new key was told, before it is used
const PATIENCE_MS = 2_000; // no longer: who left must not read on because a message is stuck
const ASK_MS = 2_000;
const EARLY = 64; // messages of members that the roster does not show yet
const EARLY_MS = 10_000;

const wait = (ms: number) => new Promise<void>((resolve) => setTimeout(resolve, ms));

/** See the head of this file. Made by {@link RoomSeal}. */
export class Sealing extends Emitter<SealingEvents> {
  readonly transforms: Transforms;
  /** For all members, and "" until it is worked out. */
  number = "";

  private epoch: Epoch = { generation: 0, step: 0, key: random(32) };
  private index = -1;
  private readonly known = new Map<string, Known>();
  private readonly posts = new Map<string, Post>();
  private readonly expected = new Map<number, string | null>();
  private readonly genuine = new Map<string, Promise<boolean>>();
  private wanted: PublicKeys[] = [];
  private readonly owed = new Set<string>();
  private early: { from: string; body: string; at: number }[] = [];
  private readonly states = new Map<number, { state: SealState; from: string | null }>();
  private chain: Promise<unknown> = Promise.resolve();
  private switching = 0;
  private retry?: ReturnType<typeof setTimeout>;
  private closed = false;
  private replies = new Map<number, (c: Counts) => void>();
  private lastReply = 0;
  private mine = "";

  constructor(private readonly opts: SealingOptions) {
    super();
    this.transforms = new Transforms(opts.worker);
    opts.worker.onmessage = (e) => this.heard(e.data as FromWorker);
    void this.inTurn(async () => {
      this.index = await indexOf(fromBase64(opts.keys.public.key)!);
      this.mine = await personNumber(opts.keys.public.identity);
      this.use();
      await this.count();
    });
  }

  /** Our own keys; the first of those that the safety number is made of. */
  get self(): Sealed {
    const { key, identity } = this.opts.keys.public;
    return { key, identity, number: this.mine };
  }

  /** The others whose keys are genuine. */
  get members(): Sealed[] {
    return [...this.known.values()].map(({ key, identity, number }) => ({ key, identity, number }));
  }

  /** Generation and step of the key that we seal with. */
  get place(): string {
    return `${this.epoch.generation}.${this.epoch.step}`;
  }

  // ---- members

  /** Who is in the conference, by its document. */
  follow(members: PublicKeys[]): void {
    this.wanted = members.filter((m) => m.key !== this.opts.keys.public.key);
    void this.inTurn(() => this.settle());
  }

  private async settle(): Promise<void> {
    const here = new Map<string, PublicKeys>();
    for (const m of this.wanted) if (await this.isGenuine(m)) here.set(m.key, m);
    const left = [...this.known.values()].filter((k) => here.get(k.key)?.identity !== k.identity);
    for (const k of left) this.drop(k);
    const joined: Known[] = [];
    for (const m of here.values()) {
      if (this.known.has(m.key)) continue;
      const k = await this.meet(m);
      if (k) joined.push(k);
    }
    if (this.closed || (left.length === 0 && joined.length === 0)) return;
    for (const k of joined) this.owed.add(k.key);
    if (left.length > 0) this.renew();
    else await this.advance();
    await this.hearEarly();
    await this.count();
  }

  private isGenuine(m: PublicKeys): Promise<boolean> {
    const name = `${m.identity} ${m.key} ${m.sig}`;
    let known = this.genuine.get(name);
    if (!known) this.genuine.set(name, (known = verify(m)));
    return known;
  }

  private async meet(m: PublicKeys): Promise<Known | null> {
    try {
      const { key, identity } = m;
      const pair = await Pair.of(this.opts.conf, this.opts.keys.agree, this.opts.keys.public.key, key);
      let post = this.posts.get(key);
      if (!post) this.posts.set(key, (post = { sent: 0, seen: 0 }));
      const k = { key, identity, number: await personNumber(identity), index: await indexOf(fromBase64(key)!), pair, post, asked: 0, answered: 0 };
      this.known.set(key, k);
      this.opts.worker.postMessage({ t: "member", from: key, index: k.index });
      return k;
    } catch {
      return null; // no point of the curve: such a one is told nothing
    }
  }

  private drop(k: Known): void {
    this.known.delete(k.key);
    this.owed.delete(k.key);
    this.opts.worker.postMessage({ t: "forget", from: k.key });
  }

  // ---- our key

  /** One step on, at once: who has the key derives it. */
  private async advance(): Promise<void> {
    if (this.epoch.step >= MAX_STEP) {
      this.renew();
      return;
    }
    this.epoch = await ratchet(this.epoch);
    if (!this.switching) this.use();
    void this.flush();
  }

  /** Another key, which who left does not know; used when the others have it. */
  private renew(): void {
    const generation = (this.epoch.generation + 1) & MAX_GENERATION;
    this.epoch = { generation, step: 0, key: random(32) };
    for (const key of this.known.keys()) this.owed.add(key);
    const turn = ++this.switching;
    void (async () => {
      if (this.known.size > 0) {
        await Promise.race([this.flush(), wait(PATIENCE_MS)]);
        await wait(OVERLAP_MS);
      }
      if (turn !== this.switching || this.closed) return; // a later one is on its way
      this.switching = 0;
      this.use();
    })();
  }

  private use(): void {
    this.opts.worker.postMessage({ t: "own", index: this.index, epoch: this.epoch });
    this.emit("changed", undefined);
  }

  /** Tells our key to those who have not got it. */
  private async flush(): Promise<void> {
    while (this.owed.size > 0 && !this.closed) {
      const to = [...this.owed].slice(0, BATCH).flatMap((key) => this.known.get(key) ?? []);
      for (const k of to) this.owed.delete(k.key);
      try {
        await this.write(to, (seq) => ({ type: "key", seq, epoch: this.epoch }));
      } catch {
        for (const k of to) if (this.known.has(k.key)) this.owed.add(k.key);
        clearTimeout(this.retry);
        this.retry = setTimeout(() => void this.flush(), RETRY_MS);
        return;
      }
    }
  }

  private async write(to: Known[], letter: (seq: number) => Letter): Promise<void> {
    if (to.length === 0) return;
    await this.opts.send(await Promise.all(to.map(async (k) => ({ to: k.key, body: await k.pair.seal(letter(++k.post.sent)) }))));
  }

  // ---- what others write

  /** A message that the server brought; from is its word, which the envelope proves. */
  letter(from: string, body: string): void {
    void this.inTurn(() => this.read(from, body));
  }

  private async read(from: string, body: string): Promise<void> {
    const k = this.known.get(from);
    if (!k) {
      this.early.push({ from, body, at: Date.now() });
      if (this.early.length > EARLY) this.early.shift();
      return;
    }
    const l = await k.pair.open(body);
    if (!l || l.seq <= k.post.seen) return;
    k.post.seen = l.seq;
    if (l.type === "key") this.opts.worker.postMessage({ t: "key", from, index: k.index, epoch: l.epoch });
    else if (Date.now() - k.answered >= ASK_MS / 2) {
      k.answered = Date.now();
      this.owed.add(from);
      void this.flush();
    }
  }

  private async hearEarly(): Promise<void> {
    const list = this.early.filter((e) => Date.now() - e.at < EARLY_MS);
    this.early = [];
    for (const e of list) await this.read(e.from, e.body);
  }

  // ---- streams

  /** Whose frames a receiver takes: a member's by its key, any member's (null), nobody's (""). */
  expect(r: RTCRtpReceiver, from: string | null): void {
    const id = this.transforms.idOf(r);
    if (id === undefined || this.expected.get(id) === from) return;
    this.expected.set(id, from);
    this.opts.worker.postMessage({ t: "expect", id, from });
  }

  stateOf(r: RTCRtpReceiver): SealState {
    const id = this.transforms.idOf(r);
    return (id !== undefined && this.states.get(id)?.state) || "none";
  }

  private heard(m: FromWorker): void {
    if (m.t === "state") {
      this.states.set(m.id, { state: m.state, from: m.from });
      this.emit("changed", undefined);
    } else if (m.t === "missing") this.ask(m.of);
    else this.replies.get(m.reply)?.(m.counts);
  }

  /** A key is missing: its message was lost, or has not come yet. */
  private ask(of: string | null): void {
    const now = Date.now();
    const whom = [...this.known.values()].filter((k) => (of === null || k.key === of) && now - k.asked >= ASK_MS);
    for (const k of whom) k.asked = now;
    void this.write(whom, (seq) => ({ type: "want", seq })).catch(() => undefined);
  }

  /** Frames so far, by the worker. */
  counts(): Promise<Counts> {
    const reply = ++this.lastReply;
    return new Promise((resolve) => {
      this.replies.set(reply, (c) => (this.replies.delete(reply), resolve(c)));
      this.opts.worker.postMessage({ t: "count", reply });
    });
  }

  private async count(): Promise<void> {
    this.number = await safetyNumber([this.opts.keys.public.identity, ...[...this.known.values()].map((k) => k.identity)]);
    this.emit("changed", undefined);
  }

  /** One change after another. */
  private inTurn(fn: () => Promise<void>): Promise<void> {
    const run = this.chain.then(() => (this.closed ? undefined : fn()));
    this.chain = run.catch(() => undefined);
    return run.catch(() => undefined);
  }

  close(): void {
    this.closed = true;
    clearTimeout(this.retry);
    this.opts.worker.onmessage = null;
    this.opts.worker.terminate();
  }
}
