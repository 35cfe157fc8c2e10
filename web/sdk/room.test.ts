import { beforeEach, describe, expect, test, vi } from "vitest";
import { Emitter } from "./emitter";
import { failure } from "./errors";
import { EXT } from "./info";
import { Room } from "./room";
import type { RequestOptions, Session, SessionEvents } from "./session";

class FakePC {
  connectionState = "new";
  signalingState = "stable";
  onconnectionstatechange: unknown = null;
  localDescription = { sdp: "offer" };
  closed = false;
  private n = 0;
  addTransceiver() {
    return { mid: String(this.n++), sender: { replaceTrack: async () => {} }, stop() {}, receiver: { track: { kind: "audio" } } };
  }
  getTransceivers() {
    return [];
  }
  async createOffer() {
    return { type: "offer", sdp: "offer" };
  }
  async setLocalDescription() {}
  async setRemoteDescription() {}
  close() {
    this.closed = true;
  }
}

(globalThis as { MediaStream?: unknown }).MediaStream ??= class {};

interface Call {
  method: string;
  params: any;
  conf?: string;
}

/** A session whose server is the test. */
class FakeSession extends Emitter<SessionEvents> {
  state = "idle";
  welcome = { iceServers: [] };
  calls: Call[] = [];
  messages: Call[] = [];
  /** Method → what to answer instead of the usual. */
  answers: Record<string, (c: Call, opts: RequestOptions) => unknown> = {};
  private joins = 0;
  resumeFrom() {}
  async connect() {
    this.state = "open";
  }
  async request(method: string, params: any, opts: RequestOptions = {}) {
    const call = { method, params, conf: opts.conf };
    this.calls.push(call);
    const custom = this.answers[method]?.(call, opts);
    if (custom !== undefined) return custom;
    if (method === "conference.join") return this.join(call);
    if (method === "media.offer") return { ms: params.ms, rev: params.rev, sdp: "answer" };
    return {};
  }
  join(c: Call) {
    const n = ++this.joins;
    const conf = c.conf === "main" ? "conf_main" : `conf_${c.conf}`;
    return {
      conf, uri: c.conf, part: `part_${n}`, user: "me", device: c.params.device, role: "attendee", rev: 1, ms: `ms_${n}`,
      tracks: c.params.tracks.map((t: any, i: number) => ({ cid: t.cid, track: `trk_${n}_${i}` })), needed: { ms: `ms_${n}`, audio: 0, video: 0, rev: 0 },
    };
  }
  async subscribe(conf: string, pkg: string) {
    this.calls.push({ method: `subscribe ${pkg}`, params: null, conf });
    if (pkg !== "conference") return {};
    queueMicrotask(() => this.say({ conf, state: "full", version: 1, body: { conferenceDescription: { displayText: conf }, users: { user: {} } } }));
    return {};
  }
  message(method: string, params: unknown, conf?: string) {
    this.messages.push({ method, params, conf });
  }
  close() {
    this.state = "closed";
  }
  say(n: object) {
    this.emit("notify", { kind: "notify", package: "conference", ...n } as never);
  }
  resume(name: "resumed") {
    this.emit(name, {} as never);
  }
  tell(event: string, body: object, conf = "conf_main") {
    this.say({ conf, event, body });
  }
  of(method: string) {
    return this.calls.filter((c) => c.method === method);
  }
}

const track = () => ({ kind: "audio", enabled: true, stop: vi.fn(), getSettings: () => ({}) }) as unknown as MediaStreamTrack & { stop: ReturnType<typeof vi.fn> };
const settle = () => new Promise((r) => setTimeout(r, 5));

let session: FakeSession, room: Room, pcs: FakePC[], mic: ReturnType<typeof track>;

beforeEach(() => {
  session = new FakeSession();
  pcs = [];
  mic = track();
  room = new Room({
    room: "main", name: "Ana", device: "dev_1", session: session as unknown as Session, reportInputs: false,
    peerConnection: () => (pcs.push(new FakePC()), pcs[pcs.length - 1] as never),
  });
});

const enter = () => room.join({ microphone: mic });

describe("lobby", () => {
  test("182 says to wait and why; the final answer lets in", async () => {
    let admit = () => {};
    session.answers["conference.join"] = (c, opts) => {
      opts.onProvisional?.({ kind: "response", id: "1", code: 182, final: false, result: { reason: "waiting-for-moderator" } });
      return new Promise((resolve) => (admit = () => resolve(session.join(c))));
    };
    const why: string[] = [];
    room.on("waiting", (w) => why.push(w));
    const joined = enter();
    await settle();
    expect([room.state, why]).toEqual(["lobby", ["waiting-for-moderator"]]);
    expect(session.of("subscribe conference")).toEqual([]);
    admit();
    await joined;
    expect(room.state).toBe("joined");
  });
  test("a refusal ends it with the server's reason", async () => {
    session.answers["conference.join"] = () => Promise.reject(failure(603, "declined"));
    await expect(enter()).rejects.toMatchObject({ code: 603, reason: "declined" });
    expect(room.state).toBe("left");
    expect(mic.stop).toHaveBeenCalled();
  });
  test("a track that the role may not publish is let go", async () => {
    session.answers["conference.join"] = (c) => ({ ...session.join(c), tracks: [] });
    await enter();
    expect(room.local.size).toBe(0);
  });
});

describe("muted by a moderator", () => {
  test("is closed on both sides, stays closed when freed, and opens only by its owner", async () => {
    await enter();
    const id = room.local.get("microphone")!.id;
    const blocked: boolean[] = [];
    room.on("blocked", (b) => blocked.push(b.blocked));
    session.tell("track.muted", { track: id, muted: true, mutedBy: "focus", by: "mod" });
    expect(mic.enabled).toBe(false);
    expect(session.of("track.mute")).toHaveLength(1);
    await expect(room.setMuted("microphone", false)).rejects.toMatchObject({ reason: "focus-muted" });
    expect(session.of("track.unmute")).toHaveLength(0);
    session.tell("track.muted", { track: id, muted: true, mutedBy: "both", by: "me" });
    session.tell("track.muted", { track: id, muted: true, mutedBy: "self", by: "mod" });
    expect([mic.enabled, blocked]).toEqual([false, [true, false]]);
    await room.setMuted("microphone", false);
    expect([mic.enabled, session.of("track.unmute")]).toEqual([true, [{ method: "track.unmute", params: { track: id }, conf: "conf_main" }]]);
  });
  test("for want of the floor, it goes on by itself when the floor comes", async () => {
    await enter();
    await settle();
    const floors = (requests: object[]) => ({ [EXT]: { floors: [{ floor: "a0", requests }] } });
    session.say({ conf: "conf_main", state: "partial", version: 2, body: { ext: floors([]) } });
    const id = room.local.get("microphone")!.id;
    session.tell("track.muted", { track: id, muted: true, mutedBy: "focus" });
    expect([mic.enabled, session.of("track.mute").length]).toEqual([false, 0]);
    session.say({ conf: "conf_main", state: "partial", version: 3, body: { ext: floors([{ request: "1", user: "me", status: "granted" }]) } });
    session.tell("track.muted", { track: id, muted: false, mutedBy: "" });
    expect(mic.enabled).toBe(true);
  });
  test("a question to unmute names the source", async () => {
    await enter();
    const asked: unknown[] = [];
    room.on("unmuteRequested", (a) => asked.push(a));
    const id = room.local.get("microphone")!.id;
    session.tell("unmute.requested", { track: id, by: "mod" });
    session.tell("unmute.requested", { track: "trk_other", by: "mod" });
    expect(asked).toEqual([{ source: "microphone", track: id, by: "mod" }]);
  });
  test("a track taken away is gone here, too", async () => {
    await enter();
    const id = room.local.get("microphone")!.id;
    session.tell("track.ended", { track: id, reason: "transferred" }); // that is how one leaves a room for another
    expect(room.local.size).toBe(1);
    session.tell("track.ended", { track: id, reason: "unpublished" });
    expect([room.local.size, mic.stop.mock.calls.length]).toEqual([0, 1]);
  });
});

describe("moved", () => {
  test("joins the sidebar with the token and the same tracks, and returns at its end", async () => {
    await enter();
    const moves: unknown[] = [];
    room.on("moved", (m) => moves.push(m));
    session.tell("moved", { conf: "conf_main", uri: "main+sb1", token: "T", keep: true });
    await settle();
    const there = session.of("conference.join")[1]!;
    expect([there.conf, there.params.moved, there.params.tracks.length]).toEqual(["main+sb1", "T", 1]);
    expect([room.away, room.state, pcs.map((p) => p.closed)]).toEqual([true, "joined", [true, false]]);
    expect(room.local.get("microphone")!.media).toBe(mic);
    expect(mic.stop).not.toHaveBeenCalled();
    session.tell("conference.ended", {}, "conf_main+sb1");
    session.tell("moved", { conf: "conf_main", uri: "main", back: true });
    await settle();
    const back = session.of("conference.join")[2]!;
    expect([back.conf, back.params.moved, session.of("conference.join").length, room.away]).toEqual(["main", undefined, 3, false]);
    expect(moves).toEqual([{ conf: "conf_main+sb1", home: false, title: "conf_main+sb1" }, { conf: "conf_main", home: true, title: "conf_main" }]);
  });
  test("the way back may be told before the end", async () => {
    await enter();
    session.tell("moved", { conf: "conf_main", uri: "main+sb1", token: "T", keep: true });
    await settle();
    session.tell("moved", { conf: "conf_main", uri: "main", back: true });
    session.tell("conference.ended", {}, "conf_main+sb1");
    await settle();
    expect([room.away, room.state, session.of("conference.join").length]).toEqual([false, "joined", 3]);
  });
  test("from one sidebar to another", async () => {
    await enter();
    for (const uri of ["main+sb1", "main+sb2"]) {
      session.tell("moved", { conf: "conf_main", uri, token: uri });
      await settle();
    }
    expect(session.of("conference.join").map((c) => c.conf)).toEqual(["main", "main+sb1", "main+sb2"]);
  });
  test("a sidebar that is gone already leads back", async () => {
    await enter();
    session.answers["conference.join"] = (c) => (c.conf === "main" ? undefined : Promise.reject(failure(410, "gone")));
    session.tell("moved", { conf: "conf_main", uri: "main+sb1", token: "T" });
    await settle();
    expect([room.away, room.state]).toEqual([false, "joined"]);
  });
  test("on one's own: into a sidebar by its answer, out by leaving it", async () => {
    await enter();
    session.answers["sidebar.join"] = () => ({ conf: "conf_sb", uri: "main+sb1", token: "T2" });
    await room.joinSidebar("main+sb1");
    expect(session.of("conference.join")[1]!.params.moved).toBe("T2");
    await room.returnHome();
    expect(session.of("conference.leave").map((c) => c.conf)).toEqual(["conf_main+sb1"]);
    expect(room.away).toBe(false);
  });
  test("leaving from a sidebar leaves the main room, too", async () => {
    await enter();
    session.tell("moved", { conf: "conf_main", uri: "main+sb1", token: "T" });
    await settle();
    await room.leave();
    expect(session.of("conference.leave").map((c) => c.conf)).toEqual(["conf_main+sb1", "main"]);
    expect(room.state).toBe("left");
  });
  test("what other conferences say is not taken for this one's", async () => {
    await enter();
    await settle();
    session.say({ conf: "conf_other", state: "full", version: 9, body: { conferenceDescription: { displayText: "no" } } });
    expect(room.info!.conferenceDescription!.displayText).toBe("conf_main");
  });
});

describe("the rest", () => {
  test("after a resume the media session is compared", async () => {
    await enter();
    await settle();
    session.resume("resumed");
    await settle();
    expect(session.of("media.sync")).toEqual([{ method: "media.sync", params: { ms: "ms_1", rev: 1, tracks: ["trk_1_0"], subscriptions: [] }, conf: "conf_main" }]);
  });
  test("the document's role is ours, and a change is told", async () => {
    await enter();
    await settle();
    const roles: string[] = [];
    room.on("role", (r) => roles.push(r));
    const me = (role: string) => ({ users: { state: "partial", user: { me: { state: "full", roles: [role] } } } });
    session.say({ conf: "conf_main", state: "partial", version: 2, body: me("moderator") });
    expect([room.role, room.may("lobby.admit"), roles]).toEqual(["moderator", true, ["moderator"]]);
    session.say({ conf: "conf_main", state: "partial", version: 3, body: me("attendee") });
    expect([room.may("lobby.admit"), roles]).toEqual([false, ["moderator", "attendee"]]);
  });
  test("chat comes by its package, presence goes as a message, the end is announced", async () => {
    await enter();
    session.say({ conf: "conf_main", package: "chat", state: "full", body: { messages: [{ id: "msg_1", at: "1", from: "u", name: "U", text: "hi" }] } });
    expect(room.chat.messages.map((m) => m.text)).toEqual(["hi"]);
    await room.say("hello", ["part_2"]);
    expect(session.of("chat.send")[0]!.params).toMatchObject({ text: "hello", to: ["part_2"] });
    room.setPresence({ state: "away" });
    expect(session.messages).toEqual([{ method: "presence.update", params: { state: "away" }, conf: "conf_main" }]);
    const ends: (number | null)[] = [];
    room.on("ending", (at) => ends.push(at));
    session.tell("conference.ending", { afterS: 60 });
    expect(Math.round((ends[0]! - Date.now()) / 1000)).toBe(60);
    session.tell("conference.ended", { reason: "ended" });
    expect(room.state).toBe("left");
  });
  test("what is wanted of our tracks and withheld of others' is followed, until we join anew", async () => {
    await enter();
    await settle();
    const asked: unknown[] = [];
    room.flow.layers = (cid, b) => asked.push([cid === room.local.get("microphone")!.cid, b.layers]);
    session.tell("track.layers", { track: "trk_1_0", layers: 1, rids: ["q"] });
    session.tell("track.layers", { track: "trk_unknown", layers: 1 });
    expect(asked).toEqual([[true, 1]]);
    const told: string[][] = [];
    room.on("withheld", (m) => told.push([...m.keys()]));
    session.tell("media.withheld", { ms: "ms_1", tracks: [{ track: "trk_9", why: "last-n" }] });
    session.tell("media.withheld", { ms: "ms_1", tracks: [] });
    expect(told).toEqual([["trk_9"], []]);
    await room.view.setLastN(3);
    expect(session.of("track.subscribe")).toEqual([{ method: "track.subscribe", params: { lastN: 3 }, conf: "conf_main" }]);
  });
});
