// A room: the public face of the SDK. It joins a session, a conference document
// and a media session into one object with events.

import { Emitter } from "./emitter";
import { failure, ParleyError } from "./errors";
import { deviceId, randomId, safeStorage } from "./ids";
import { emptySubscriber, receive, type ConferenceInfo, type Subscriber } from "./info";
import { MediaSession, SIMULCAST_RIDS, type LocalSource, type Received } from "./media";
import type { JoinResult, MediaNeeded, Notify, PublishParams, PublishResult, Source } from "./protocol";
import { figures, grade, inboundSample, outboundSample, pairRtt, settle, worst, type Figures, type Quality, type Sample } from "./quality";
import { participants, type Participant } from "./roster";
import { Session, type SessionOptions } from "./session";
import { SpeakerPicker, type Speaker } from "./speakers";

export type RoomState = "idle" | "joining" | "joined" | "reconnecting" | "left";

export interface RoomOptions {
  /** Name of the room as in /r/{conference}. */
  room: string;
  /** What others see. */
  name: string;
  token?: string;
  /**
   * Who the token stands for, in any words of the caller's. A session of an
   * earlier page load is taken up only when this is the same.
   */
  as?: string;
  /** Address of /ws; default: the page's own host. */
  url?: string;
  /** Send the camera in three sizes. Default false. */
  simulcast?: boolean;
  /** Name of this device for people. */
  label?: string;
  /** For tests. */
  session?: Session;
  device?: string;
  peerConnection?: (config: RTCConfiguration) => RTCPeerConnection;
}

/** A track of another participant as it arrives. */
export interface RemoteTrack {
  id: string;
  media: MediaStreamTrack;
  receiver: RTCRtpReceiver;
}

/** A track of ours. */
export interface LocalTrack {
  source: Source;
  /** The server's id; empty until announced. */
  id: string;
  cid: string;
  media: MediaStreamTrack | null;
  muted: boolean;
}

export interface RoomEvents {
  state: RoomState;
  /** The document changed: participants, lock, title. */
  info: ConferenceInfo;
  /** Arriving tracks changed. */
  remote: ReadonlyMap<string, RemoteTrack>;
  /** Our own tracks changed. */
  local: ReadonlyMap<Source, LocalTrack>;
  /** Track id of the active speaker's microphone, or null. */
  speaker: string | null;
  quality: void;
  /** The server is going away, for instance to restart; the room comes back by itself. */
  draining: string;
  /** State of the media connection. */
  connection: RTCPeerConnectionState;
  /** Something failed that does not end the room. */
  error: ParleyError;
  /** The room is over for us. */
  closed: ParleyError;
  /** Every event of the conference package, as the server sends them. */
  event: { name: string; body: unknown };
}

const kindOf = (s: Source) => (s === "camera" || s === "screen" ? "video" : "audio");
const STATS_EVERY_MS = 2_000;
const LEVELS_EVERY_MS = 250;
const RESUME_KEY = "parley.resume.";

/**
 * One call. `new Room(…)`, then `join()`; `leave()` ends it. Losing the
 * WebSocket, the network or the server's node is handled inside; "state" tells.
 */
export class Room extends Emitter<RoomEvents> {
  state: RoomState = "idle";
  self: JoinResult | null = null;
  readonly remote = new Map<string, RemoteTrack>();
  readonly local = new Map<Source, LocalTrack>();
  speaker: string | null = null;
  media: MediaSession | null = null;
  readonly session: Session;

  private sub: Subscriber = emptySubscriber;
  private refreshing = false;
  private device = "";
  private picker = new SpeakerPicker();
  private serverSpeaksUntil = 0;
  private timers: ReturnType<typeof setInterval>[] = [];
  private samples = new Map<string, Sample>();
  private grades = new Map<string, { shown: Quality; raw: Quality }>();
  /** Figures of the connection as a whole; see quality(). */
  figures: Figures = { lossPercent: null, jitterMs: null, rttMs: null };
  private joining: Promise<void> | null = null;

  constructor(private readonly opts: RoomOptions) {
    super();
    this.session = opts.session ?? new Session(this.sessionOptions());
    this.session.on("state", (s) => {
      if (s === "reconnecting" && this.state === "joined") this.setState("reconnecting");
    });
    this.session.on("resumed", () => this.onResumed());
    this.session.on("renewed", () => void this.rejoin());
    this.session.on("notify", (n) => this.onNotify(n));
    this.session.on("goodbye", (g) => {
      if (g.action !== "disconnect") this.emit("draining", g.reason);
    });
    this.session.on("closed", (e) => this.end(e));
    this.session.on("welcome", () => this.remember());
  }

  // ---- joining and leaving

  /** Enters the room with the tracks at hand; either may be missing. */
  async join(tracks: Partial<Record<Source, MediaStreamTrack>> = {}, muted: Partial<Record<Source, boolean>> = {}): Promise<JoinResult> {
    this.setState("joining");
    try {
      this.device = this.opts.device ?? (await deviceId());
      this.session.resumeFrom(this.recall());
      for (const [source, media] of Object.entries(tracks) as [Source, MediaStreamTrack][]) this.adopt(source, media, muted[source] ?? false);
      await inTime(this.session.connect());
      await this.enter();
    } catch (err) {
      const e = asError(err);
      this.end(e);
      throw e;
    }
    this.timers.push(setInterval(() => void this.measure(), STATS_EVERY_MS), setInterval(() => this.listen(), LEVELS_EVERY_MS));
    return this.self!;
  }

  /** Leaves for good. Local tracks are stopped. */
  async leave(): Promise<void> {
    if (this.state === "left") return;
    // Others should see us go at once, but a dead server must not hold us.
    const bye = this.session.request("conference.leave", {}, { conf: this.conf }).catch(() => undefined);
    await Promise.race([bye, new Promise((r) => setTimeout(r, 800))]);
    this.end(failure(200, "left"));
  }

  private async enter(): Promise<void> {
    const publish = [...this.local.values()].map((t) => this.publishParams(t));
    const params = { device: this.device, load: randomId("load_"), name: this.opts.name, kind: "browser", label: this.opts.label, tracks: publish };
    const join = await this.session.request<JoinResult>("conference.join", params, { conf: this.opts.room });
    this.self = join;
    for (const p of join.tracks ?? []) {
      for (const t of this.local.values()) if (t.cid === p.cid) t.id = p.track;
    }
    this.openMedia(join);
    this.sub = { version: null, doc: this.sub.doc };
    await this.session.subscribe(this.conf, "conference");
    this.setState("joined");
    this.emit("local", this.local);
    const n = join.needed ?? { audio: 0, video: 0 };
    if (this.local.size > 0 || n.audio > 0 || n.video > 0) {
      // Not awaited: the room is usable while media comes up.
      void this.media!.need({ ...n, ms: join.ms }).catch(() => undefined);
    }
  }

  private openMedia(join: JoinResult): void {
    const old = this.media;
    const m = new MediaSession({
      ms: join.ms,
      iceServers: this.session.welcome?.iceServers ?? [],
      signal: <T>(method: string, params: unknown) => this.request<T>(method, params),
      peerConnection: this.opts.peerConnection,
    });
    this.media = m;
    m.on("received", (list) => this.onReceived(list));
    m.on("connection", (s) => this.emit("connection", s));
    m.on("error", (e) => this.onMediaError(m, e));
    for (const t of this.local.values()) m.send(this.source(t));
    old?.close();
  }

  /** The server has forgotten us (or our media): join again as the same device. */
  private rejoin(): Promise<void> {
    this.joining ??= this.tryRejoin().finally(() => (this.joining = null));
    return this.joining;
  }

  private async tryRejoin(): Promise<void> {
    if (this.state === "left" || this.state === "joining") return;
    this.setState("reconnecting");
    for (const t of this.local.values()) t.cid = randomId("cid_"); // a new publication of the same source
    try {
      await this.enter();
    } catch (err) {
      const e = asError(err);
      if (e.code === 481 && this.session.state !== "closed") return; // lost again: "renewed" will come
      this.end(e);
    }
  }

  private onResumed(): void {
    if (this.state === "reconnecting") this.setState("joined");
    this.media?.check();
  }

  private onMediaError(m: MediaSession, e: ParleyError): void {
    if (m !== this.media || this.state === "left") return;
    if (e.code === 481 && e.reason !== "session-lost") void this.rejoin();
    else if (e.code !== 481) this.emit("error", e);
  }

  private end(err: ParleyError): void {
    if (this.state === "left") return;
    this.state = "left";
    this.timers.forEach(clearInterval);
    this.session.close(err.reason);
    this.forget();
    this.media?.close();
    for (const t of this.local.values()) t.media?.stop();
    this.local.clear();
    this.remote.clear();
    this.emit("state", "left");
    this.emit("closed", err);
  }

  // ---- our tracks

  /** Publishes a track of a source that is not published yet. */
  async publish(source: Source, media: MediaStreamTrack, muted = false): Promise<void> {
    const t = this.adopt(source, media, muted);
    try {
      const res = await this.request<PublishResult>("track.publish", this.publishParams(t));
      t.id = res.track;
    } catch (err) {
      if (this.local.get(source) === t) this.local.delete(source);
      this.emit("local", this.local);
      throw err;
    }
    this.media!.send(this.source(t));
    this.emit("local", this.local);
    await this.media!.negotiate();
  }

  /** Ends the publication of a source and stops its track. */
  async unpublish(source: Source): Promise<void> {
    const t = this.local.get(source);
    if (!t) return;
    this.local.delete(source);
    t.media?.stop();
    this.media?.unsend(t.cid);
    this.emit("local", this.local);
    if (t.id) await this.request("track.unpublish", { track: t.id });
    await this.media?.negotiate();
  }

  /**
   * Mutes or opens a published source. Muting takes effect here at once; the
   * server and the others are told. For the camera pass media null to mute, so
   * that its light goes out, and a fresh track to start it again.
   */
  async setMuted(source: Source, muted: boolean, media?: MediaStreamTrack | null): Promise<void> {
    const t = this.local.get(source);
    if (!t) throw failure(404, "not-published");
    if (media !== undefined) await this.swap(t, media);
    if (t.media) t.media.enabled = !muted;
    t.muted = muted;
    this.emit("local", this.local);
    if (t.id) await this.request(muted ? "track.mute" : "track.unmute", { track: t.id });
  }

  /** Changes the device of a published source during the call, without negotiation. */
  async replace(source: Source, media: MediaStreamTrack): Promise<void> {
    const t = this.local.get(source);
    if (!t) return this.publish(source, media);
    await this.swap(t, media);
    media.enabled = !t.muted;
    this.emit("local", this.local);
  }

  private async swap(t: LocalTrack, media: MediaStreamTrack | null): Promise<void> {
    const old = t.media;
    await this.media?.replace(t.cid, media);
    t.media = media;
    if (old && old !== media) old.stop();
  }

  private adopt(source: Source, media: MediaStreamTrack, muted: boolean): LocalTrack {
    const t: LocalTrack = { source, id: "", cid: randomId("cid_"), media, muted };
    media.enabled = !muted;
    this.local.set(source, t);
    return t;
  }

  private publishParams(t: LocalTrack): PublishParams {
    const p: PublishParams = { cid: t.cid, kind: kindOf(t.source), source: t.source, muted: t.muted || undefined };
    if (this.opts.simulcast && t.source === "camera") p.rids = SIMULCAST_RIDS;
    return p;
  }

  private source(t: LocalTrack): LocalSource {
    return { cid: t.cid, source: t.source, kind: kindOf(t.source), track: t.media, simulcast: this.opts.simulcast };
  }

  // ---- the conference

  /** Who is here, self first. */
  get participants(): Participant[] {
    return participants(this.sub.doc, this.self);
  }

  get info(): ConferenceInfo | null {
    return this.sub.doc;
  }

  /** Sends any request of the protocol within this conference. */
  request<T = unknown>(method: string, params: unknown): Promise<T> {
    return this.session.request<T>(method, params, { conf: this.conf });
  }

  private get conf(): string {
    return this.self?.conf || this.opts.room;
  }

  private onNotify(n: Notify): void {
    if (n.package !== "conference" && n.package !== "speakers") return;
    if (this.self && n.conf && n.conf !== this.self.conf && n.conf !== this.self.uri) return;
    if (n.event) this.onEvent(n.event, n.body);
    else if (n.package === "conference" && n.state && typeof n.version === "number") this.onDocument(n);
  }

  private onDocument(n: Notify): void {
    const [next, outcome] = receive(this.sub, n.state!, n.version!, (n.body ?? null) as ConferenceInfo | null);
    this.sub = next;
    if (outcome === "applied" && next.doc) this.emit("info", next.doc);
    if (outcome === "refresh") void this.refresh();
    if (outcome === "ended") this.end(failure(410, "ended"));
  }

  /** Asks for the full document once; what we show stays until it comes. */
  private async refresh(): Promise<void> {
    if (this.refreshing || this.state !== "joined") return;
    this.refreshing = true;
    this.sub = { version: null, doc: this.sub.doc };
    await this.session.subscribe(this.conf, "conference").catch(() => undefined);
    this.refreshing = false;
  }

  private readonly reactions: Record<string, (body: never) => void> = {
    "media.needed": (n: MediaNeeded) => void this.media?.need(n).catch(() => undefined),
    "speaker.active": (b: { speakers?: Speaker[] } & Speaker) => this.onSpeakers(b.speakers ?? [b]),
    "conference.ended": (b: { reason?: string } | null) => this.end(failure(410, "ended", b?.reason)),
    "track.muted": (b: { track?: string; muted?: boolean; mutedBy?: string }) => this.onMutedByOthers(b),
  };

  private onEvent(name: string, body: unknown): void {
    if (this.state === "left") return;
    this.reactions[name]?.(body as never);
    this.emit("event", { name, body });
  }

  /** A moderator closed our microphone or camera: the switch shows it. */
  private onMutedByOthers(b: { track?: string; muted?: boolean; mutedBy?: string }): void {
    for (const t of this.local.values()) {
      if (t.id === "" || t.id !== b.track || !b.muted || b.mutedBy === "self") continue;
      t.muted = true;
      if (t.media) t.media.enabled = false;
      this.emit("local", this.local);
    }
  }

  // ---- arriving media

  private onReceived(list: Received[]): void {
    this.remote.clear();
    for (const r of list) this.remote.set(r.track, { id: r.track, media: r.media, receiver: r.receiver });
    this.emit("remote", this.remote);
  }

  private onSpeakers(list: Speaker[]): void {
    this.serverSpeaksUntil = Date.now() + 5_000;
    this.setSpeaker(this.microphoneOf(list[0]));
  }

  private microphoneOf(s?: Speaker): string | null {
    if (!s) return null;
    if (s.track) return s.track;
    const p = this.participants.find((p) => (s.user === undefined || p.user === s.user) && (s.device === undefined || p.device === s.device));
    return p?.tracks.find((t) => t.source === "microphone")?.id ?? null;
  }

  /** Our own ears, for as long as the server says nothing. */
  private listen(): void {
    if (Date.now() < this.serverSpeaksUntil) return;
    const levels = new Map<string, number>();
    for (const t of this.remote.values()) {
      if (t.media.kind === "audio") levels.set(t.id, t.receiver.getSynchronizationSources?.()[0]?.audioLevel ?? 0);
    }
    this.setSpeaker(this.picker.feed(Date.now(), levels));
  }

  private setSpeaker(track: string | null): void {
    if (track === this.speaker) return;
    this.speaker = track;
    this.emit("speaker", track);
  }

  // ---- quality

  /** Grade of a participant's streams as they reach us; of our own connection for self. */
  quality(p: Participant): Quality {
    if (p.self) return this.grades.get("self")?.shown ?? "unknown";
    return worst(...p.tracks.map((t) => this.grades.get(t.id)?.shown ?? "unknown"));
  }

  private async measure(): Promise<void> {
    const pc = this.media?.pc;
    if (!pc || pc.connectionState !== "connected") return;
    const report = [...(await pc.getStats()).values()];
    const rtt = pairRtt(report);
    for (const t of [...this.remote.values()]) {
      const sample = inboundSample([...(await t.receiver.getStats()).values()]);
      this.mark(t.id, grade(this.step(t.id, { ...sample, rttMs: rtt })));
    }
    const all = this.step("in", { ...inboundSample(report), rttMs: rtt });
    const out = this.step("out", { ...outboundSample(report), rttMs: rtt });
    this.figures = { ...all, lossPercent: Math.max(all.lossPercent ?? 0, out.lossPercent ?? 0) };
    this.mark("self", worst(grade(all), grade(out)));
    this.emit("quality", undefined);
  }

  private mark(key: string, raw: Quality): void {
    this.grades.set(key, { shown: settle(this.grades.get(key)?.raw, raw), raw });
  }

  private step(key: string, now: Sample): Figures {
    const f = figures(this.samples.get(key), now);
    this.samples.set(key, now);
    return f;
  }

  // ---- coming back after the tab was killed

  /** Kept per device: a reopened tab takes its old session up, so that others see nobody leave. */
  private remember(): void {
    const w = this.session.welcome;
    if (!w || !this.device) return;
    const key = { session: w.session, token: w.resumeToken, lastSeq: w.seq ?? 0, as: this.opts.as ?? "", room: this.opts.room };
    safeStorage("localStorage")?.setItem(RESUME_KEY + this.device, JSON.stringify(key));
  }

  private recall(): { session: string; token: string; lastSeq: number } | null {
    const text = safeStorage("localStorage")?.getItem(RESUME_KEY + this.device);
    if (!text) return null;
    try {
      const k = JSON.parse(text) as { session: string; token: string; lastSeq: number; room: string; as: string };
      return k.room === this.opts.room && k.as === (this.opts.as ?? "") ? k : null;
    } catch {
      return null;
    }
  }

  private forget(): void {
    if (this.device) safeStorage("localStorage")?.removeItem(RESUME_KEY + this.device);
  }

  private sessionOptions(): SessionOptions {
    const url = this.opts.url ?? `${location.protocol === "https:" ? "wss" : "ws"}://${location.host}/ws`;
    return { url, token: this.opts.token, name: this.opts.token ? undefined : this.opts.name, client: { name: "parley-web", version: "0.1.0" } };
  }

  private setState(state: RoomState): void {
    if (this.state === state || this.state === "left") return;
    this.state = state;
    this.emit("state", state);
  }
}

/** A first connection that takes longer than this is told, not waited for. */
const CONNECT_MS = 20_000;

function inTime<T>(work: Promise<T>): Promise<T> {
  let timer: ReturnType<typeof setTimeout>;
  const late = new Promise<never>((_, reject) => (timer = setTimeout(() => reject(failure(408, "timeout")), CONNECT_MS)));
  return Promise.race([work, late]).finally(() => clearTimeout(timer));
}

function asError(err: unknown): ParleyError {
  return err instanceof ParleyError ? err : failure(500, "failed", String((err as Error)?.message ?? err));
}
