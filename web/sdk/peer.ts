// A media session between this device and another one: one RTCPeerConnection,
// media straight from person to person. The server carries the descriptions as
// they are and lets only one side offer at a time: the other's offer is 491.

import { Emitter } from "./emitter";
import { ParleyError } from "./errors";
import type { LocalSource, MediaSink, Received } from "./media";
import { hidden, labels, withLabels, withoutAddresses } from "./peer-sdp";
import type { Kind, PeerRef } from "./protocol";
import { Restarts } from "./restarts";

export interface PeerEvents {
  /** What the other side sends, by track, after a negotiation. */
  received: Received[];
  connection: RTCPeerConnectionState;
  /** The other side takes our media through this connection now, or no longer. */
  used: boolean;
}

export interface PeerOptions {
  peer: PeerRef;
  iceServers: RTCIceServer[];
  /** Use relays only, and tell no address of ours. */
  relayOnly: boolean;
  /** Most of video, bit/s: what the uplink can bear times this many peers. */
  maxBitrate: number;
  signal: <T>(method: string, params: unknown) => Promise<T>;
  peerConnection?: (config: RTCConfiguration) => RTCPeerConnection;
}

interface Sending {
  local: LocalSource;
  transceiver: RTCRtpTransceiver | null;
}

const RETRY_MS = 250; // after 491: the other side's offer is on its way
const MAX_RETRIES = 40;
const ANSWER_MS = 20_000; // the other side may be reconnecting
const CANDIDATES = 32; // in one message
const BATCH_MS = 20;
const DISCONNECTED_MS = 1_500;
const FAILED_MS = 1_000; // before it stood once: candidates are on their way
const CHANNEL = 0; // id of the data channel, agreed beforehand

const wait = (ms: number) => new Promise<void>((resolve) => setTimeout(resolve, ms));

/** See the head of this file. Made by Mesh. */
export class PeerLink extends Emitter<PeerEvents> implements MediaSink {
  /** The server's name of the session; empty until the first offer is taken. */
  ms = "";
  readonly pc: RTCPeerConnection;
  received: Received[] = [];
  /** The other side has said that it uses this connection. */
  usedByPeer = false;
  closed = false;
  /** The server has closed the session: what flows may go on, but nothing can be negotiated. */
  ended = false;
  /** When it was made, and when media could first flow; ms of the page's clock. */
  readonly since = Date.now();
  connectedAt = 0;
  /** Since when it has been broken after it stood; 0: it is not. */
  brokenAt = 0;

  private sending = new Map<string, Sending>();
  private remoteLabels = new Map<string, string>();
  private chain: Promise<unknown> = Promise.resolve();
  private dirty = false;
  private running: Promise<void> | null = null;
  private answered: ((ok: boolean) => void) | null = null;
  private iceRestart = false;
  private early: RTCIceCandidateInit[] = []; // that came before the description
  private late: string[] = []; // of ours, not sent yet
  private flushTimer?: ReturnType<typeof setTimeout>;
  // Who does not offer by rule waits a little, so that there is one restart and not two.
  private readonly restarts = new Restarts(() => void this.restart(), () => (this.opts.peer.offer ? 0 : DISCONNECTED_MS));
  private channel: RTCDataChannel | null = null;
  private using = false;

  constructor(private readonly opts: PeerOptions) {
    super();
    this.pc = (opts.peerConnection ?? ((c) => new RTCPeerConnection(c)))(this.config(opts.iceServers));
    this.pc.onconnectionstatechange = () => this.onConnectionState();
    this.pc.onicecandidate = (e) => e.candidate && this.onLocalCandidate(e.candidate.candidate);
    this.openChannel();
  }

  get peer(): PeerRef {
    return this.opts.peer;
  }

  private config(iceServers: RTCIceServer[]): RTCConfiguration {
    return { bundlePolicy: "max-bundle", rtcpMuxPolicy: "require", iceServers, iceTransportPolicy: this.opts.relayOnly ? "relay" : "all" };
  }

  /** Other relays, or another wish for privacy, from the next restart on. */
  configure(iceServers: RTCIceServer[], relayOnly: boolean): void {
    const stricter = relayOnly !== this.opts.relayOnly;
    this.opts.iceServers = iceServers;
    this.opts.relayOnly = relayOnly;
    try {
      this.pc.setConfiguration(this.config(iceServers));
    } catch {
      return; // the old relays stay
    }
    if (stricter) void this.restart();
  }

  // ---- what is sent

  send(local: LocalSource): void {
    this.sending.set(local.cid, { local, transceiver: null });
  }

  async replace(cid: string, track: MediaStreamTrack | null): Promise<void> {
    const s = this.sending.get(cid);
    if (!s) return;
    s.local.track = track;
    await s.transceiver?.sender.replaceTrack(track);
  }

  unsend(cid: string): void {
    const t = this.sending.get(cid)?.transceiver;
    this.sending.delete(cid);
    if (!t) return;
    void t.sender.replaceTrack(null).catch(() => undefined);
    t.direction = "recvonly";
  }

  /** Gives every source a section: one that is there and free, or a new one. */
  private place(): void {
    const taken = new Set([...this.sending.values()].map((s) => s.transceiver));
    for (const s of this.sending.values()) {
      if (s.transceiver) continue;
      const free = this.pc.getTransceivers().find((t) => !taken.has(t) && t.receiver.track.kind === s.local.kind && t.direction !== "stopped");
      s.transceiver = free ?? this.pc.addTransceiver(s.local.kind, { direction: "sendrecv" });
      taken.add(s.transceiver);
      s.transceiver.direction = "sendrecv";
      void s.transceiver.sender.replaceTrack(s.local.track).catch(() => undefined);
    }
  }

  /** The first offer has room for the other side's microphone and camera, so that one round is enough. */
  private leaveRoom(): void {
    for (const kind of ["audio", "video"] as Kind[]) {
      if (!this.pc.getTransceivers().some((t) => t.receiver.track.kind === kind)) this.pc.addTransceiver(kind, { direction: "recvonly" });
    }
  }

  /** How much of the uplink video to this peer may take. */
  limit(maxBitrate: number): void {
    this.opts.maxBitrate = maxBitrate;
    for (const s of this.sending.values()) {
      const sender = s.transceiver?.sender;
      const p = sender?.getParameters?.();
      if (s.local.kind !== "video" || !p?.encodings?.length) continue;
      p.encodings[0]!.maxBitrate = s.local.source === "screen" ? 2_500_000 : maxBitrate;
      void sender!.setParameters(p).catch(() => undefined); // between two negotiations: the next one does it
    }
  }

  // ---- offers

  /** Resolves once an offer made after this call is answered, or given up. */
  negotiate(): Promise<void> {
    this.dirty = true;
    this.running ??= this.run().finally(() => (this.running = null));
    return this.running;
  }

  private async run(): Promise<void> {
    for (let tries = 0; this.dirty && !this.closed && !this.ended; ) {
      this.dirty = false;
      if (await this.round()) {
        tries = 0;
        continue;
      }
      if (this.closed || this.ended || ++tries > MAX_RETRIES) return;
      this.dirty = true;
      await wait(RETRY_MS * (0.5 + Math.random()));
      if (this.unplaced() === 0 && !this.iceRestart && this.ms && this.received.length > 0) this.dirty = false; // the other's offer did it all
    }
  }

  /** One offer and its answer; false: try again. */
  private async round(): Promise<boolean> {
    const restarting = this.iceRestart;
    const sdp = await this.locked(async () => {
      if (this.closed || this.pc.signalingState !== "stable") return "";
      this.place();
      if (!this.ms) this.leaveRoom();
      await this.pc.setLocalDescription(await this.pc.createOffer({ iceRestart: restarting }));
      return this.describe();
    });
    if (!sdp) return false;
    const answer = new Promise<boolean>((resolve) => {
      this.answered = resolve;
      setTimeout(() => resolve(false), ANSWER_MS);
    });
    try {
      const to = this.ms ? { ms: this.ms } : { peer: { part: this.peer.part, dev: this.peer.dev } };
      const taken = await this.opts.signal<{ ms: string }>("media.offer", { ...to, sdp });
      this.ms ||= taken.ms;
      if (this.closed) void this.opts.signal("media.peerEnd", { ms: taken.ms }).catch(() => undefined); // given up meanwhile
    } catch (err) {
      await this.rollback();
      if (err instanceof ParleyError && (err.code === 481 || err.code === 404)) this.ms = ""; // the server has closed the session
      return false;
    }
    this.flush();
    if (!(await answer)) {
      await this.rollback();
      return false;
    }
    if (restarting) this.iceRestart = false;
    return true;
  }

  /** The other side's answer to our offer. */
  async onAnswer(sdp: string): Promise<void> {
    const ok = await this.locked(async () => {
      if (this.pc.signalingState !== "have-local-offer") return false;
      await this.pc.setRemoteDescription({ type: "answer", sdp });
      return true;
    });
    if (ok) await this.settled(sdp);
    this.answered?.(ok);
  }

  /** The other side's offer: the server let it through, so ours, if any, was not. */
  async onOffer(ms: string, sdp: string): Promise<void> {
    this.ms = ms;
    const answer = await this.locked(async () => {
      if (this.closed) return "";
      if (this.pc.signalingState === "have-local-offer") await this.pc.setLocalDescription({ type: "rollback" });
      await this.pc.setRemoteDescription({ type: "offer", sdp });
      this.place();
      await this.pc.setLocalDescription(await this.pc.createAnswer());
      return this.describe();
    });
    if (!answer) return;
    await this.opts.signal("media.answer", { ms, sdp: answer });
    this.flush();
    await this.settled(sdp);
    if (this.unplaced() > 0) void this.negotiate();
  }

  /** Sources that the last negotiation gave no section to send on. */
  private unplaced(): number {
    return [...this.sending.values()].filter((s) => !s.transceiver || !/^send/.test(s.transceiver.currentDirection ?? "")).length;
  }

  private describe(): string {
    const ids = new Map<string, string>();
    for (const s of this.sending.values()) {
      if (s.transceiver?.mid != null && s.local.id) ids.set(s.transceiver.mid, s.local.id);
    }
    const sdp = this.pc.localDescription!.sdp;
    return withLabels(this.opts.relayOnly ? withoutAddresses(sdp) : sdp, ids);
  }

  private async settled(remote: string): Promise<void> {
    this.remoteLabels = labels(remote);
    this.limit(this.opts.maxBitrate);
    for (const c of this.early.splice(0)) await this.pc.addIceCandidate(c).catch(() => undefined);
    this.received = [];
    for (const t of this.pc.getTransceivers()) {
      const track = t.mid === null ? undefined : this.remoteLabels.get(t.mid);
      if (!track || !/recv/.test(t.currentDirection ?? "")) continue;
      this.received.push({ mid: t.mid!, track, kind: t.receiver.track.kind as Kind, media: t.receiver.track, receiver: t.receiver });
    }
    this.emit("received", this.received);
  }

  private async rollback(): Promise<void> {
    await this.locked(async () => {
      if (this.pc.signalingState === "have-local-offer") await this.pc.setLocalDescription({ type: "rollback" });
    }).catch(() => undefined);
  }

  /** Descriptions are changed one after another. */
  private locked<T>(fn: () => Promise<T>): Promise<T> {
    const run = this.chain.then(fn);
    this.chain = run.catch(() => undefined);
    return run;
  }

  // ---- candidates

  private onLocalCandidate(candidate: string): void {
    const shown = this.opts.relayOnly ? hidden(candidate) : candidate;
    if (!shown) return;
    this.late.push(shown);
    this.flushTimer ??= setTimeout(() => this.flush(), BATCH_MS);
  }

  private flush(): void {
    clearTimeout(this.flushTimer);
    this.flushTimer = undefined;
    if (!this.ms || this.closed) return;
    while (this.late.length > 0) {
      const candidates = this.late.splice(0, CANDIDATES);
      void this.opts.signal("media.candidate", { ms: this.ms, candidates }).catch(() => undefined); // others may do
    }
  }

  /** Candidates of the other side; all belong to the one transport there is. */
  async onCandidates(list: string[]): Promise<void> {
    for (const candidate of list) {
      const init = { candidate, sdpMLineIndex: 0 };
      await this.locked(async () => {
        if (this.closed) return;
        if (!this.pc.remoteDescription) this.early.push(init);
        else await this.pc.addIceCandidate(init).catch(() => undefined); // one that it does not understand
      });
    }
  }

  // ---- the connection

  private onConnectionState(): void {
    const state = this.pc.connectionState;
    if (state === "connected") this.connectedAt ||= Date.now();
    if (state === "connected") this.restarts.stood();
    else this.restarts.stop();
    if (state === "connected") this.brokenAt = 0;
    else if (this.connectedAt) this.brokenAt ||= Date.now();
    if (!this.closed && !this.ended) {
      if (state === "disconnected") this.restarts.plan(DISCONNECTED_MS);
      if (state === "failed") this.restarts.plan(this.connectedAt ? 0 : FAILED_MS);
    }
    this.emit("connection", state);
  }

  /** New ICE credentials and candidates; media goes on under the same keys. */
  async restart(): Promise<void> {
    this.iceRestart = true;
    await this.negotiate();
  }

  /**
   * Whether the other side is not who the description says, or neither can be
   * secured: no other path helps then.
   */
  get refused(): boolean {
    return this.pc.getTransceivers().some((t) => t.sender.transport?.state === "failed");
  }

  /** After the signalling came back. */
  check(): void {
    const state = this.pc.connectionState;
    if (!this.closed && !this.ended && (state === "disconnected" || state === "failed")) this.restarts.plan(0);
  }

  // ---- who takes what from where

  private openChannel(): void {
    const c = this.pc.createDataChannel?.("parley", { negotiated: true, id: CHANNEL });
    if (!c) return;
    this.channel = c;
    c.onopen = () => this.sayUse();
    c.onmessage = (e) => this.onWord(String(e.data));
  }

  /** Tells the other side whether we take its media through this connection. */
  use(on: boolean): void {
    if (this.using === on) return;
    this.using = on;
    this.sayUse();
  }

  get used(): boolean {
    return this.using;
  }

  private sayUse(): void {
    if (this.channel?.readyState === "open") this.channel.send(this.using ? "use" : "done");
  }

  private onWord(word: string): void {
    if (word !== "use" && word !== "done") return; // of a later version
    this.usedByPeer = word === "use";
    this.emit("used", this.usedByPeer);
  }

  /** The server has closed the session. */
  end(): void {
    this.ended = true;
    this.restarts.stop();
  }

  close(): void {
    if (this.closed) return;
    this.closed = true;
    this.restarts.stop();
    clearTimeout(this.flushTimer);
    this.answered?.(false);
    this.pc.onconnectionstatechange = null;
    this.pc.onicecandidate = null;
    this.received = [];
    this.pc.close();
  }
}
