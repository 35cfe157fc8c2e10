import { afterEach, beforeEach, describe, expect, test, vi } from "vitest";
import { fromBase64, random, toBase64 } from "./bytes";
import { Pair } from "./envelope";
import { openFrame, sealFrame } from "./frames";
import { identity, sessionKeys, verify, type KeyStore, type PublicKeys } from "./identity";
import { ReceiverRing, SenderRing } from "./keyring";
import { personNumber, safetyNumber } from "./safety";
import { Sealing, type Message } from "./sealing";
import type { WorkerPort } from "./transforms";
import type { FromWorker, ToWorker } from "./wire";

const text = (b: Uint8Array) => String.fromCharCode(...b);
const memory = (): KeyStore => {
  let kept: CryptoKeyPair | undefined;
  return { load: async () => kept, save: async (p) => void (kept ??= p) };
};
const fresh = async () => sessionKeys(await identity(memory()));

describe("identity", () => {
  test("is kept, cannot be exported, and signs a fresh key for each stay", async () => {
    const store = memory();
    const a = await sessionKeys(await identity(store));
    const b = await sessionKeys(await identity(store));
    expect(a.public.identity).toBe(b.public.identity);
    expect(a.public.key).not.toBe(b.public.key);
    expect(await verify(a.public)).toBe(true);
    await expect(crypto.subtle.exportKey("jwk", (await identity(store)).privateKey)).rejects.toThrow();
    await expect(crypto.subtle.exportKey("jwk", a.agree)).rejects.toThrow();
    expect([fromBase64(a.public.identity)!.length, fromBase64(a.public.key)!.length, fromBase64(a.public.sig)!.length]).toEqual([65, 65, 64]);
  });
  test("of somebody else does not verify, nor what is no key", async () => {
    const [a, b] = [await fresh(), await fresh()];
    for (const bad of [
      { ...a.public, identity: b.public.identity }, { ...a.public, key: b.public.key }, { ...a.public, sig: b.public.sig }, { ...a.public, key: "" },
      { ...a.public, identity: toBase64(random(65)) }, { ...a.public, sig: "!" }, { ...a.public, identity: a.public.identity.slice(0, -2) },
    ]) expect(await verify(bad)).toBe(false);
  });
});

describe("envelopes", () => {
  const letter = { type: "key" as const, seq: 3, epoch: { generation: 2, step: 1, key: random(32) } };
  test("are opened by the one they are for, from the one who wrote them, in their conference", async () => {
    const [a, b, c] = [await fresh(), await fresh(), await fresh()];
    const pair = (conf: string, me: typeof a, other: typeof a) => Pair.of(conf, me.agree, me.public.key, other.public.key);
    const sealed = await (await pair("room", a, b)).seal(letter);
    expect(await (await pair("room", b, a)).open(sealed)).toEqual(letter);
    expect(await (await pair("other", b, a)).open(sealed)).toBeNull();
    expect(await (await pair("room", b, c)).open(sealed)).toBeNull(); // says it is from another one
    expect(await (await pair("room", c, a)).open(sealed)).toBeNull(); // brought to another one
    expect(await (await pair("room", a, b)).open(sealed)).toBeNull(); // sent back to its writer
    const raw = fromBase64(sealed)!;
    for (let i = 0; i < raw.length; i++) {
      const bad = raw.slice();
      bad[i]! ^= 4;
      expect(await (await pair("room", b, a)).open(toBase64(bad))).toBeNull();
    }
    for (const bad of ["", "AAAA", "not base64!", toBase64(raw.subarray(0, 20))]) expect(await (await pair("room", b, a)).open(bad)).toBeNull();
    expect(text(raw).includes(text(letter.epoch.key))).toBe(false);
  });
});

describe("safety number", () => {
  test("is the same for all in any order, and another one when an identity is swapped, added or missing", async () => {
    const ids = await Promise.all([1, 2, 3].map(async () => (await fresh()).public.identity));
    const n = await safetyNumber(ids);
    expect(n).toMatch(/^(\d{5} ){11}\d{5}$/);
    expect(await safetyNumber([...ids].reverse())).toBe(n);
    expect(await safetyNumber([...ids, ids[0]!])).toBe(n);
    const other = (await fresh()).public.identity;
    for (let i = 0; i < ids.length; i++) expect(await safetyNumber(ids.map((x, k) => (k === i ? other : x)))).not.toBe(n);
    expect(await safetyNumber([...ids, other])).not.toBe(n);
    expect(await safetyNumber(ids.slice(1))).not.toBe(n);
    expect(await personNumber(ids[0]!)).toMatch(/^(\d{5} ){5}\d{5}$/);
  });
});

// ---- several members and a server in between

/** The worker's part, in the test's own thread. */
class FakeWorker implements WorkerPort {
  own = new SenderRing();
  others = new ReceiverRing();
  onmessage: ((e: MessageEvent) => void) | null = null;
  places: string[] = [];
  ended = false;
  private chain: Promise<unknown> = Promise.resolve();
  postMessage(m: ToWorker) {
    if (m.t === "own") {
      this.places.push(`${m.epoch.generation}.${m.epoch.step}`);
      this.chain = this.own.use(m.index, m.epoch);
    } else if (m.t === "member") this.others.meet(m.from, m.index);
    else if (m.t === "key") this.others.add(m.from, m.index, m.epoch);
    else if (m.t === "forget") this.others.forget(m.from);
  }
  terminate() {
    this.ended = true;
  }
  tell(m: FromWorker) {
    this.onmessage?.({ data: m } as MessageEvent);
  }
  async seal() {
    await this.chain;
    return sealFrame(this.own, "audio", random(40));
  }
}

class House {
  members: Member[] = [];
  bodies: string[] = [];
  failing = 0;
  /** What the server shows of a member; a lying one shows something else. */
  shown = (m: Member, _to: Member): PublicKeys => m.keys.public;

  async enter(): Promise<Member> {
    const m = new Member(this, await fresh());
    this.members.push(m);
    this.tell();
    return m;
  }
  leave(m: Member) {
    this.members = this.members.filter((x) => x !== m);
    this.tell();
  }
  tell() {
    for (const to of this.members) to.seal.follow(this.members.map((m) => (m === to ? m.keys.public : this.shown(m, to))));
  }
  async send(from: Member, list: Message[]) {
    if (this.failing > 0) {
      this.failing--;
      throw new Error("lost");
    }
    for (const l of list) {
      this.bodies.push(l.body);
      this.members.find((m) => m.keys.public.key === l.to)?.seal.letter(from.keys.public.key, l.body);
    }
  }
}

class Member {
  worker = new FakeWorker();
  seal: Sealing;
  constructor(house: House, readonly keys: Awaited<ReturnType<typeof fresh>>) {
    this.seal = new Sealing({ conf: "room", keys, worker: this.worker, send: (l) => house.send(this, l) });
  }
  async reads(from: Member): Promise<boolean> {
    return typeof (await openFrame(this.worker.others, from.keys.public.key, "audio", (await from.worker.seal())!)) !== "string";
  }
}

let house: House;
beforeEach(() => {
  house = new House();
});
afterEach(() => house.members.forEach((m) => m.seal.close()));

const until = (fn: () => Promise<boolean> | boolean) => vi.waitFor(async () => expect(await fn()).toBe(true), { timeout: 15_000, interval: 20 });

describe("members", () => {
  test("read one another once keys were exchanged; the number is the same for all", async () => {
    const [a, b] = [await house.enter(), await house.enter()];
    await until(async () => (await a.reads(b)) && (await b.reads(a)));
    await until(() => a.seal.number !== "" && a.seal.number === b.seal.number);
    expect(a.seal.members.map((m) => m.key)).toEqual([b.keys.public.key]);
    expect(a.seal.members[0]!.number).toBe(b.seal.self.number);
  });

  test("who comes makes a new epoch and opens nothing of before; who leaves makes a random one", async () => {
    const [a, b] = [await house.enter(), await house.enter()];
    await until(async () => (await a.reads(b)) && (await b.reads(a)));
    const before = a.seal.place;
    const early = (await a.worker.seal())!;
    const c = await house.enter();
    await until(async () => (await c.reads(a)) && (await c.reads(b)) && (await a.reads(c)) && (await b.reads(a)));
    expect(a.seal.place).not.toBe(before);
    expect(typeof (await openFrame(c.worker.others, a.keys.public.key, "audio", early))).toBe("string");
    const middle = a.seal.place;
    const letters = c.worker.others;
    house.leave(c);
    await until(() => a.worker.places.at(-1)!.split(".")[0] !== middle.split(".")[0]);
    await until(async () => (await a.reads(b)) && (await b.reads(a)));
    expect(typeof (await openFrame(letters, a.keys.public.key, "audio", (await a.worker.seal())!))).toBe("string");
    c.seal.close();
    expect(c.worker.ended).toBe(true);
  });

  test("nothing that the server carries holds a key in the clear", async () => {
    const [a, b] = [await house.enter(), await house.enter()];
    await until(async () => (await a.reads(b)) && (await b.reads(a)));
    const key = (a.seal as unknown as { epoch: { key: Uint8Array } }).epoch.key;
    expect(house.bodies.length).toBeGreaterThan(1);
    for (const body of house.bodies) expect(text(fromBase64(body)!).includes(text(key))).toBe(false);
  });

  test("a lost request is made again, and a missing key asked for", async () => {
    house.failing = 1;
    const [a, b] = [await house.enter(), await house.enter()];
    await until(async () => (await a.reads(b)) && (await b.reads(a)));
    a.worker.others.forget(b.keys.public.key);
    a.worker.others.meet(b.keys.public.key, -1);
    const adds = vi.spyOn(a.worker.others, "add");
    a.worker.tell({ t: "missing", of: b.keys.public.key });
    await until(() => adds.mock.calls.length > 0);
  });

  test("a swapped identity key changes the number for who is lied to, and keys that do not verify get nothing", async () => {
    const [a, b] = [await house.enter(), await house.enter()];
    await until(() => a.seal.number !== "" && a.seal.number === b.seal.number && a.seal.members.length === 1);
    const honest = a.seal.number;
    // The server in the middle has keys of its own, well signed by an identity of its own.
    const mallory = await fresh();
    house.shown = (m, to) => (m === b && to === a ? mallory.public : m.keys.public);
    house.tell();
    await until(() => a.seal.members[0]?.identity === mallory.public.identity && a.seal.number !== honest);
    expect(b.seal.number).toBe(honest);
    // Only the identity swapped, without its signature: not a member at all.
    house.shown = (m, to) => (m === b && to === a ? { ...m.keys.public, identity: mallory.public.identity } : m.keys.public);
    house.tell();
    await until(() => a.seal.members.length === 0);
    expect(await a.reads(b)).toBe(false);
  });

  test("letters that come again count for nothing, even after a return", async () => {
    const [a, b] = [await house.enter(), await house.enter()];
    await until(async () => (await a.reads(b)) && (await b.reads(a)));
    const forA: string[] = [];
    for (const body of house.bodies) forA.push(body);
    const all = [...house.members];
    house.members = [a];
    house.tell();
    await until(() => a.seal.members.length === 0);
    const adds = vi.spyOn(a.worker.others, "add");
    // The others do not know of this: they write nothing new.
    a.seal.follow(all.map((m) => m.keys.public));
    await until(() => a.seal.members.length === 1);
    for (const body of forA) a.seal.letter(b.keys.public.key, body);
    await (a.seal as unknown as { chain: Promise<unknown> }).chain;
    expect(adds).not.toHaveBeenCalled();
  });
});
