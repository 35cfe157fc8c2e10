/**
 * Waiting time before attempt n of a reconnection: 0 to 0.5 s at first, so that
 * the clients of a server that lost them all do not return in one wave, then
 * 0.3, 1.2, 2.7, 4.8 s … (0.3·n² s), at most 10 s, with ±20 % jitter.
 */
export function backoff(attempt: number, random: () => number = Math.random): number {
  if (attempt === 0) return Math.round(500 * Math.abs(2 * random() - 1));
  const base = Math.min(300 * attempt * attempt, 10_000);
  return Math.round(base * (0.8 + 0.4 * random()));
}
