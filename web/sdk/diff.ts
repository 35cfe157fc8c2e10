// The notifier's half of conference-info: the partial document that turns one
// full document into another at a subscriber who has the first. The twin of
// receive() in info.ts, and of Diff in the server; a pure function.
//
// RFC 4575 cannot say that something without a state of its own is gone, so the
// element around it is sent in full.

import type { ConferenceInfo } from "./info";

type Obj = Record<string, unknown>;

/** Members of an element that take part in partial updates; all others are atomic. */
interface Rows {
  /** Member with rows under their key → diff of one row; null: rows have no state. */
  keyed?: Record<string, ((old: Obj, now: Obj) => Obj | null) | null>;
  /** Member that is one element with a state. */
  child?: Record<string, (old: Obj | undefined, now: Obj | undefined) => Obj | null | "whole">;
}

/** The change from old to now, or null when they are equal. Versions are not looked at. */
export function diff(old: ConferenceInfo, now: ConferenceInfo): ConferenceInfo | null {
  const out = conference(old as Obj, now as Obj);
  return out as ConferenceInfo | null;
}

function conference(old: Obj, now: Obj): Obj | null {
  const out = element(old, now, {
    child: {
      users: (o, n) => list(o, n, "user", user),
      sidebarsByRef: byRef,
      sidebarsByVal: (o, n) => list(o, n, "entry", conference),
    },
  }, ["entity", "version", "ext"]);
  if (out === "whole" || ("ext" in old && !("ext" in now))) return { ...now, state: "full" };
  const ext = !same(old["ext"], now["ext"]);
  if (out === null && !ext) return null;
  const change: Obj = { ...(out ?? { state: "partial" }) };
  if ("entity" in now) change["entity"] = now["entity"];
  if ("ext" in now) change["ext"] = now["ext"]; // carries the revision
  return change;
}

function user(old: Obj, now: Obj): Obj | null {
  const out = element(old, now, { keyed: { endpoint } });
  return out === "whole" ? now : out;
}

function endpoint(old: Obj, now: Obj): Obj | null {
  const out = element(old, now, { keyed: { media: null } });
  return out === "whole" ? now : out;
}

/** Compares two elements; "whole" when a partial cannot say what changed. */
function element(old: Obj, now: Obj, rows: Rows, apart: string[] = []): Obj | null | "whole" {
  const out: Obj = { state: "partial" };
  let changed = false;
  for (const name of new Set([...Object.keys(old), ...Object.keys(now)])) {
    if (name === "state" || apart.includes(name)) continue;
    const [o, n] = [old[name] as Obj | undefined, now[name] as Obj | undefined];
    let d: unknown;
    if (rows.keyed && name in rows.keyed) d = keyed(o ?? {}, n ?? {}, rows.keyed[name]!);
    else if (rows.child && name in rows.child) d = rows.child[name]!(o, n);
    else if (same(o, n)) d = null;
    else d = n ?? "whole";
    if (d === "whole") return "whole"; // an atomic member that is the text "whole" goes whole, which is right too
    if (d === null) continue;
    out[name] = d;
    changed = true;
  }
  return changed ? out : null;
}

function keyed(old: Obj, now: Obj, row: ((o: Obj, n: Obj) => Obj | null) | null): Obj | null | "whole" {
  const out: Obj = {};
  for (const [key, n] of Object.entries(now)) {
    const o = old[key];
    const d = o === undefined || !row ? (same(o, n) ? null : n) : row(o as Obj, n as Obj);
    if (d !== null) out[key] = d;
  }
  for (const key of Object.keys(old)) {
    if (key in now) continue;
    if (!row) return "whole"; // rows without a state cannot be deleted
    out[key] = { state: "deleted" };
  }
  return Object.keys(out).length > 0 ? out : null;
}

/** A list whose rows have a state each. */
function list(old: Obj | undefined, now: Obj | undefined, rows: string, row: (o: Obj, n: Obj) => Obj | null): Obj | null | "whole" {
  if (now === undefined) return old === undefined ? null : "whole";
  if (old === undefined) return now;
  const d = keyed((old[rows] ?? {}) as Obj, (now[rows] ?? {}) as Obj, row);
  return d === null ? null : { state: "partial", [rows]: d };
}

/** Entries have no state: one gone means the whole list; the last one, a deleted list with one entry. */
function byRef(old: Obj | undefined, now: Obj | undefined): Obj | null {
  if (old === undefined) return now ?? null;
  const had = (old["entry"] ?? {}) as Obj;
  const has = (now?.["entry"] ?? {}) as Obj;
  if (now === undefined || Object.keys(has).length === 0) {
    if (now !== undefined && same(old, now)) return null;
    const first = Object.keys(had).sort()[0];
    return { state: "deleted", entry: first === undefined ? {} : { [first]: had[first] } };
  }
  const d = keyed(had, has, null);
  if (d === "whole") return now;
  return d === null ? null : { state: "partial", entry: d };
}

/** Deep equality of JSON values, whatever the order of members. */
function same(a: unknown, b: unknown): boolean {
  if (a === b) return true;
  if (typeof a !== "object" || typeof b !== "object" || a === null || b === null) return false;
  if (Array.isArray(a) !== Array.isArray(b)) return false;
  const [ka, kb] = [Object.keys(a), Object.keys(b)];
  return ka.length === kb.length && ka.every((k) => k in b && same((a as Obj)[k], (b as Obj)[k]));
}
