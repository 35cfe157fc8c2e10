import { afterEach, beforeEach, describe, expect, test, vi } from "vitest";
import { backoff } from "./backoff";
import { ulid } from "./ids";
import { ParleyError } from "./errors";
import { Session } from "./session";

class FakeSocket {
  static all: FakeSocket[] = [];
  readyState = 0;
  sent: Record<string, any>[] = [];
  onopen: (() => void) | null = null;
  onmessage: ((ev: { data: string }) => void) | null = null;
  onclose: ((ev: { code: number }) => void) | null = null;
  constructor(readonly url: string, readonly protocol: string) {
    FakeSocket.all.push(this);
  }
  send(text: string) {
    this.sent.push(JSON.parse(text));
  }
  close() {
    this.readyState = 3;
  }
  open() {
    this.readyState = 1;
    this.onopen?.();
  }
  say(frame: object) {
    this.onmessage?.({ data: JSON.stringify(frame) });
  }
  drop(code = 1006) {
    this.readyState = 3;
    this.onclose?.({ code });
  }
  of(kind: string) {
    return this.sent.filter((f) => f["kind"] === kind);
  }
}

const welcome = { kind: "welcome", version: 1, session: "sess_1", resumeToken: "t1", resumed: false, seq: 0, heartbeatMs: 4000, graceMs: 30000, iceServers: [], user: "guest:1" };

function latest(): FakeSocket {
  return FakeSocket.all[FakeSocket.all.length - 1]!;
}

function start() {
  const s = new Session({ url: "ws://test/ws", name: "Ana", webSocket: (u, p) => new FakeSocket(u, p) as never, random: () => 0.5 });
  const connected = s.connect();
  latest().open();
  latest().say(welcome);
  return { s, connected };
}

beforeEach(() => {
  vi.useFakeTimers();
  FakeSocket.all = [];
});
afterEach(() => vi.useRealTimers());

describe("session", () => {
  test("hello goes first, welcome opens", async () => {
    const { s, connected } = start();
    expect((await connected).session).toBe("sess_1");
    expect(s.state).toBe("open");
    expect(latest().protocol).toBe("confctl.1");
    expect(latest().sent[0]).toMatchObject({ kind: "hello", versions: [1], auth: { name: "Ana" } });
    expect(latest().sent[0]!["resume"]).toBeUndefined();
  });

  test("a request resolves with its result, a refusal rejects with code and reason, provisional answers do not end it", async () => {
    const { s } = start();
    const seen: number[] = [];
    const ok = s.request<{ a: number }>("x.y", { p: 1 }, { conf: "c", onProvisional: (r) => seen.push(r.code) });
    const bad = s.request("z").catch((e) => e);
    const [r1, r2] = latest().of("request");
    expect(r1).toMatchObject({ method: "x.y", conf: "c", params: { p: 1 } });
    latest().say({ kind: "response", id: r1!["id"], code: 182, final: false });
    latest().say({ kind: "response", id: r1!["id"], code: 200, final: true, result: { a: 2 }, seq: 1 });
    latest().say({ kind: "response", id: r2!["id"], code: 403, final: true, error: { code: 403, reason: "forbidden" }, seq: 2 });
    expect(await ok).toEqual({ a: 2 });
    expect(seen).toEqual([182]);
    expect(await bad).toMatchObject({ code: 403, reason: "forbidden" });
  });

  test("R2: out of a black hole of any length the session is back within two seconds of its end, with one hello", () => {
    for (let hole = 500; hole <= 28_000; hole += 500) {
      FakeSocket.all = [];
      const { s } = start();
      const resumed = vi.fn();
      s.on("resumed", resumed);
      latest().drop();
      const lost = Date.now();
      vi.advanceTimersByTime(hole); // nothing opens, nothing closes
      const before = FakeSocket.all.length;
      const live = () => FakeSocket.all.slice(before).filter((x) => x.readyState === 0 && x.onopen);
      for (let waited = 0; !live().length && waited <= 2_000; waited += 50) vi.advanceTimersByTime(50);
      expect(Date.now() - lost - hole, `hole of ${hole} ms`).toBeLessThanOrEqual(2_000);
      const fresh = live()[0]!;
      fresh.open();
      fresh.say({ ...welcome, resumed: true });
      expect(resumed).toHaveBeenCalledTimes(1);
      expect(FakeSocket.all.filter((x) => x.readyState !== 3)).toEqual([fresh]); // the rivals are given up
      expect(FakeSocket.all.flatMap((x) => x.of("hello"))).toHaveLength(2);
      s.close();
    }
  });

  test("a cut socket resumes with token and last seq, and unanswered requests are sent again with the same id", async () => {
    const { s } = start();
    const first = latest();
    first.say({ kind: "notify", package: "conference", event: "e", seq: 7 });
    const answer = s.request("track.mute", { track: "t" });
    const id = first.of("request")[0]!["id"];
    const states: string[] = [];
    s.on("state", (st) => states.push(st));
    const resumed = vi.fn();
    s.on("resumed", resumed);
    first.drop();
    expect(s.state).toBe("reconnecting");
    await vi.advanceTimersByTimeAsync(0);
    const second = latest();
    expect(second).not.toBe(first);
    second.open();
    expect(second.sent[0]).toMatchObject({ kind: "hello", resume: { session: "sess_1", token: "t1", lastSeq: 7 } });
    second.say({ ...welcome, resumed: true, resumeToken: "t2", seq: 9 });
    expect(second.of("request").map((f) => f["id"])).toEqual([id]);
    expect(resumed).toHaveBeenCalledTimes(1);
    second.say({ kind: "response", id, code: 200, final: true, dup: true, result: 1 });
    expect(await answer).toBe(1);
    second.drop();
    await vi.advanceTimersByTimeAsync(0);
    latest().open();
    expect(latest().sent[0]!["resume"]).toMatchObject({ token: "t2" }); // the token rotates
    expect(states).toEqual(["reconnecting", "open", "reconnecting"]);
  });

  test("requests made while the socket is away go out after welcome", async () => {
    const { s } = start();
    latest().drop();
    const answer = s.request("a");
    await vi.advanceTimersByTimeAsync(0);
    latest().open();
    expect(latest().of("request")).toHaveLength(0);
    latest().say({ ...welcome, resumed: true });
    const [r] = latest().of("request");
    latest().say({ kind: "response", id: r!["id"], code: 200, final: true });
    await answer;
  });

  test.each(["response", "error"])("an unknown session (481 in %s) starts a new one: pending requests fail, renewed is told", async (kind) => {
    const { s } = start();
    const pending = s.request("a").catch((e) => e);
    const renewed = vi.fn();
    s.on("renewed", renewed);
    latest().drop();
    await vi.advanceTimersByTimeAsync(0);
    latest().open();
    latest().say({ kind, id: "", code: 481, final: true, error: { code: 481, reason: "no-session" } });
    latest().open();
    expect(latest().sent[0]!["resume"]).toBeUndefined();
    latest().say({ ...welcome, session: "sess_2", seq: 0 });
    expect(renewed).toHaveBeenCalledTimes(1);
    expect(await pending).toMatchObject({ code: 481 });
    expect(s.state).toBe("open");
  });

  test("a welcome that did not resume means a renewed session too", async () => {
    const { s } = start();
    const renewed = vi.fn();
    s.on("renewed", renewed);
    latest().drop();
    await vi.advanceTimersByTimeAsync(0);
    latest().open();
    latest().say({ ...welcome, session: "sess_9" });
    expect(renewed).toHaveBeenCalledTimes(1);
  });

  test("replayed notifications are delivered once", () => {
    const { s } = start();
    const got: number[] = [];
    s.on("notify", (n) => got.push(n.seq!));
    for (const seq of [1, 2, 2, 1, 3]) latest().say({ kind: "notify", package: "conference", seq });
    expect(got).toEqual([1, 2, 3]);
  });

  test("pings each beat with ack, answers pings, and drops a silent socket after two missed beats", async () => {
    const { s } = start();
    const socket = latest();
    socket.say({ kind: "notify", package: "conference", seq: 5 });
    await vi.advanceTimersByTimeAsync(4000);
    expect(socket.of("ping")).toHaveLength(1);
    expect(socket.of("ping")[0]!["ack"]).toBe(5);
    socket.say({ kind: "ping", t: 42 });
    expect(socket.of("pong")[0]).toMatchObject({ t: 42 });
    await vi.advanceTimersByTimeAsync(8000);
    expect(s.state).toBe("open");
    await vi.advanceTimersByTimeAsync(4000);
    expect(s.state).toBe("reconnecting");
  });

  test("frames are acknowledged without waiting for the next request", () => {
    start();
    for (let seq = 1; seq <= 40; seq++) latest().say({ kind: "notify", package: "conference", seq });
    expect(latest().of("ack").map((f) => f["ack"])).toEqual([32]);
  });

  test("refused hello ends the session: 401 frame or close 4401", async () => {
    for (const refuse of [(f: FakeSocket) => f.say({ kind: "response", code: 401, final: true, error: { code: 401, reason: "unauthenticated" } }), (f: FakeSocket) => f.drop(4401)]) {
      const s = new Session({ url: "ws://test/ws", webSocket: (u, p) => new FakeSocket(u, p) as never });
      const connected = s.connect().catch((e) => e);
      latest().open();
      refuse(latest());
      expect(await connected).toMatchObject({ code: 401 });
      expect(s.state).toBe("closed");
    }
  });

  test("goodbye: disconnect closes, reconnect comes back afresh after the wait, resume keeps the session", async () => {
    const closed = vi.fn();
    const { s } = start();
    s.on("closed", closed);
    latest().say({ kind: "goodbye", action: "resume", reason: "drain" });
    await vi.advanceTimersByTimeAsync(0);
    latest().open();
    expect(latest().sent[0]!["resume"]).toBeDefined();
    latest().say({ ...welcome, resumed: true });
    latest().say({ kind: "goodbye", action: "reconnect", reason: "shutdown", afterMs: 2000 });
    const count = FakeSocket.all.length;
    await vi.advanceTimersByTimeAsync(1999);
    expect(FakeSocket.all).toHaveLength(count);
    await vi.advanceTimersByTimeAsync(1);
    latest().open();
    expect(latest().sent[0]!["resume"]).toBeUndefined();
    latest().say({ ...welcome, session: "sess_3" });
    latest().say({ kind: "goodbye", action: "disconnect", reason: "replaced" });
    expect(closed.mock.calls[0]![0]).toBeInstanceOf(ParleyError);
    expect(closed.mock.calls[0]![0].reason).toBe("replaced");
    await expect(s.request("a")).rejects.toMatchObject({ code: 481 });
  });

  test("a request that nobody answers fails with 408", async () => {
    const { s } = start();
    const answer = s.request("a", {}, { ttlMs: 1000 }).catch((e) => e);
    for (let i = 0; i < 3; i++) {
      await vi.advanceTimersByTimeAsync(3000);
      latest().say({ kind: "pong", t: 0 });
    }
    expect(await answer).toMatchObject({ code: 408 });
  });

  test("backoff is 0, 0.3, 1.2, 2.7, 4.8 s, capped, with jitter", () => {
    expect([0, 1, 2, 3, 4, 50].map((n) => backoff(n, () => 0.5))).toEqual([0, 300, 1200, 2700, 4800, 10000]);
    expect(backoff(3, () => 0)).toBe(2160);
    expect(backoff(3, () => 1)).toBe(3240);
  });

  test("ids are ULIDs", () => {
    const ids = new Set(Array.from({ length: 500 }, () => ulid()));
    expect(ids.size).toBe(500);
    for (const id of ids) expect(id).toMatch(/^[0-7][0-9A-HJKMNP-TV-Z]{25}$/);
    expect(ulid(1).slice(0, 10) < ulid(2).slice(0, 10)).toBe(true);
  });
});
