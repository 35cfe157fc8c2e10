import { describe, expect, test, vi } from "vitest";
import { failure, ParleyError } from "./errors";
import { activate, MediaSession, type Received } from "./media";
import type { OfferParams } from "./protocol";

class FakeTransceiver {
  mid: string | null = null;
  stopped = false;
  receiver: { track: { kind: string; id: string } };
  sender = { replaceTrack: vi.fn(async () => {}) };
  constructor(readonly kind: string, readonly direction: string) {
    this.receiver = { track: { kind, id: Math.random().toString() } };
  }
  setCodecPreferences() {}
  stop() {
    this.stopped = true;
  }
}

class FakePC {
  connectionState = "new";
  signalingState = "stable";
  onconnectionstatechange: (() => void) | null = null;
  localDescription: { type: string; sdp: string } | null = null;
  transceivers: FakeTransceiver[] = [];
  log: string[] = [];
  addTransceiver(what: string | { kind: string }, init: { direction: string }) {
    const t = new FakeTransceiver(typeof what === "string" ? what : what.kind, init.direction);
    this.transceivers.push(t);
    return t;
  }
  getTransceivers() {
    return this.transceivers;
  }
  async createOffer(o: { iceRestart?: boolean }) {
    return { type: "offer", sdp: `offer ${this.transceivers.length}${o.iceRestart ? " restart" : ""}` };
  }
  async setLocalDescription(d: { type: string; sdp: string }) {
    this.log.push(d.type);
    if (d.type === "rollback") {
      this.signalingState = "stable";
      return;
    }
    this.localDescription = d;
    this.signalingState = "have-local-offer";
    this.transceivers.forEach((t, i) => (t.mid = String(i)));
  }
  async setRemoteDescription() {
    this.signalingState = "stable";
    this.log.push("answer");
  }
  close() {}
}

(globalThis as { MediaStream?: unknown }).MediaStream ??= class {};

function setup(answer: (p: OfferParams, n: number) => unknown) {
  const pc = new FakePC();
  const offers: OfferParams[] = [];
  const methods: string[] = [];
  const signal = async (method: string, params: unknown) => {
    methods.push(method);
    if (method !== "media.offer") return {};
    offers.push(params as OfferParams);
    const out = answer(params as OfferParams, offers.length);
    if (out instanceof ParleyError) throw out;
    return out as never;
  };
  const m = new MediaSession({ ms: "ms_1", signal: signal as never, peerConnection: () => pc as never });
  return { pc, m, offers, methods };
}

const ok = (p: OfferParams) => ({ ms: "ms_1", rev: p.rev, sdp: "answer" });

describe("media session", () => {
  test("offers as many receiving sections as needed, with cids by mid, and maps what it receives", async () => {
    const { m, pc, offers } = setup((p) => ({ ...ok(p), receive: { "1": "trk_a", "2": "trk_b" } }));
    let got: Received[] = [];
    m.on("received", (r) => (got = r));
    m.send({ cid: "cid_1", id: "trk_1", source: "camera", kind: "video", track: null });
    await m.need({ ms: "ms_1", audio: 1, video: 2, rev: 0 });
    expect(pc.transceivers.map((t) => `${t.kind} ${t.direction}`)).toEqual(["video sendonly", "audio recvonly", "video recvonly", "video recvonly"]);
    expect(offers[0]).toMatchObject({ ms: "ms_1", rev: 1, tracks: { "0": "cid_1" } });
    expect(got.map((r) => [r.mid, r.track, r.kind])).toEqual([["1", "trk_a", "audio"], ["2", "trk_b", "video"]]);
    await m.need({ ms: "ms_1", audio: 1, video: 1, rev: 1 });
    expect(pc.transceivers).toHaveLength(4); // sections are kept, never dropped
    expect(offers[1]!.rev).toBe(2);
  });

  test("wishes that come during an offer are one more offer, not several at once", async () => {
    let open = 0;
    const { m, offers } = setup(ok);
    const signal = (m as unknown as { opts: { signal: (a: string, b: unknown) => Promise<unknown> } }).opts;
    const inner = signal.signal;
    signal.signal = async (a, b) => {
      expect(++open).toBe(1);
      await new Promise((r) => setTimeout(r, 5));
      open--;
      return inner(a, b);
    };
    await Promise.all([m.need({ ms: "", audio: 1, video: 0, rev: 0 }), m.need({ ms: "", audio: 2, video: 0, rev: 0 }), m.need({ ms: "", audio: 3, video: 1, rev: 0 })]);
    expect(offers.length).toBeLessThanOrEqual(2);
    expect(offers[offers.length - 1]!.sdp).toBe("offer 4");
    expect(offers.map((o) => o.rev)).toEqual(offers.map((_, i) => i + 1));
  });

  test("a conflict rolls back, takes the server's rev and offers again", async () => {
    const { m, offers, pc } = setup((p, n) => (n === 1 ? new ParleyError({ code: 409, reason: "bad-state", data: { rev: 6 } }) : ok(p)));
    await m.negotiate();
    expect(offers.map((o) => o.rev)).toEqual([1, 7]);
    expect(pc.log).toEqual(["offer", "rollback", "offer", "answer"]);
  });

  test("a refusal is told once and leaves a stable connection", async () => {
    const { m, pc } = setup(() => failure(488, "not-acceptable"));
    const errors: ParleyError[] = [];
    m.on("error", (e) => errors.push(e));
    await expect(m.negotiate()).rejects.toMatchObject({ code: 488 });
    expect(errors).toHaveLength(1);
    expect(pc.signalingState).toBe("stable");
  });

  test("a failed connection restarts ICE with an offer of new credentials", async () => {
    const { m, pc, offers, methods } = setup(ok);
    await m.negotiate();
    const done = new Promise<void>((resolve) => m.on("received", () => resolve()));
    pc.connectionState = "failed";
    pc.onconnectionstatechange!();
    await done;
    pc.connectionState = "connected";
    pc.onconnectionstatechange!();
    expect(methods).toEqual(["media.offer", "media.restartIce", "media.offer"]);
    expect(offers[1]!.sdp).toContain("restart");
    m.close();
  });

  test("a restart that the server wants is an offer of new credentials", async () => {
    const { m, offers, methods } = setup(ok);
    await m.negotiate();
    await m.need({ ms: m.ms, audio: 0, video: 0, rev: 1, reason: "ice-restart" });
    expect(methods).toEqual(["media.offer", "media.offer"]);
    expect(offers[1]!.sdp).toContain("restart");
    m.close();
  });

  test("ending a source stops its section", async () => {
    const { m, pc, offers } = setup(ok);
    m.send({ cid: "c", id: "t", source: "screen", kind: "video", track: null });
    await m.negotiate();
    m.unsend("c");
    await m.negotiate();
    expect(pc.transceivers[0]!.stopped).toBe(true);
    expect(offers[1]!.tracks).toEqual({});
  });
});

describe("encodings that somebody wants", () => {
  const list = () => ["q", "h", "f"].map((rid) => ({ rid }) as RTCRtpEncodingParameters);
  const on = (l: RTCRtpEncodingParameters[]) => l.filter((e) => e.active !== false).map((e) => e.rid).join("");

  test("are switched on, the others off, and the lowest stays", () => {
    const l = list();
    expect(activate(l, { track: "t", layers: 0 })).toBe(false);
    expect(activate(l, { track: "t", layers: 1, rids: ["q"] })).toBe(true);
    expect(on(l)).toBe("q");
    expect(activate(l, { track: "t", layers: 1, rids: ["q"] })).toBe(false);
    activate(l, { track: "t", layers: 2, rids: ["q", "h"] });
    expect(on(l)).toBe("qh");
    activate(l, { track: "t", layers: 1, rids: ["f"] });
    expect(on(l)).toBe("qf");
    activate(l, { track: "t", layers: 0 });
    expect(on(l)).toBe("qhf");
    activate(l, { track: "t", layers: 2 }); // by number where they have no names
    expect(on(l)).toBe("qh");
  });

  test("are told to the sender, and again after a negotiation that was under way", async () => {
    const { m, pc } = setup((p) => ok(p));
    m.send({ cid: "cid_1", id: "trk_1", source: "camera", kind: "video", track: null, simulcast: true });
    const sender = pc.transceivers[0]!.sender as unknown as { getParameters: () => unknown; setParameters: (p: { encodings: RTCRtpEncodingParameters[] }) => Promise<void> };
    let set = list();
    let refuse = true;
    sender.getParameters = () => ({ encodings: set.map((e) => ({ ...e })) });
    sender.setParameters = async (p) => {
      if (refuse) throw new Error("negotiating");
      set = p.encodings;
    };
    await m.layers("cid_1", { track: "trk_1", layers: 1, rids: ["q"] });
    expect(on(set)).toBe("qhf");
    refuse = false;
    await m.negotiate();
    expect(on(set)).toBe("q");
    await m.layers("cid_1", { track: "trk_1", layers: 0 });
    expect(on(set)).toBe("qhf");
    await m.layers("cid_9", { track: "trk_9", layers: 1 });
  });
});
