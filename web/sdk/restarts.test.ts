import { afterEach, beforeEach, expect, test, vi } from "vitest";
import { Restarts } from "./restarts";

beforeEach(() => void vi.useFakeTimers());
afterEach(() => void vi.useRealTimers());

test("restarts of a connection that fails at once keep apart", () => {
  const at: number[] = [];
  const r: Restarts = new Restarts(() => {
    at.push(Date.now() - start);
    r.plan(0); // it has failed again
  });
  const start = Date.now();
  r.plan(0);
  vi.advanceTimersByTime(30_000);
  expect(at).toEqual([0, 2_000, 6_000, 12_000, 18_000, 24_000, 30_000]);
});

test("one that stood again begins anew, and one that was stopped is quiet", () => {
  let n = 0;
  const r = new Restarts(() => void n++, () => 500);
  r.plan(1_500);
  vi.advanceTimersByTime(1_999);
  expect(n).toBe(0);
  vi.advanceTimersByTime(1);
  expect(n).toBe(1);
  r.stood();
  vi.advanceTimersByTime(60_000);
  expect(n).toBe(1);
  r.plan(0);
  vi.advanceTimersByTime(500);
  expect(n).toBe(2);
  r.stop();
  vi.advanceTimersByTime(60_000);
  expect(n).toBe(2);
});
