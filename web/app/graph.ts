// Geometry of the small graphs, and how figures are written. Nothing of the page.

import type { Point } from "../sdk";

/** The next of 1, 2, 5 times a power of ten: a scale that can be read. */
export function top(most: number | null, least: number): number {
  if (most === null || most <= least) return least;
  const ten = 10 ** Math.floor(Math.log10(most));
  return [1, 2, 5].map((m) => m * ten).find((v) => v >= most * 0.999_999) ?? 10 * ten;
}

/**
 * An SVG path of points within a box; times run from now - span on the left to
 * now on the right. Where nothing was known the line has a gap.
 */
export function line(points: readonly Point[], now: number, span: number, high: number, w: number, h: number): string {
  let out = "";
  let pen = false;
  for (const p of points) {
    const x = w * (1 - (now - p.at) / span);
    if (p.value === null || x < 0) {
      pen = false;
      continue;
    }
    const y = h - h * Math.min(1, Math.max(0, p.value / high));
    out += `${pen ? "L" : "M"}${x.toFixed(1)} ${y.toFixed(1)}`;
    if (!pen) out += "h.1"; // a point alone is seen, too
    pen = true;
  }
  return out;
}

/** bit/s for people. */
export function rate(v: number | null): string {
  if (v === null) return "–";
  return v >= 999_500 ? `${(v / 1e6).toFixed(v >= 9_950_000 ? 0 : 1)} Mbit/s` : `${Math.round(v / 1000)} kbit/s`;
}

export const millis = (v: number | null): string => (v === null ? "–" : `${Math.round(v)} ms`);

/** A share of 1. */
export function percent(v: number | null): string {
  if (v === null) return "–";
  return `${v === 0 || v >= 0.0995 ? Math.round(v * 100) : (v * 100).toFixed(1)} %`;
}

export const whole = (v: number | null): string => (v === null ? "–" : String(Math.round(v)));
