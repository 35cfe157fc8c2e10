/**
 * Waiting time before attempt n of a reconnection: 0, 0.3, 1.2, 2.7, 4.8 s …
 * (0.3·n² s), at most 10 s, with ±20 % jitter so that the clients of a
 * restarted server do not return in one wave.
 */
export function backoff(attempt: number, random: () => number = Math.random): number {
  const base = Math.min(300 * attempt * attempt, 10_000);
  return Math.round(base * (0.8 + 0.4 * random()));
}
