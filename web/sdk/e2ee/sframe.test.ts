import { describe, expect, test } from "vitest";
import type { Bytes } from "./bytes";
import { AES_128_GCM_SHA256_128, AES_256_GCM_SHA512_128, decodeHeader, derive, deriveRaw, encodeHeader, nonce, open, seal } from "./sframe";
import { frames, headers } from "./sframe.test.data";

const hex = (b: Uint8Array) => [...b].map((x) => x.toString(16).padStart(2, "0")).join("");
const bytes = (s: string) => Uint8Array.from(s.match(/../g) ?? [], (x) => parseInt(x, 16)) as Bytes;

describe("SFrame headers (RFC 9605, appendix C.1)", () => {
  test("are encoded and read as the vectors say", () => {
    expect(headers.length).toBe(289);
    for (const v of headers) {
      const [kid, ctr, encoded] = v.split(" ") as [string, string, string];
      const want = { kid: BigInt(`0x${kid}`), ctr: BigInt(`0x${ctr}`) };
      expect(hex(encodeHeader(want.kid, want.ctr))).toBe(encoded);
      expect(decodeHeader(bytes(`${encoded}ffff`))).toEqual({ ...want, size: encoded.length / 2 });
    }
  });
  test("that are cut off or longer than needed are none", () => {
    for (const v of headers) {
      const encoded = bytes(v.split(" ")[2]!);
      for (let n = 0; n < encoded.length; n++) expect(decodeHeader(encoded.subarray(0, n))).toBeNull();
    }
    for (const bad of ["0807", "80 07", "090001", "0800", "9000ff00"]) expect(decodeHeader(bytes(bad.replace(" ", "")))).toBeNull();
  });
  test("hold 64 bits", () => {
    expect(() => encodeHeader(1n << 64n, 0n)).toThrow(RangeError);
    expect(() => encodeHeader(0n, 1n << 64n)).toThrow(RangeError);
    expect(() => encodeHeader(-1n, 0n)).toThrow(RangeError);
  });
});

describe("SFrame frames (RFC 9605, appendix C.3)", () => {
  test.each(frames)("suite $suite", async (v) => {
    const suite = v.suite === 4 ? AES_128_GCM_SHA256_128 : AES_256_GCM_SHA512_128;
    const raw = await deriveRaw(suite, bytes(v.base), v.kid);
    expect(hex(raw.key)).toBe(v.key);
    expect(hex(raw.salt)).toBe(v.salt);
    expect(hex(nonce(raw.salt, v.ctr))).toBe(v.nonce);
    expect(hex(encodeHeader(v.kid, v.ctr)) + v.metadata).toBe(v.aad);
    const k = await derive(suite, bytes(v.base), v.kid);
    const sealed = await seal(k, v.kid, v.ctr, bytes(v.metadata), bytes(v.pt));
    expect(hex(sealed)).toBe(v.ct);
    const h = decodeHeader(sealed)!;
    expect(hex((await open(k, h, bytes(v.metadata), sealed))!)).toBe(v.pt);
    for (let i = 0; i < sealed.length; i++) {
      const bad = sealed.slice();
      bad[i]! ^= 1;
      const bh = decodeHeader(bad);
      expect(bh && (await open(k, bh, bytes(v.metadata), bad))).toBeNull();
    }
    expect(await open(k, h, bytes(`${v.metadata}00`), sealed)).toBeNull();
    expect(await open(k, h, bytes(v.metadata), sealed.subarray(0, h.size + 15))).toBeNull();
  });
});
