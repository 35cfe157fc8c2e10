// Geometry of the grid. Pure.

export interface Grid {
  columns: number;
  width: number;
  height: number;
}

const MIN_WIDTH = 132; // below this a face is no longer a face; the grid scrolls instead

/**
 * The number of columns that gives n tiles the largest area in a box. Tiles are
 * 16:9, but on a tall narrow box (a phone) they may grow as tall as they are wide.
 */
export function grid(n: number, width: number, height: number, gap: number): Grid {
  let best: Grid = { columns: 1, width, height };
  let area = -1;
  for (let columns = 1; columns <= Math.max(1, n); columns++) {
    const rows = Math.ceil(n / columns);
    const cellW = (width - gap * (columns - 1)) / columns;
    const cellH = (height - gap * (rows - 1)) / rows;
    if (columns > 1 && cellW < MIN_WIDTH) break;
    const flattest = 16 / 9;
    const tallest = width < height ? 1 : 4 / 3;
    let w = cellW;
    let h = Math.min(cellH, w / tallest);
    if (w / h > flattest) w = h * flattest;
    if (w < MIN_WIDTH) {
      w = Math.min(cellW, MIN_WIDTH);
      h = w / flattest;
    }
    if (w * h > area) {
      area = w * h;
      best = { columns, width: Math.floor(w), height: Math.floor(h) };
    }
  }
  return best;
}

const MAX_RATIO = 2; // finer pixels than that show nothing more of a face

/** The size to ask for, for a box of CSS pixels. */
export function pixels(width: number, height: number, ratio: number): { width: number; height: number } | null {
  const r = Math.min(MAX_RATIO, Math.max(1, ratio || 1));
  return width < 1 || height < 1 ? null : { width: Math.round(width * r), height: Math.round(height * r) };
}

/** Initials for the avatar: two letters of a name in letters, the last two characters of a Chinese one. */
export function initials(name: string): string {
  const clean = name.trim();
  if (!clean) return "?";
  if (/^[\p{Script=Han}\p{Script=Hiragana}\p{Script=Katakana}\p{Script=Hangul}]+$/u.test(clean)) return [...clean].slice(-2).join("");
  const words = clean.split(/[\s._-]+/).filter(Boolean);
  const first = [...(words[0] ?? "?")][0]!;
  const last = words.length > 1 ? [...words[words.length - 1]!][0]! : "";
  return (first + last).toUpperCase();
}

/** One of n colours for a key, the same everywhere. */
export function hue(key: string, n: number): number {
  let h = 2166136261;
  for (const c of key) h = Math.imul(h ^ c.codePointAt(0)!, 16777619);
  return (h >>> 0) % n;
}

const adjectives = ["quiet", "bright", "green", "early", "north", "silver", "gentle", "brisk", "amber", "clear", "round", "swift"];
const nouns = ["otter", "harbor", "meadow", "lantern", "maple", "river", "comet", "garden", "summit", "willow", "beacon", "cedar"];

/** A pleasant name for a new room; the number keeps strangers from meeting by chance. */
export function roomName(random: () => number = Math.random): string {
  const pick = (list: string[]) => list[Math.floor(random() * list.length)]!;
  return `${pick(adjectives)}-${pick(nouns)}-${100 + Math.floor(random() * 900)}`;
}

/**
 * What a person typed, as the last part of an address: ASCII letters, digits
 * and "-_.". A name in other letters gets one made of its sum, so that the same
 * words lead to the same room.
 */
export function slug(text: string): string {
  const clean = text.trim();
  const ascii = clean.replace(/[^A-Za-z0-9._-]+/g, "-").replace(/-{2,}/g, "-").replace(/^[-.]+|[-.]+$/g, "").slice(0, 64);
  if (!clean || /^[\x20-\x7e]*$/.test(clean)) return ascii;
  const sum = hue(clean, 36 ** 6).toString(36).padStart(6, "0");
  return `${ascii || "room"}-${sum}`.slice(0, 64);
}
