import { beforeEach, describe, expect, test, vi } from "vitest";
import { failure } from "./errors";
import { Flow, type Path } from "./flow";
import type { JoinResult, LegState } from "./protocol";

/** What a receiver has brought so far; the test turns it up. */
class FakeReceiver {
  count = 0;
  constructor(readonly track: { kind: string; id: string }) {}
  async getStats() {
    const s = { type: "inbound-rtp", kind: this.track.kind, framesDecoded: this.count, packetsReceived: this.count, jitterBufferEmittedCount: this.count };
    return new Map([["1", s]]);
  }
}

class FakeTransceiver {
  mid: string | null = null;
  currentDirection: string | null = null;
  sender = { track: null as unknown, replaceTrack: vi.fn(async (t: unknown) => void (this.sender.track = t)), transport: null, getParameters: () => ({ encodings: [] }) };
  receiver: FakeReceiver;
  constructor(kind: string, public direction: string) {
    this.receiver = new FakeReceiver({ kind, id: Math.random().toString() });
  }
  setCodecPreferences() {}
  stop() {}
}

class FakeChannel {
  readyState = "open";
  other: FakeChannel | null = null;
  onmessage: ((e: { data: string }) => void) | null = null;
  onopen: (() => void) | null = null;
  sent: string[] = [];
  send(word: string) {
    this.sent.push(word);
  }
}

class FakePC {
  connectionState = "new";
  signalingState = "stable";
  closed = false;
  onconnectionstatechange: (() => void) | null = null;
  onicecandidate: ((e: { candidate: { candidate: string } | null }) => void) | null = null;
  localDescription: { type: string; sdp: string } | null = null;
  remoteDescription: { type: string; sdp: string } | null = null;
  transceivers: FakeTransceiver[] = [];
  channel = new FakeChannel();
  added: string[] = [];
  constructor(readonly config: RTCConfiguration) {}
  addTransceiver(what: string | { kind: string }, init: { direction: string }) {
    const t = new FakeTransceiver(typeof what === "string" ? what : what.kind, init.direction);
    this.transceivers.push(t);
    return t;
  }
  getTransceivers() {
    return this.transceivers;
  }
  createDataChannel() {
    return this.channel;
  }
  setConfiguration(c: RTCConfiguration) {
    Object.assign(this.config, c);
  }
  private sdp(answer = false) {
    if (!answer) this.transceivers.forEach((t, i) => (t.mid ??= String(i)));
    return "v=0\r\n" + this.transceivers.filter((t) => t.mid !== null).map((t) => `m=${t.receiver.track.kind} 9 x 1\r\na=mid:${t.mid}\r\n`).join("");
  }
  async createOffer() {
    return { type: "offer", sdp: this.sdp() };
  }
  async createAnswer() {
    return { type: "answer", sdp: this.sdp(true) };
  }
  async setLocalDescription(d: { type: string; sdp: string }) {
    this.signalingState = d.type === "offer" ? "have-local-offer" : "stable";
    if (d.type !== "rollback") this.localDescription = d;
    if (d.type === "answer") this.direct();
  }
  async setRemoteDescription(d: { type: string; sdp: string }) {
    this.remoteDescription = d;
    if (d.type === "offer") {
      const kinds = [...d.sdp.matchAll(/m=(\w+) [\s\S]*?a=mid:(\S+)/g)];
      for (const [, kind, mid] of kinds) {
        if (this.transceivers.some((t) => t.mid === mid)) continue;
        this.addTransceiver(kind!, { direction: "recvonly" }).mid = mid!;
      }
      this.signalingState = "have-remote-offer";
      return;
    }
    this.signalingState = "stable";
    this.direct();
  }
  private direct() {
    for (const t of this.transceivers) if (t.mid !== null) t.currentDirection = t.direction;
  }
  async addIceCandidate(c: { candidate: string }) {
    this.added.push(c.candidate);
  }
  become(state: string) {
    this.connectionState = state;
    this.onconnectionstatechange?.();
  }
  close() {
    this.closed = true;
    this.connectionState = "closed";
  }
}

(globalThis as { MediaStream?: unknown }).MediaStream ??= class {};

let pcs: FakePC[], calls: { method: string; params: any }[], answers: Record<string, (p: any) => unknown>, flow: Flow, paths: Path[], relayOnly: boolean;

const peer = { part: "part_b", dev: "dev_b" };
const directly = (offer: boolean): LegState => ({ topology: "auto", manner: "direct", peers: [{ ...peer, offer }], iceServers: [{ urls: "turn:192.0.2.1" }] });
const sfu: LegState = { topology: "auto", manner: "sfu" };
const join = (leg: LegState) => ({ conf: "conf_1", ms: "ms_s", needed: { ms: "ms_s", audio: 0, video: 0, rev: 0 }, leg }) as unknown as JoinResult;
const tick = async (ms = 50) => {
  await vi.advanceTimersByTimeAsync(ms);
};
/** Something more arrives at every receiver of a connection, until the next look and the one after. */
const brings = async (pc: FakePC) => {
  for (let i = 0; i < 3; i++) {
    for (const t of pc.transceivers) t.receiver.count += 20;
    await tick();
  }
};
const label = (sdp: string, ids: Record<string, string>) => sdp.replace(/a=mid:(\S+)\r\n/g, (m, mid) => (ids[mid] ? `${m}a=label:${ids[mid]}\r\n` : m));
const of = (method: string) => calls.filter((c) => c.method === method);

/** The other side answers our first offer and sends its camera and microphone. */
const answered = async (pc: FakePC, ids = { "0": "trk_mic", "1": "trk_cam" }) => {
  flow.peer("media.answer", { ms: "ms_p", rev: 1, sdp: label(pc.localDescription!.sdp, ids), ...peer });
  await tick();
  pc.become("connected");
  await tick();
};

beforeEach(() => {
  vi.useFakeTimers();
  pcs = [];
  calls = [];
  paths = [];
  relayOnly = false;
  answers = {
    "media.offer": (p) => (p.peer || p.ms === "ms_p" ? { ms: "ms_p", rev: 1 } : { ms: p.ms, rev: p.rev, sdp: "answer", receive: { "2": "trk_mic", "3": "trk_cam" } }),
  };
  flow = new Flow({
    signal: async (_, method, params) => {
      calls.push({ method, params });
      const out = answers[method]?.(params) ?? {};
      if (out instanceof Error) throw out;
      return out as never;
    },
    sources: () => [
      { cid: "c1", id: "trk_1", source: "microphone", kind: "audio", track: {} as MediaStreamTrack },
      { cid: "c2", id: "trk_2", source: "camera", kind: "video", track: {} as MediaStreamTrack },
    ],
    expected: () => ["trk_mic", "trk_cam"],
    silent: () => false,
    iceServers: () => [],
    relayOnly: () => relayOnly,
    peerConnection: (c) => (pcs.push(new FakePC(c)), pcs[pcs.length - 1] as never),
  });
  flow.on("path", (p) => paths.push(p));
});

describe("direct", () => {
  test("alone: no connection at all", async () => {
    flow.enter(join({ topology: "auto", manner: "direct" }));
    await tick();
    expect(pcs).toHaveLength(0);
    expect(calls).toEqual([]);
  });

  test("who came later offers, with the ids of the tracks; the server is told when media is here", async () => {
    flow.enter(join(directly(true)));
    await tick();
    expect(of("media.offer")).toHaveLength(1);
    expect(of("media.offer")[0]!.params).toMatchObject({ peer: { part: "part_b", dev: "dev_b" } });
    expect(of("media.offer")[0]!.params.sdp).toContain("a=label:trk_1");
    expect(pcs[0]!.config.iceServers).toEqual([{ urls: "turn:192.0.2.1" }]);
    await answered(pcs[0]!);
    expect([...flow.remote.keys()]).toEqual(["trk_mic", "trk_cam"]);
    expect(of("media.peerState")).toEqual([]);
    await brings(pcs[0]!);
    expect(of("media.peerState").map((c) => c.params)).toEqual([{ ms: "ms_p", state: "connected" }]);
    expect(pcs[0]!.channel.sent).toContain("use");
    expect(paths).toEqual(["direct"]);
    expect(pcs).toHaveLength(1); // none to the server
  });

  test("who was here first waits, answers, and asks in turn for what found no section", async () => {
    flow.enter(join(directly(false)));
    await tick();
    expect(pcs).toHaveLength(0);
    flow.peer("media.offer", { ms: "ms_p", rev: 1, ...peer, sdp: "v=0\r\nm=audio 9 x 1\r\na=mid:0\r\na=label:trk_mic\r\n" });
    await tick();
    expect(of("media.answer")[0]!.params.sdp).toContain("a=label:trk_1");
    expect([...flow.remote.keys()]).toEqual(["trk_mic"]);
    expect(of("media.offer")[0]!.params).toMatchObject({ ms: "ms_p" }); // for the camera
    expect(of("media.offer")[0]!.params.sdp).toContain("a=label:trk_2");
  });

  test("a stranger's offer is not answered", async () => {
    flow.enter(join(directly(false)));
    flow.peer("media.offer", { ms: "ms_x", rev: 1, part: "part_x", dev: "dev_x", sdp: "v=0\r\n" });
    flow.follow(sfu);
    flow.peer("media.offer", { ms: "ms_p", rev: 1, ...peer, sdp: "v=0\r\n" });
    await tick();
    expect(of("media.answer")).toEqual([]);
  });

  test("two sessions at once: the one of who is to offer counts, and the other is ended", async () => {
    flow.enter(join(directly(true)));
    await tick();
    const theirs = { ms: "ms_q", rev: 1, ...peer, sdp: "v=0\r\nm=audio 9 x 1\r\na=mid:0\r\n" };
    flow.peer("media.offer", theirs);
    await tick();
    expect(of("media.answer")).toEqual([]);
    flow.follow(directly(false)); // the other came anew, and is to offer
    flow.peer("media.offer", theirs);
    await tick();
    expect(of("media.answer").map((c) => c.params.ms)).toEqual(["ms_q"]);
    expect(of("media.peerEnd").map((c) => c.params.ms)).toEqual(["ms_p"]);
  });

  test("a session that the server ended is not opened again at once: who offers may change", async () => {
    flow.enter(join(directly(true)));
    await tick();
    flow.peer("media.closed", { ms: "ms_p", reason: "replaced" });
    await tick(500);
    expect(of("media.offer")).toHaveLength(1);
    await tick(3_000);
    expect(of("media.offer")).toHaveLength(2);
  });

  test("an offer that met another's (491) is taken back, and the other's answered", async () => {
    flow.enter(join(directly(true)));
    await tick();
    await answered(pcs[0]!);
    answers["media.offer"] = () => failure(491, "request-pending");
    void flow.negotiate();
    await tick(20);
    flow.peer("media.offer", { ms: "ms_p", rev: 2, ...peer, sdp: label(pcs[0]!.remoteDescription!.sdp, { "0": "trk_mic", "1": "trk_cam" }) });
    await tick(2_000);
    expect(of("media.answer")).toHaveLength(1);
    expect(pcs[0]!.signalingState).toBe("stable");
    expect(of("media.offer").length).toBeLessThan(4); // theirs did it all
  });

  test("candidates go in batches once the session has a name; hidden addresses never", async () => {
    relayOnly = true;
    flow.enter(join(directly(true)));
    await tick();
    expect(pcs[0]!.config.iceTransportPolicy).toBe("relay");
    for (const c of ["candidate:1 1 udp 1 10.0.0.1 1 typ host", "candidate:2 1 udp 1 192.0.2.1 2 typ relay raddr 10.0.0.1 rport 1"]) pcs[0]!.onicecandidate!({ candidate: { candidate: c } });
    await tick();
    expect(of("media.candidate").map((c) => c.params.candidates)).toEqual([["candidate:2 1 udp 1 192.0.2.1 2 typ relay raddr 0.0.0.0 rport 0"]]);
    expect(JSON.stringify(calls)).not.toContain("10.0.0.1");
  });

  test("candidates that come before the description are kept", async () => {
    flow.enter(join(directly(true)));
    await tick();
    flow.peer("media.candidate", { ms: "ms_p", candidates: ["candidate:1"] });
    await tick();
    expect(pcs[0]!.added).toEqual([]);
    await answered(pcs[0]!);
    expect(pcs[0]!.added).toEqual(["candidate:1"]);
  });

  test("peers that do not reach one another are reported, once; a passing failure is not", async () => {
    flow.enter(join(directly(true)));
    await tick();
    flow.peer("media.answer", { ms: "ms_p", rev: 1, sdp: pcs[0]!.localDescription!.sdp, ...peer });
    await tick();
    pcs[0]!.become("failed"); // more candidates may be on their way
    await tick(2_000);
    expect(of("media.peerState")).toEqual([]);
    await tick(12_000);
    expect(of("media.peerState").map((c) => c.params.state)).toEqual(["failed"]);
  });
});

describe("make before break", () => {
  const talking = async () => {
    flow.enter(join(directly(true)));
    await tick();
    await answered(pcs[0]!);
    await brings(pcs[0]!);
    pcs[0]!.channel.onmessage!({ data: "use" });
    return pcs[0]!;
  };

  test("direct → server: each track is shown by its old way until the new one brings it; then both let go", async () => {
    const p2p = await talking();
    const shown = () => [...flow.remote.values()].map((t) => t.direct);
    flow.follow(sfu);
    flow.needed({ ms: "ms_s", audio: 1, video: 1, rev: 0 });
    await tick();
    const server = pcs[1]!;
    server.become("connected");
    await tick(200);
    expect(shown()).toEqual([true, true]);
    server.transceivers[2]!.receiver.count = 0;
    for (let i = 0; i < 3; i++) {
      server.transceivers[2]!.receiver.count += 20;
      await tick();
    }
    expect(flow.remote.get("trk_mic")!.direct).toBe(false);
    expect(flow.remote.get("trk_cam")!.direct).toBe(true);
    expect(p2p.channel.sent).not.toContain("done");
    await brings(server);
    expect(shown()).toEqual([false, false]);
    expect(p2p.channel.sent.at(-1)).toBe("done");
    expect(p2p.closed).toBe(false); // the other side still uses it
    p2p.channel.onmessage!({ data: "done" });
    await tick();
    expect(p2p.closed).toBe(true);
    expect(of("media.peerEnd").map((c) => c.params.ms)).toEqual(["ms_p"]);
    expect(flow.currentPath()).toBe("server");
  });

  test("direct → a mix covers all; its picture is shown when it begins", async () => {
    const p2p = await talking();
    answers["media.offer"] = (p) => ({ ms: p.ms, rev: p.rev, sdp: "answer", receive: { "2": "mix:audio", "3": "mix:video" } });
    flow.follow({ topology: "mixer", manner: "mixer" });
    flow.needed({ ms: "ms_s", audio: 1, video: 1, rev: 0 });
    await tick();
    pcs[1]!.become("connected");
    await tick(200);
    expect(flow.remote.has("mix:video")).toBe(false);
    await brings(pcs[1]!);
    p2p.channel.onmessage!({ data: "done" });
    await tick();
    expect([...flow.remote.keys()].sort()).toEqual(["mix:audio", "mix:video"]);
    expect(p2p.closed).toBe(true);
  });

  test("server → direct: the server's connection goes when both sides have each other, and not before", async () => {
    flow.enter(join(sfu));
    flow.needed({ ms: "ms_s", audio: 1, video: 1, rev: 0 });
    await tick();
    const server = pcs[0]!;
    server.become("connected");
    await brings(server);
    flow.follow(directly(true));
    await tick();
    const p2p = pcs[1]!;
    await answered(p2p);
    expect([...flow.remote.values()].map((t) => t.direct)).toEqual([false, false]);
    await brings(p2p);
    expect([...flow.remote.values()].map((t) => t.direct)).toEqual([true, true]);
    await tick(500);
    expect(server.closed).toBe(false);
    flow.peer("media.closed", { ms: "ms_s", reason: "direct" });
    expect(server.closed).toBe(true);
    expect([...flow.remote.keys()]).toEqual(["trk_mic", "trk_cam"]);
  });

  test("back to the server before it was left: nothing is opened twice", async () => {
    flow.enter(join(sfu));
    await tick();
    pcs[0]!.become("connected");
    flow.follow(directly(true));
    await tick();
    flow.follow(sfu);
    await tick();
    expect(pcs).toHaveLength(2);
    expect(pcs[0]!.closed).toBe(false);
  });

  test("the server's session goes on where it was, on a new connection", async () => {
    flow.enter(join(sfu));
    await tick();
    pcs[0]!.become("connected");
    expect(of("media.offer").at(-1)!.params.rev).toBe(1);
    flow.follow({ topology: "auto", manner: "direct" });
    await tick();
    expect(pcs[0]!.closed).toBe(true);
    flow.follow(sfu);
    await tick();
    expect(of("media.offer").at(-1)!.params.rev).toBe(2);
  });

  test("a connection that cannot be negotiated any more is replaced, once in a while", async () => {
    const errors: string[] = [];
    flow.on("error", (e) => errors.push(e.reason));
    flow.enter(join(sfu));
    await tick();
    pcs[0]!.setRemoteDescription = () => Promise.reject(new Error("Failed to set up demuxing"));
    flow.needed({ ms: "ms_s", audio: 1, video: 1, rev: 1 });
    await tick(3_000);
    expect([pcs.length, pcs[0]!.closed]).toEqual([2, true]);
    expect(of("media.offer").at(-1)!.params.sdp.match(/m=/g)).toHaveLength(4); // our two, and what is needed
    pcs[1]!.setRemoteDescription = pcs[0]!.setRemoteDescription;
    flow.needed({ ms: "ms_s", audio: 2, video: 1, rev: 2 });
    await tick(3_000);
    expect(pcs).toHaveLength(2);
    expect(errors).toEqual(["negotiation"]);
  });

  test("a peer that is gone is gone at once", async () => {
    const p2p = await talking();
    flow.peer("media.closed", { ms: "ms_p", reason: "left" });
    expect(p2p.closed).toBe(true);
    expect(flow.remote.size).toBe(0);
  });
});
