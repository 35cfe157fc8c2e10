import { describe, expect, test } from "vitest";
import { en } from "./texts-en";
import { zh } from "./texts-zh";

const places = (text: string) => [...text.matchAll(/\{(\w+)\}/g)].map((m) => m[1]).sort();

describe("texts", () => {
  test("both languages have the same keys, none of them empty", () => {
    expect(Object.keys(zh).sort()).toEqual(Object.keys(en).sort());
    for (const text of [...Object.values(en), ...Object.values(zh)]) expect(text.trim()).not.toBe("");
  });
  test("a translation keeps the placeholders", () => {
    for (const key of Object.keys(en) as (keyof typeof en)[]) expect([key, places(zh[key])]).toEqual([key, places(en[key])]);
  });
  test("the Chinese is Chinese", () => {
    for (const [key, text] of Object.entries(zh)) expect([key, /\p{Script=Han}/u.test(text) || !/\p{Letter}/u.test(text.replace(/\{\w+\}/g, ""))]).toEqual([key, true]);
  });
});
