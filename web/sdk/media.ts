// The MediaSession toward the server: one RTCPeerConnection in client-offers
// mode. The server never offers; it says how many receiving sections it needs
// and this side offers. All negotiation goes through one queue.

import { preferSealed, type Transforms } from "./e2ee/transforms";
import { Emitter } from "./emitter";
import { failure, ParleyError } from "./errors";
import { withoutAddresses } from "./peer-sdp";
import type { AnswerResult, Kind, MediaNeeded, OfferParams, Source, TrackLayers } from "./protocol";
import { Restarts } from "./restarts";

export interface LocalSource {
  cid: string;
  /** The server's id of the track. */
  id: string;
  source: Source;
  kind: Kind;
  track: MediaStreamTrack | null;
  simulcast?: boolean;
}

/** A section on which the server sends a track now. */
export interface Received {
  mid: string;
  track: string;
  kind: Kind;
  media: MediaStreamTrack;
  receiver: RTCRtpReceiver;
}

/** Where our own tracks go: a connection, or several. */
export interface MediaSink {
  /** Adds a source; takes effect with the next negotiate(). */
  send(local: LocalSource): void;
  /** Swaps what a source sends without negotiation; null sends nothing. */
  replace(cid: string, track: MediaStreamTrack | null): Promise<void>;
  /** Ends a source. */
  unsend(cid: string): void;
  negotiate(): Promise<void>;
}

export interface MediaEvents {
  /** The set of received tracks after a negotiation. */
  received: Received[];
  connection: RTCPeerConnectionState;
  error: ParleyError;
}

export interface MediaOptions {
  ms: string;
  /** Revision that the session has reached, when this is not its first connection. */
  rev?: number;
  /** Tell no address of ours: the server does without. */
  hideAddresses?: boolean;
  iceServers?: RTCIceServer[];
  /** Where media is encrypted end to end: nothing is sent or shown but through these. */
  seal?: Transforms | null;
  /** Sends a request to the server. */
  signal: <T>(method: string, params: unknown) => Promise<T>;
  /** For tests. */
  peerConnection?: (config: RTCConfiguration) => RTCPeerConnection;
}

/** RIDs of simulcast, lowest first. */
export const SIMULCAST_RIDS = ["q", "h", "f"];

const MAX_TRIES = 5; // of one offer that met a conflict
const RESTART_AFTER_MS = 2_000; // "disconnected" often heals by itself within this

const wait = (ms: number) => new Promise<void>((resolve) => setTimeout(resolve, ms));

/** See the head of this file. Made by {@link Room}; closed for good by close(). */
export class MediaSession extends Emitter<MediaEvents> implements MediaSink {
  readonly ms: string;
  readonly pc: RTCPeerConnection;

  private rev = 0;
  private needed: Record<Kind, number> = { audio: 0, video: 0 };
  private pool: Record<Kind, RTCRtpTransceiver[]> = { audio: [], video: [] };
  private sending = new Map<string, RTCRtpTransceiver>(); // by cid
  private wanted = new Map<string, TrackLayers>(); // by cid, what of its encodings is not all
  private dirty = false;
  private iceRestart = false;
  private running: Promise<void> | null = null;
  private closed = false;
  private readonly restarts = new Restarts(() => void this.restart(this.pc.connectionState).catch(() => undefined));

  constructor(private readonly opts: MediaOptions) {
    super();
    this.ms = opts.ms;
    this.rev = opts.rev ?? 0;
    const config: RTCConfiguration = { bundlePolicy: "max-bundle", rtcpMuxPolicy: "require", iceServers: opts.iceServers ?? [] };
    this.pc = (opts.peerConnection ?? ((c) => new RTCPeerConnection(c)))(opts.seal?.config(config) ?? config);
    this.pc.onconnectionstatechange = () => this.onConnectionState();
  }

  // ---- what is sent

  /** Adds a sending section; takes effect with the next negotiate(). */
  send(local: LocalSource): void {
    const init: RTCRtpTransceiverInit = { direction: "sendonly", streams: [new MediaStream()], sendEncodings: encodings(local) };
    const t = this.pc.addTransceiver(local.track ?? local.kind, init);
    this.opts.seal?.sender(t.sender, local.kind);
    this.prefer(t, local.kind);
    this.sending.set(local.cid, t);
  }

  /** Swaps what a section sends without negotiation; null sends nothing. */
  async replace(cid: string, track: MediaStreamTrack | null): Promise<void> {
    await this.sending.get(cid)?.sender.replaceTrack(track);
  }

  /** Ends a sending section; its m-line may be used again for another. */
  unsend(cid: string): void {
    this.sending.get(cid)?.stop();
    this.sending.delete(cid);
    this.wanted.delete(cid);
  }

  /** Encodes only what somebody wants of a source, from now on. */
  async layers(cid: string, wanted: TrackLayers): Promise<void> {
    this.wanted.set(cid, wanted);
    await this.activate(cid);
  }

  private async activate(cid: string): Promise<void> {
    const [sender, wanted] = [this.sender(cid), this.wanted.get(cid)];
    const p = sender?.getParameters?.();
    if (!sender || !wanted || !p || !(p.encodings?.length > 1) || !activate(p.encodings, wanted)) return;
    await sender.setParameters(p).catch(() => undefined); // between two negotiations: after the next one
  }

  sender(cid: string): RTCRtpSender | undefined {
    return this.sending.get(cid)?.sender;
  }

  // ---- what the server wants

  /** The server's wish for receiving sections; negotiates in any case, since the answer tells the new mapping. */
  need(n: MediaNeeded): Promise<void> {
    if (n.ms && n.ms !== this.ms) return Promise.resolve();
    this.needed = { audio: n.audio, video: n.video };
    if (n.reason === "ice-restart") this.iceRestart = true; // the server follows a restart already
    return this.negotiate();
  }

  // ---- negotiation

  /** Resolves once an offer made after this call is answered. */
  negotiate(): Promise<void> {
    this.dirty = true;
    this.running ??= this.run().finally(() => (this.running = null));
    return this.running;
  }

  /** Revision of the last completed negotiation. */
  get revision(): number {
    return this.rev;
  }

  /** New ICE credentials on the same connection: DTLS, SSRCs and tracks live on. */
  async restart(reason: string): Promise<void> {
    if (this.closed || this.iceRestart) return;
    this.iceRestart = true;
    // A server that already follows a restart says 409: our offer is what it waits for.
    await this.opts.signal("media.restartIce", { ms: this.ms, reason }).catch(() => undefined);
    await this.negotiate();
  }

  private async run(): Promise<void> {
    for (let tries = 0; this.dirty && !this.closed; ) {
      this.dirty = false;
      try {
        await this.round();
        tries = 0;
      } catch (err) {
        if (this.closed) return;
        await this.rollback();
        if (!this.mayRetry(err) || ++tries >= MAX_TRIES) {
          const e = err instanceof ParleyError ? err : failure(500, "negotiation", String(err));
          this.emit("error", e);
          throw e;
        }
        this.dirty = true;
        await wait(200 * tries * (1 + Math.random()));
      }
    }
  }

  private async round(): Promise<void> {
    this.fillPool("audio");
    this.fillPool("video");
    const restarting = this.iceRestart;
    await this.pc.setLocalDescription(await this.pc.createOffer({ iceRestart: restarting }));
    const params: OfferParams = { ms: this.ms, rev: this.rev + 1, sdp: this.describe(), tracks: this.cids() };
    const answer = await this.opts.signal<AnswerResult>("media.offer", params);
    if (this.closed) return;
    await this.pc.setRemoteDescription({ type: "answer", sdp: answer.sdp });
    this.rev = answer.rev;
    if (restarting) this.iceRestart = false;
    for (const cid of this.wanted.keys()) void this.activate(cid);
    this.emit("received", this.mapReceived(answer.receive ?? {}));
  }

  private describe(): string {
    const { sdp } = this.pc.localDescription!;
    return this.opts.hideAddresses ? withoutAddresses(sdp) : sdp;
  }

  private fillPool(kind: Kind): void {
    const pool = this.pool[kind];
    while (pool.length < this.needed[kind]) {
      const t = this.pc.addTransceiver(kind, { direction: "recvonly" });
      this.opts.seal?.receiver(t.receiver, kind);
      this.prefer(t, kind);
      pool.push(t);
    }
  }

  private prefer(t: RTCRtpTransceiver, kind: Kind): void {
    if (this.opts.seal) preferSealed(t, kind);
    else if (kind === "video") preferVP8(t);
  }

  private cids(): Record<string, string> {
    const out: Record<string, string> = {};
    for (const [cid, t] of this.sending) if (t.mid !== null) out[t.mid] = cid;
    return out;
  }

  private mapReceived(receive: Record<string, string>): Received[] {
    const out: Received[] = [];
    for (const t of this.pc.getTransceivers()) {
      const track = t.mid === null ? undefined : receive[t.mid];
      if (track) out.push({ mid: t.mid!, track, kind: t.receiver.track.kind as Kind, media: t.receiver.track, receiver: t.receiver });
    }
    return out;
  }

  private async rollback(): Promise<void> {
    if (this.pc.signalingState === "have-local-offer") await this.pc.setLocalDescription({ type: "rollback" }).catch(() => undefined);
  }

  private mayRetry(err: unknown): boolean {
    if (!(err instanceof ParleyError)) return false;
    const rev = err.data["rev"];
    if (typeof rev === "number" && (err.code === 409 || err.code === 412)) this.rev = rev;
    return err.code === 491 || err.code === 409 || err.code === 412 || err.code === 408 || err.code === 429;
  }

  // ---- connection

  private onConnectionState(): void {
    const state = this.pc.connectionState;
    this.emit("connection", state);
    if (state === "connected") this.restarts.stood();
    else this.restarts.stop();
    if (this.closed) return;
    if (state === "disconnected") this.restarts.plan(RESTART_AFTER_MS);
    if (state === "failed") this.restarts.plan(0);
  }

  /** After the WebSocket came back: media needs help only if it is broken too. */
  check(): void {
    const state = this.pc.connectionState;
    if (!this.closed && (state === "disconnected" || state === "failed")) this.restarts.plan(0);
  }

  close(): void {
    this.closed = true;
    this.restarts.stop();
    this.pc.onconnectionstatechange = null;
    this.pc.close();
  }
}

function encodings(local: LocalSource): RTCRtpEncodingParameters[] {
  if (local.kind === "audio") return [{}];
  if (local.source === "screen") return [{ maxBitrate: 2_500_000, maxFramerate: 30 }];
  if (!local.simulcast) return [{ maxBitrate: 1_700_000 }];
  const rates = [150_000, 500_000, 1_700_000];
  return SIMULCAST_RIDS.map((rid, i) => ({ rid, maxBitrate: rates[i]!, scaleResolutionDownBy: 4 >> i }));
}

/** Switches encodings on that are wanted and off that are not; false: they are so already. The lowest is always sent. */
export function activate(list: RTCRtpEncodingParameters[], wanted: TrackLayers): boolean {
  const all = wanted.layers === 0;
  let changed = false;
  list.forEach((e, i) => {
    const active = all || i === 0 || (wanted.rids && e.rid ? wanted.rids.includes(e.rid) : i < wanted.layers);
    if ((e.active ?? true) === active) return;
    e.active = active;
    changed = true;
  });
  return changed;
}

/** VP8 first: every browser both sends and decodes it, so that forwarding never meets a receiver without the codec. */
function preferVP8(t: RTCRtpTransceiver): void {
  const codecs = globalThis.RTCRtpReceiver?.getCapabilities?.("video")?.codecs;
  if (!codecs || !t.setCodecPreferences) return;
  const vp8 = (c: { mimeType: string }) => c.mimeType.toLowerCase() === "video/vp8";
  try {
    t.setCodecPreferences([...codecs.filter(vp8), ...codecs.filter((c) => !vp8(c))]);
  } catch {
    // The browser's own order stands.
  }
}
