import { describe, expect, test } from "vitest";
import { diff } from "./diff";
import { emptySubscriber, receive, type ConferenceInfo, type Subscriber } from "./info";
import { lines } from "./documents.test.data";

interface Line {
  lost?: boolean;
  verdict: string;
  doc: ConferenceInfo;
  truth?: ConferenceInfo;
  diff?: ConferenceInfo;
}

const replay = lines.map((l) => JSON.parse(l) as Line);

/** Members that are empty mean the same as none. */
function bare(v: unknown): unknown {
  if (Array.isArray(v)) return v.map(bare);
  if (typeof v !== "object" || v === null) return v;
  const out: Record<string, unknown> = {};
  for (const [k, x] of Object.entries(v)) {
    const b = bare(x);
    if (k === "version" || (typeof b === "object" && b !== null && Object.keys(b).length === 0 && ["user", "endpoint", "media", "entry"].includes(k))) continue;
    out[k] = b;
  }
  return out;
}

describe("documents as the server made them", () => {
  test("replayed with losses, each verdict and each truth is the server's", () => {
    let local: Subscriber = emptySubscriber;
    let truths = 0;
    let lost = 0;
    for (const [i, l] of replay.entries()) {
      if (l.lost) {
        lost++;
        continue;
      }
      const [next, outcome] = receive(local, l.doc.state!, l.doc.version!, l.doc);
      expect(outcome, `line ${i}`).toBe(l.verdict);
      local = next;
      if (!l.truth) continue;
      truths++;
      expect(bare(local.doc), `line ${i}`).toEqual(bare(l.truth));
    }
    expect(lost).toBeGreaterThan(20);
    expect(truths).toBeGreaterThan(25);
    expect(replay.some((l) => l.doc.sidebarsByVal?.state === "partial")).toBe(true);
    expect(replay.some((l) => l.doc.sidebarsByRef?.state === "deleted")).toBe(true);
  });

  test("diff makes what the server's makes, and patching with it leads to the truth", () => {
    let before: ConferenceInfo | null = null;
    let n = 0;
    for (const [i, l] of replay.entries()) {
      if (!l.truth) continue;
      if (before) {
        const d: ConferenceInfo | null = diff(before, l.truth);
        expect(bare(d ?? {}), `line ${i}`).toEqual(bare(l.diff ?? {}));
        const at = { version: 1, doc: before };
        const [after] = d ? receive(at, d.state!, 2, d) : [at];
        expect(bare(after.doc), `line ${i}`).toEqual(bare(l.truth));
        n++;
      }
      before = l.truth;
    }
    expect(n).toBeGreaterThan(25);
  });
});

describe("diff", () => {
  const full: ConferenceInfo = { entity: "r", state: "full", conferenceState: { userCount: 1 }, users: { state: "full", user: {
    u: { state: "full", displayText: "U", roles: ["moderator"], endpoint: { d: { state: "full", status: "connected",
      media: { a: { type: "audio" }, b: { type: "video" } } } } } } } };
  const change = (f: (d: ConferenceInfo) => void) => {
    const d = structuredClone(full);
    f(d);
    return d;
  };

  test("nothing changed, nothing sent", () => expect(diff(full, structuredClone(full))).toBeNull());

  test("trap a: removing one media yields an endpoint in full, a role gone the user", () => {
    const media = diff(full, change((d) => delete d.users!.user!["u"]!.endpoint!["d"]!.media!["b"]))!;
    expect(media.users!.user!["u"]!.state).toBe("partial");
    expect(media.users!.user!["u"]!.endpoint!["d"]!.state).toBe("full");
    expect(diff(full, change((d) => delete d.users!.user!["u"]!.roles))!.users!.user!["u"]!.state).toBe("full");
    expect(diff(full, change((d) => delete d.conferenceState))!.state).toBe("full");
  });

  test("trap d: the last sidebar by reference leaves one entry in a deleted list", () => {
    const two = change((d) => (d.sidebarsByRef = { state: "full", entry: { b: {}, a: { displayText: "A" } } }));
    expect(diff(two, full)!.sidebarsByRef).toEqual({ state: "deleted", entry: { a: { displayText: "A" } } });
    const one = change((d) => (d.sidebarsByRef = { state: "full", entry: { b: {} } }));
    expect(diff(two, one)!.sidebarsByRef).toEqual({ state: "full", entry: { b: {} } });
  });

  test("a sidebar by value has a change of its own", () => {
    const side = change((d) => (d.sidebarsByVal = { state: "full", entry: { s: structuredClone(full) } }));
    const next = structuredClone(side);
    next.sidebarsByVal!.entry!["s"]!.users!.user!["v"] = { state: "full" };
    expect(diff(side, next)).toEqual({ entity: "r", state: "partial", sidebarsByVal: { state: "partial", entry: { s: {
      entity: "r", state: "partial", users: { state: "partial", user: { v: { state: "full" } } } } } } });
    delete next.sidebarsByVal!.entry!["s"];
    expect(diff(side, next)!.sidebarsByVal!.entry).toEqual({ s: { state: "deleted" } });
  });
});
