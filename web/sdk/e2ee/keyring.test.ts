import { describe, expect, test } from "vitest";
import { random, type Bytes } from "./bytes";
import { openFrame, sealable, sealFrame } from "./frames";
import { indexOf, kidOf, MAX_GENERATION, MAX_STEP, ratchet, ReceiverRing, readKid, ReplayWindow, SenderRing, type Epoch } from "./keyring";

const bytes = (...b: number[]) => Uint8Array.from(b) as Bytes;
const text = (b: Uint8Array) => String.fromCharCode(...b);
const epoch = (generation = 0, step = 0): Epoch => ({ generation, step, key: random(32) });
const picture = (key: boolean, n = 100) => {
  const f = random(n);
  f[0] = key ? f[0]! & 0xfe : f[0]! | 1;
  return f;
};

async function pair(e = epoch(), index = 7) {
  const tx = new SenderRing();
  const rx = new ReceiverRing();
  await tx.use(index, e);
  rx.add("ana", index, e);
  return { tx, rx, e, index };
}

describe("frames", () => {
  test("come through whole, and nothing but the clear bytes is in them", async () => {
    const { tx, rx } = await pair();
    for (const [kind, frame, clear] of [["video", picture(true), 10], ["video", picture(false), 3], ["audio", random(80), 0]] as const) {
      const sealed = (await sealFrame(tx, kind, frame))!;
      expect(sealed.subarray(0, clear)).toEqual(frame.subarray(0, clear));
      const all = text(sealed);
      for (let i = clear; i + 8 <= frame.length; i++) expect(all.includes(text(frame.subarray(i, i + 8)))).toBe(false);
      expect(await openFrame(rx, "ana", kind, sealed)).toEqual({ plain: frame, from: "ana" });
    }
  });
  test("changed anywhere, or of the other kind, are not opened: neither body nor clear bytes", async () => {
    const { tx, rx } = await pair();
    const sealed = (await sealFrame(tx, "video", picture(true, 40)))!;
    for (let i = 0; i < sealed.length; i++) {
      const bad = sealed.slice();
      bad[i]! ^= 1 << (i % 8);
      expect(typeof (await openFrame(rx, "ana", "video", bad))).toBe("string");
    }
    expect(typeof (await openFrame(rx, "ana", "audio", sealed))).toBe("string");
    expect(await openFrame(rx, "ana", "video", sealed)).toHaveProperty("plain");
  });
  test("without a key nothing leaves; what was never sealed is not shown", async () => {
    const tx = new SenderRing();
    expect(await sealFrame(tx, "video", picture(true))).toBeNull();
    expect(tx.ready).toBe(false);
    const { rx } = await pair();
    for (let i = 0; i < 200; i++) expect(typeof (await openFrame(rx, i % 2 ? "ana" : null, i % 3 ? "video" : "audio", random(1 + (i % 60))))).toBe("string");
  });
  test("of other codecs than VP8 and Opus never leave", () => {
    expect(sealable("video", "video/VP8")).toBe(true);
    expect(sealable("audio", "audio/opus")).toBe(true);
    expect(sealable("video", undefined)).toBe(true);
    for (const c of ["video/VP9", "video/H264", "video/AV1"]) expect(sealable("video", c)).toBe(false);
    for (const c of ["audio/red", "audio/PCMU"]) expect(sealable("audio", c)).toBe(false);
  });
});

describe("keys", () => {
  test("a KID holds sender, generation and step", () => {
    for (const [i, g, s] of [[0, 0, 0], [0xfffffff, MAX_GENERATION, MAX_STEP], [1, 2, 3]] as const) expect(readKid(kidOf(i, g, s))).toEqual({ index: i, generation: g, step: s });
    expect(readKid(1n << 48n)).toBeNull();
  });
  test("a sender's number is of its session key", async () => {
    const [a, b] = [random(65), random(65)];
    expect(await indexOf(a)).toBe(await indexOf(a));
    expect(await indexOf(a)).not.toBe(await indexOf(b));
    expect(await indexOf(a)).toBeLessThan(1 << 28);
  });
  test("who has an earlier step derives later ones; who was told a later one opens nothing of before", async () => {
    const e0 = epoch(3);
    const e1 = await ratchet(e0);
    const e2 = await ratchet(e1);
    const tx = new SenderRing();
    const old = new ReceiverRing();
    const newcomer = new ReceiverRing();
    old.add("ana", 7, e0);
    newcomer.add("ana", 7, e2);
    for (const [e, opens] of [[e0, false], [e1, false], [e2, true]] as const) {
      await tx.use(7, e);
      const sealed = (await sealFrame(tx, "audio", random(60)))!;
      expect(await openFrame(old, "ana", "audio", sealed)).toHaveProperty("plain");
      const got = await openFrame(newcomer, "ana", "audio", sealed);
      if (opens) expect(got).toHaveProperty("plain");
      else expect(got).toBe("missing");
    }
  });
  test("who was not told a generation cannot open it", async () => {
    const { tx, rx } = await pair(epoch(1));
    await tx.use(7, epoch(2));
    expect(await openFrame(rx, "ana", "audio", (await sealFrame(tx, "audio", random(60)))!)).toBe("missing");
  });
  test("the same key again does not begin to count anew", async () => {
    const { tx, e } = await pair();
    const seen = new Set<string>();
    for (let i = 0; i < 20; i++) {
      await tx.use(7, e);
      seen.add(text((await sealFrame(tx, "audio", bytes(1, 2, 3)))!));
    }
    expect(seen.size).toBe(20);
  });
  test("frames sealed at once have numbers of their own", async () => {
    const { tx } = await pair();
    const all = await Promise.all(Array.from({ length: 50 }, () => sealFrame(tx, "audio", bytes(9, 9))));
    expect(new Set(all.map((b) => text(b!))).size).toBe(50);
  });
});

describe("whose frames they are", () => {
  test("a member's stream takes no frame of another member", async () => {
    const a = await pair(epoch(), 1);
    a.rx.add("bob", 2, epoch());
    const sealed = (await sealFrame(a.tx, "audio", random(50)))!;
    expect(await openFrame(a.rx, "bob", "audio", sealed)).toBe("stranger");
    expect(await openFrame(a.rx, "ana", "audio", sealed)).toEqual(expect.objectContaining({ from: "ana" }));
  });
  test("a shared section takes any member's and says whose", async () => {
    const a = await pair(epoch(), 1);
    a.rx.add("bob", 1, epoch()); // the same number by chance
    expect(await openFrame(a.rx, null, "audio", (await sealFrame(a.tx, "audio", random(50)))!)).toEqual(expect.objectContaining({ from: "ana" }));
  });
  test("of a member without keys yet: frames wait for them, others are strangers", async () => {
    const a = await pair(epoch(), 1);
    const rx = new ReceiverRing();
    rx.meet("ana", 1);
    rx.meet("bob", 2);
    const sealed = (await sealFrame(a.tx, "audio", random(50)))!;
    expect(await openFrame(rx, "ana", "audio", sealed)).toBe("missing");
    expect(await openFrame(rx, "bob", "audio", sealed)).toBe("stranger");
  });
});

describe("replay", () => {
  test("a frame opens once", async () => {
    const { tx, rx } = await pair();
    const sealed = (await sealFrame(tx, "audio", random(50)))!;
    expect(await openFrame(rx, "ana", "audio", sealed)).toHaveProperty("plain");
    expect(await openFrame(rx, "ana", "audio", sealed)).toBe("stale");
    const next = (await sealFrame(tx, "audio", random(50)))!;
    const both = await Promise.all([openFrame(rx, "ana", "audio", next), openFrame(rx, "ana", "audio", next)]);
    expect(both.filter((r) => typeof r !== "string").length).toBe(1);
  });
  test("nor again after its sender was shown to leave and to return", async () => {
    const { tx, rx, e, index } = await pair();
    const sealed = (await sealFrame(tx, "audio", random(50)))!;
    expect(await openFrame(rx, "ana", "audio", sealed)).toHaveProperty("plain");
    rx.forget("ana");
    expect(typeof (await openFrame(rx, null, "audio", sealed))).toBe("string");
    rx.add("ana", index, e);
    expect(await openFrame(rx, "ana", "audio", sealed)).toBe("stale");
    expect(await openFrame(rx, "ana", "audio", (await sealFrame(tx, "audio", random(50)))!)).toHaveProperty("plain");
  });
  test("of old generations soon nothing opens any more", async () => {
    let now = 0;
    const rx = new ReceiverRing(undefined, () => now);
    const tx = new SenderRing();
    const old = epoch(1);
    await tx.use(7, old);
    rx.add("ana", 7, old);
    const [a, b] = [(await sealFrame(tx, "audio", random(50)))!, (await sealFrame(tx, "audio", random(50)))!];
    rx.add("ana", 7, epoch(2));
    expect(await openFrame(rx, "ana", "audio", a)).toHaveProperty("plain");
    now = 10_000;
    expect(await openFrame(rx, "ana", "audio", b)).toBe("stale"); // that it was used meanwhile does not keep it
    rx.add("ana", 7, epoch(3));
    expect(await openFrame(rx, "ana", "audio", b)).toBe("missing");
  });
  test("the window takes late ones once, and none that are too old to tell", () => {
    const w = new ReplayWindow();
    const seen = new Set<bigint>();
    let top = 0n;
    let seed = 12345;
    const next = (n: number) => (seed = (seed * 1103515245 + 12345) & 0x7fffffff) % n;
    for (let i = 0; i < 20_000; i++) {
      const c = next(10) === 0 ? top + BigInt(next(6000)) : top - BigInt(next(5000));
      if (c < 0n) continue;
      const tooOld = top - c >= 4096n;
      expect(w.fresh(c)).toBe(!seen.has(c) && !tooOld);
      if (!w.fresh(c)) continue;
      w.mark(c);
      seen.add(c);
      if (c > top) top = c;
    }
  });
});
