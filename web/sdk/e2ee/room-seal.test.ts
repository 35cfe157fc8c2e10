import { afterEach, beforeEach, describe, expect, test, vi } from "vitest";
import { Emitter } from "../emitter";
import { ParleyError } from "../errors";
import { EXT } from "../info";
import { Room } from "../room";
import type { RoomOptions } from "../room-types";
import type { Session, SessionEvents } from "../session";
import { identity, sessionKeys, type KeyStore, type PublicKeys } from "./identity";
import type { WorkerPort } from "./transforms";
import type { ToWorker } from "./wire";

const memory = (): KeyStore => {
  let kept: CryptoKeyPair | undefined;
  return { load: async () => kept, save: async (p) => void (kept ??= p) };
};

class FakeTransceiver {
  mid: string | null = null;
  sender: { transform?: unknown; replaceTrack: () => Promise<void> } = { replaceTrack: async () => {} };
  receiver: { transform?: unknown; track: { kind: string } };
  codecs: string[] = [];
  constructor(kind: string, readonly direction: string) {
    this.receiver = { track: { kind } };
  }
  setCodecPreferences(list: { mimeType: string }[]) {
    this.codecs = list.map((c) => c.mimeType);
  }
  stop() {}
}

class FakePC {
  connectionState = "new";
  signalingState = "stable";
  localDescription = { sdp: "offer" };
  all: FakeTransceiver[] = [];
  constructor(readonly config: RTCConfiguration) {}
  addTransceiver(what: string | { kind: string }, init: { direction: string }) {
    const t = new FakeTransceiver(typeof what === "string" ? what : what.kind, init.direction);
    this.all.push(t);
    return t;
  }
  getTransceivers() {
    return this.all;
  }
  async createOffer() {
    return { type: "offer", sdp: "offer" };
  }
  async setLocalDescription() {
    this.all.forEach((t, i) => (t.mid = String(i)));
  }
  async setRemoteDescription() {}
  close() {}
}

class FakeWorker implements WorkerPort {
  onmessage: ((e: MessageEvent) => void) | null = null;
  onerror: ((e: ErrorEvent) => void) | null = null;
  said: ToWorker[] = [];
  ended = false;
  postMessage(m: ToWorker) {
    this.said.push(m);
  }
  terminate() {
    this.ended = true;
  }
}

class FakeSession extends Emitter<SessionEvents> {
  state = "idle";
  welcome = { iceServers: [] };
  calls: { method: string; params: any }[] = [];
  join: object = { e2ee: true };
  refuse: Record<string, number> = {};
  members: Record<string, { e2ee?: PublicKeys; tracks?: string[] }> = {};
  private version = 0;
  resumeFrom() {}
  async connect() {
    this.state = "open";
  }
  async request(method: string, params: any) {
    this.calls.push({ method, params });
    const code = this.refuse[method];
    if (code) throw new ParleyError({ code, reason: "refused" });
    if (method === "media.offer") return { ms: params.ms, rev: params.rev, sdp: "answer", receive: { "1": "trk_cam", "2": "slot:1" } };
    if (method !== "conference.join") return {};
    const tracks = params.tracks.map((t: any, i: number) => ({ cid: t.cid, track: `trk_me_${i}` }));
    return { conf: "conf_1", uri: "main", part: "part_1", user: "me", device: params.device, role: "attendee", rev: 1, ms: "ms_1", tracks, needed: { ms: "ms_1", audio: 0, video: 2, rev: 0 }, ...this.join };
  }
  async subscribe(_: string, pkg: string) {
    if (pkg === "conference") queueMicrotask(() => this.show());
    return {};
  }
  show() {
    const user: Record<string, object> = {};
    for (const [name, m] of Object.entries(this.members)) {
      const media = Object.fromEntries((m.tracks ?? []).map((id) => [id, { status: "sendonly", ext: { [EXT]: { source: "camera" } } }]));
      user[name] = { roles: ["attendee"], endpoint: { dev: { status: "connected", media, ext: { [EXT]: { e2ee: m.e2ee } } } } };
    }
    this.emit("notify", { kind: "notify", package: "conference", conf: "conf_1", state: "full", version: ++this.version, body: { users: { user } } } as never);
  }
  say(event: string, body: object) {
    this.emit("notify", { kind: "notify", package: "conference", conf: "conf_1", event, body } as never);
  }
  renew() {
    this.emit("renewed", {} as never);
  }
  message() {}
  close() {
    this.state = "closed";
  }
  of(method: string) {
    return this.calls.filter((c) => c.method === method);
  }
}

const settle = () => new Promise((r) => setTimeout(r, 30));
const track = (kind: string) => ({ kind, enabled: true, stop: vi.fn(), getSettings: () => ({}) }) as unknown as MediaStreamTrack;
const kinds = ["audio/opus", "audio/red", "audio/PCMU", "video/VP8", "video/rtx", "video/VP9", "video/H264", "video/AV1", "video/red"];
const transforms: { worker: unknown; options: any }[] = [];

let session: FakeSession, pcs: FakePC[], workers: FakeWorker[];

beforeEach(() => {
  session = new FakeSession();
  pcs = [];
  workers = [];
  transforms.length = 0;
  vi.stubGlobal("MediaStream", class {});
  vi.stubGlobal("RTCRtpReceiver", { getCapabilities: (kind: string) => ({ codecs: kinds.filter((c) => c.startsWith(kind)).map((mimeType) => ({ mimeType })) }) });
  vi.stubGlobal("RTCRtpScriptTransform", class {
    constructor(worker: unknown, options: unknown) {
      transforms.push({ worker, options });
    }
  });
});
afterEach(() => vi.unstubAllGlobals());

function room(opts: Partial<RoomOptions> = {}): Room {
  return new Room({
    room: "main", name: "Ana", device: "dev_1", session: session as unknown as Session, reportInputs: false, keyStore: memory(),
    e2eeWorker: () => (workers.push(new FakeWorker()), workers.at(-1)!),
    peerConnection: (c) => (pcs.push(new FakePC(c)), pcs.at(-1) as never),
    ...opts,
  });
}

describe("an encrypted room", () => {
  test("is joined with keys; every section has its transform, VP8 and Opus only, before the first offer", async () => {
    const r = room();
    await r.join({ microphone: track("audio"), camera: track("video") });
    await settle();
    const { caps, e2ee } = session.of("conference.join")[0]!.params;
    expect(caps.e2ee).toBe(true);
    expect(Object.keys(e2ee).sort()).toEqual(["identity", "key", "sig"]);
    expect(session.of("conference.start")).toEqual([]);
    const [pc] = pcs;
    expect(transforms.map((t) => `${t.options.dir} ${t.options.kind}`)).toEqual(["send audio", "send video", "receive video", "receive video"]);
    for (const t of pc!.all) {
      expect(Boolean(t.direction === "sendonly" ? t.sender.transform : t.receiver.transform)).toBe(true);
      expect(t.codecs).toEqual(t.receiver.track.kind === "audio" ? ["audio/opus"] : ["video/VP8", "video/rtx"]);
    }
    expect(workers.length).toBe(1);
    await r.leave();
    expect(workers[0]!.ended).toBe(true);
  });

  test("takes a track's frames from its owner only, a slot's from any member, and nobody's before the roster says whose it is", async () => {
    const bob = (await sessionKeys(await identity(memory()))).public;
    const r = room();
    await r.join({ camera: track("video") });
    await settle();
    const last = () => new Map(workers[0]!.said.flatMap((m) => (m.t === "expect" ? [[m.id, m.from] as const] : [])));
    expect([...last().values()].sort()).toEqual(["", null].sort());
    session.members = { bob: { e2ee: bob, tracks: ["trk_cam"] } };
    session.show();
    await vi.waitFor(() => expect(r.seal.sealing!.members.map((m) => m.key)).toEqual([bob.key]), { timeout: 10_000 });
    expect([...last().values()]).toContain(bob.key);
    expect(session.of("e2ee.send")[0]!.params.messages[0].to).toBe(bob.key);
    session.members = {};
    session.show();
    await vi.waitFor(() => expect(r.seal.sealing!.members).toEqual([]), { timeout: 10_000 });
    expect(workers[0]!.said.some((m) => m.t === "forget" && m.from === bob.key)).toBe(true);
    await r.leave();
  });

  test("stays by the server, whatever the server says", async () => {
    session.join = { e2ee: true, leg: { topology: "auto", manner: "direct", peers: [{ part: "part_2", dev: "dev_2", offer: true }] } };
    const r = room();
    await r.join({ camera: track("video") });
    await settle();
    expect(r.flow.leg.manner).toBe("sfu");
    session.say("topology.changed", { topology: "mesh", manner: "direct", peers: [{ part: "part_2", dev: "dev_2", offer: true }] });
    session.say("media.offer", { ms: "ms_9", sdp: "v=0", part: "part_2", dev: "dev_2" });
    await settle();
    expect(pcs.length).toBe(1);
    expect(r.flow.links).toEqual([]);
    await r.leave();
  });

  test("is left when the server comes back without encryption", async () => {
    const r = room();
    await r.join({ camera: track("video") });
    await settle();
    expect(pcs.length).toBe(1);
    const closed = r.once("closed");
    session.join = {};
    session.renew();
    expect((await closed).reason).toBe("e2ee-missing");
    expect(pcs.length).toBe(1);
    expect(workers[0]!.ended).toBe(true);
  });

  test("a worker that fails is told", async () => {
    const r = room();
    await r.join({});
    const error = r.once("error");
    workers[0]!.onerror!({} as ErrorEvent);
    expect((await error).reason).toBe("e2ee-worker");
    await r.leave();
  });
});

describe("where encryption is demanded", () => {
  test("the conference is started so; who may not start it goes on to the join", async () => {
    for (const code of [0, 403, 409]) {
      session = new FakeSession();
      session.refuse = code ? { "conference.start": code } : {};
      const r = room({ e2ee: "require" });
      await r.join({});
      expect(session.calls.slice(0, 2).map((c) => [c.method, c.params.e2ee && true])).toEqual([["conference.start", true], ["conference.join", true]]);
      await r.leave();
    }
  });

  test("one without it is not entered: no connection, no worker", async () => {
    session.join = {};
    await expect(room({ e2ee: "require" }).join({ camera: track("video") })).rejects.toMatchObject({ code: 403, reason: "e2ee-missing" });
    expect([pcs.length, workers.length]).toEqual([0, 0]);
  });

  test("a browser that cannot says so before anything is asked", async () => {
    vi.stubGlobal("RTCRtpScriptTransform", undefined);
    await expect(room({ e2ee: "require", e2eeWorker: undefined }).join({})).rejects.toMatchObject({ code: 501, reason: "e2ee-unsupported" });
    expect(session.calls).toEqual([]);
  });
});

test("a room that is not encrypted has no worker and no transforms", async () => {
  session.join = {};
  const r = room();
  await r.join({ camera: track("video") });
  await settle();
  expect([workers.length, transforms.length, r.seal.sealing]).toEqual([0, 0, null]);
  expect(pcs[0]!.all[0]!.codecs[0]).toBe("video/VP8");
  expect(pcs[0]!.all[0]!.codecs).toContain("video/AV1");
  await r.leave();
});
