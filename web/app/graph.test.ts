import { describe, expect, test } from "vitest";
import { line, millis, percent, rate, top, whole } from "./graph";

describe("graphs", () => {
  test("scales end at round numbers", () => {
    expect([[null, 10], [4, 10], [10, 10], [11, 10], [730_000, 1], [1_000_000, 1], [6, 1], [0.03, 0.01]].map(([v, least]) => top(v!, least!))).toEqual([
      10, 10, 10, 20, 1_000_000, 1_000_000, 10, 0.05,
    ]);
  });
  test("time runs to the right, values up, and both stay in the box", () => {
    const p = [{ at: 0, value: 5 }, { at: 50, value: 0 }, { at: 100, value: 99 }];
    expect(line(p, 100, 100, 10, 200, 50)).toBe("M0.0 25.0h.1L100.0 50.0L200.0 0.0");
  });
  test("what was not known is a gap, what is too old is left out", () => {
    const p = [{ at: -500, value: 5 }, { at: 0, value: 5 }, { at: 25, value: null }, { at: 50, value: 5 }];
    expect(line(p, 100, 100, 10, 100, 10)).toBe("M0.0 5.0h.1M50.0 5.0h.1");
    expect(line([], 0, 100, 10, 100, 10)).toBe("");
  });
  test("figures for people", () => {
    expect([rate(null), rate(0), rate(64_400), rate(999_600), rate(1_234_000), rate(12_340_000)]).toEqual(["–", "0 kbit/s", "64 kbit/s", "1.0 Mbit/s", "1.2 Mbit/s", "12 Mbit/s"]);
    expect([percent(null), percent(0), percent(0.004), percent(0.25)]).toEqual(["–", "0 %", "0.4 %", "25 %"]);
    expect([millis(12.6), whole(29.7), whole(null)]).toEqual(["13 ms", "30", "–"]);
  });
});
