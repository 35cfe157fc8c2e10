// A room: the public face of the SDK. It joins a session, a conference document
// and a media session into one object with events.

import { Chat } from "./chat";
import { forgetSession, recallSession, rememberSession } from "./comeback";
import type { ChatParams, InputKind, LobbyTicket, Policy, Presence, SyncParams } from "./commands";
import { FloorControl, Moderation, SelfControl, SidebarControl } from "./control";
import { policyOf, selfIn, titleOf, waitsForFloor } from "./document";
import { RoomSeal } from "./e2ee/room-seal";
import { Emitter } from "./emitter";
import { asError, failure, inTime, type ParleyError } from "./errors";
import type { ConferenceEvent, Moved } from "./events";
import { deviceId, randomId } from "./ids";
import { emptySubscriber, receive, type ConferenceInfo, type Subscriber } from "./info";
import type { Flow } from "./flow";
import { InputReporter } from "./inputs";
import type { MediaSession } from "./media";
import type { JoinResult, LegState, MediaNeeded, MediaSlots, MediaWithheld, Notify, Role, Source, TrackLayers } from "./protocol";
import { peerEvents, type PeerMessage } from "./mesh";
import { Publisher } from "./publisher";
import type { Quality } from "./quality";
import { QualityMonitor } from "./quality-monitor";
import { may } from "./rights";
import type { LocalTrack, RemoteTrack, RoomEvents, RoomOptions, RoomState } from "./room-types";
import { joinParams, openFlow, sessionOptions, sourceOf } from "./room-flow";
import { people, participants, type Participant, type Person } from "./roster";
import { Session } from "./session";
import { SpeakerWatch, type Speaker } from "./speakers";
import { StatsWatch } from "./stats-watch";
import { View } from "./view";

const STATS_EVERY_MS = 2_000;
const LEVELS_EVERY_MS = 250;
const DOCUMENT_MS = 2_000; // for the first document after a move

/**
 * One call. `new Room(…)`, then `join()`; `leave()` ends it. Losing the
 * WebSocket, the network or the server's node is handled inside; "state" tells.
 * Being moved to a sidebar and back is, too.
 */
export class Room extends Emitter<RoomEvents> {
  state: RoomState = "idle";
  self: JoinResult | null = null;
  readonly session: Session;
  readonly chat = new Chat();

  /** Commands about others and the conference; see {@link may} for who may. */
  readonly moderation: Moderation;
  readonly floors: FloorControl;
  readonly sidebars: SidebarControl;
  /** Commands about oneself. */
  readonly me: SelfControl;

  /** How media flows: by the server, straight between people. */
  readonly flow: Flow;

  /** End-to-end encryption, where the conference has it. */
  readonly seal: RoomSeal;

  /** What of others' pictures is shown here, and what we are not sent. */
  readonly view: View;

  /** How media flow, while somebody looks. */
  readonly stats: StatsWatch;

  private readonly publisher: Publisher;
  private readonly monitor = new QualityMonitor();
  private readonly voices = new SpeakerWatch((track) => this.emit("speaker", track));
  private inputs: InputReporter | null = null;
  private sub: Subscriber = emptySubscriber;
  private refreshing = false;
  private legLost = false; // frames were lost, and with them perhaps how media is to flow
  private device = "";
  /** Where we are, or are going to be. */
  private place: string;
  /** Lets us into the place we were moved to. */
  private ticket: string | undefined;
  /** Id of the main room's instance. */
  private home = "";
  private timers: ReturnType<typeof setInterval>[] = [];
  private joining: Promise<void> | null = null;

  constructor(private readonly opts: RoomOptions) {
    super();
    this.place = opts.room;
    const ask = <T>(method: string, params: unknown) => this.request<T>(method, params);
    this.moderation = new Moderation(ask);
    this.floors = new FloorControl(ask);
    this.sidebars = new SidebarControl(ask);
    this.me = new SelfControl(ask);
    this.session = opts.session ?? new Session(sessionOptions(opts));
    this.seal = new RoomSeal(opts, (messages) => this.request("e2ee.send", { messages }), () => this.emit("seal", undefined));
    this.seal.onBroken = () => this.emit("error", failure(500, "e2ee-worker", "the worker that encrypts has failed"));
    this.flow = openFlow({ session: this.session, opts, publisher: () => this.publisher, people: () => this.people, seal: this.seal });
    this.stats = new StatsWatch({ session: this.session, conf: () => this.self?.conf ?? "", connections: () => this.flow.connections, remote: () => this.remote, changed: () => this.emit("stats", undefined) });
    this.view = new View({ request: ask, shownOnly: opts.shownOnly, lastN: opts.lastN, changed: () => this.emit("withheld", this.view.withheld) });
    this.flow.on("remote", (m) => this.view.follow(m.values()));
    for (const name of ["remote", "connection", "path", "slots", "leg"] as const) this.flow.on(name, (v) => this.emit(name, v as never));
    this.flow.on("error", (e) => this.onMediaError(e));
    this.publisher = new Publisher({ simulcast: opts.simulcast ?? false, request: ask, media: this.flow, changed: () => this.emit("local", this.local) });
    this.session.on("state", (s) => {
      if (s === "reconnecting" && this.state === "joined") this.setState("reconnecting");
    });
    this.session.on("resumed", (w) => void this.onResumed(w.resync ?? false));
    this.session.on("renewed", () => void this.rejoin());
    this.session.on("notify", (n) => this.onNotify(n));
    this.session.on("goodbye", (g) => {
      if (g.action !== "disconnect") this.emit("draining", g.reason);
    });
    this.session.on("closed", (e) => this.end(e));
    this.session.on("welcome", (w) => rememberSession(this.device, opts.room, opts.as ?? "", w));
  }

  // ---- joining and leaving

  /**
   * Enters the room with the tracks at hand; either may be missing. Where a
   * moderator lets people in, it takes until then: state "lobby" tells so.
   */
  async join(tracks: Partial<Record<Source, MediaStreamTrack>> = {}, muted: Partial<Record<Source, boolean>> = {}): Promise<JoinResult> {
    this.setState("joining");
    try {
      this.device = this.opts.device ?? (await deviceId());
      this.session.resumeFrom(recallSession(this.device, this.opts.room, this.opts.as ?? ""));
      for (const [source, media] of Object.entries(tracks) as [Source, MediaStreamTrack][]) this.publisher.adopt(source, media, muted[source] ?? false);
      await inTime(this.session.connect());
      await this.enter();
    } catch (err) {
      const e = asError(err);
      this.end(e);
      throw e;
    }
    this.timers.push(setInterval(() => void this.measure(), STATS_EVERY_MS), setInterval(() => this.voices.listen(this.remote.values()), LEVELS_EVERY_MS));
    if (this.opts.reportInputs !== false) this.inputs = new InputReporter(() => this.activeInputs(), (p) => this.me.updateDevice(p));
    this.inputs?.changed();
    return this.self!;
  }

  /** Leaves for good, also out of the lobby. Local tracks are stopped. */
  async leave(): Promise<void> {
    if (this.state === "left") return;
    // Others should see us go at once, but a dead server must not hold us.
    const from = this.place === this.opts.room ? [this.conf] : [this.conf, this.opts.room];
    const bye = Promise.allSettled(from.map((conf) => this.session.request("conference.leave", {}, { conf })));
    await Promise.race([bye, new Promise((r) => setTimeout(r, 800))]);
    this.end(failure(200, "left"));
  }

  private async enter(): Promise<void> {
    const keys = await this.seal.offer();
    if (!this.away) await this.seal.start((p) => this.session.request("conference.start", p, { conf: this.opts.room }));
    const params = joinParams(this.opts, { device: this.device, tracks: this.publisher.announcement(), e2ee: keys ?? undefined, moved: this.away ? this.ticket : undefined });
    const place = this.place;
    const join = await this.session.request<JoinResult>("conference.join", params, {
      conf: place,
      onProvisional: (r) => {
        if (r.code !== 182) return;
        this.emit("waiting", ((r.result ?? {}) as Partial<LobbyTicket>).reason ?? "lobby");
        this.setState("lobby");
      },
    });
    if (this.state === "left" || place !== this.place) return; // moved on meanwhile
    this.seal.enter(join);
    const elsewhere = this.self !== null && this.self.conf !== join.conf;
    this.self = join;
    if (!this.away) this.home = join.conf;
    this.publisher.named(join.tracks ?? []);
    this.publisher.dropUnnamed();
    this.view.enter();
    this.flow.enter(join);
    this.sub = { version: null, doc: elsewhere ? null : this.sub.doc };
    if (elsewhere) this.chat.clear();
    await this.session.subscribe(this.conf, "conference");
    this.stats.entered();
    void this.session.subscribe(this.conf, "chat").catch(() => undefined); // not everybody may read it
    this.setState("joined");
    this.emit("local", this.local);
    this.emit("role", join.role);
    this.inputs?.restart();
  }

  /** Arriving tracks, by the server's id; a mix or a slot by its name (mix:audio, slot:1). */
  get remote(): ReadonlyMap<string, RemoteTrack> {
    return this.flow.remote;
  }

  /** The session with the server, while there is one. */
  get media(): MediaSession | null {
    return this.flow.server;
  }

  /** The user whose picture or sound an arriving track is now. */
  sourceOf(t: RemoteTrack): string | undefined {
    return sourceOf(t, this.flow.slots, this.participants);
  }

  /** Hide the own address from other people, or do not, from now on. */
  setRelayOnly(on: boolean): void {
    this.opts.relayOnly = on;
    this.flow.privacyChanged();
  }

  /** The server has forgotten us (or our media): join again as the same device. */
  private rejoin(): Promise<void> {
    this.joining ??= this.tryRejoin("reconnecting").finally(() => (this.joining = null));
    return this.joining;
  }

  private async tryRejoin(via: RoomState): Promise<void> {
    if (this.state === "left" || this.state === "joining") return;
    this.setState(via);
    this.publisher.renew();
    try {
      await this.enter();
    } catch (err) {
      const e = asError(err);
      if (e.code === 481 && this.session.state !== "closed") return; // lost again: "renewed" will come
      // A sidebar that has ended or let us go: back to where we came from.
      if (!this.away || ![403, 404, 410, 423].includes(e.code)) return this.end(e);
      this.place = this.opts.room;
      await this.tryRejoin("moving");
      await this.tellMoved();
    }
  }

  private async onResumed(lost: boolean): Promise<void> {
    this.legLost = lost;
    if (this.state === "reconnecting") this.setState("joined");
    this.flow.check();
    const m = this.media;
    if (!m || this.state !== "joined") return;
    const tracks = [...this.local.values()].map((t) => t.id).filter(Boolean);
    const params: SyncParams = { ms: m.ms, rev: m.revision, tracks, subscriptions: [...this.remote.keys()] };
    // 409 resync-media: the server sees it differently, and asks for an offer by media.needed.
    await this.request("media.sync", params).catch(() => undefined);
  }

  private onMediaError(e: ParleyError): void {
    if (this.state === "left") return;
    if (e.code === 481 && e.reason !== "session-lost") void this.rejoin();
    else if (e.code !== 481) this.emit("error", e);
  }

  private end(err: ParleyError): void {
    if (this.state === "left") return;
    this.state = "left";
    this.timers.forEach(clearInterval);
    this.inputs?.close();
    this.session.close(err.reason);
    if (this.device) forgetSession(this.device);
    this.stats.close();
    this.view.close();
    this.flow.close();
    this.seal.close();
    this.publisher.stop();
    this.emit("state", "left");
    this.emit("closed", err);
  }

  // ---- being elsewhere

  /** Whether we are in another conference than the one we joined: a sidebar. */
  get away(): boolean {
    return this.place !== this.opts.room;
  }

  /** Goes into a sidebar we may enter. */
  async joinSidebar(sidebar: string): Promise<void> {
    await this.onMoved(await this.request<Moved>("sidebar.join", { sidebar }));
  }

  /** Back from a sidebar to the main room. */
  async returnHome(): Promise<void> {
    if (!this.away) return;
    await this.session.request("conference.leave", {}, { conf: this.conf }).catch(() => undefined);
    await this.go(this.opts.room);
  }

  /** Joins elsewhere with the same tracks; the old media ends when the new one begins. */
  private async go(to: string, token?: string): Promise<void> {
    if (this.state === "left" || this.place === to) return;
    this.place = to;
    this.ticket = token;
    await this.joining?.catch(() => undefined);
    if (this.place !== to) return;
    await (this.joining ??= this.tryRejoin("moving").finally(() => (this.joining = null)));
    if (this.place === to) await this.tellMoved();
  }

  private async tellMoved(): Promise<void> {
    if (!this.self || this.state === "left") return;
    if (!this.info) await Promise.race([this.once("info"), new Promise((r) => setTimeout(r, DOCUMENT_MS))]);
    this.emit("moved", { conf: this.self.conf, home: !this.away, title: titleOf(this.info) });
  }

  /** The server has told us to be elsewhere, or to come back. */
  private onMoved(m: Partial<Moved>): Promise<void> {
    const to = m.uri || m.conf || ""; // conf of an event names who tells it
    if (!to) return Promise.resolve();
    return m.back || this.isHome(to) ? this.go(this.opts.room) : this.go(to, m.token);
  }

  private isHome(name: string): boolean {
    return name === this.opts.room || name === this.home;
  }

  // ---- our tracks

  get local(): ReadonlyMap<Source, LocalTrack> {
    return this.publisher.tracks;
  }

  /** Publishes a track of a source that is not published yet. */
  publish(source: Source, media: MediaStreamTrack, muted = false): Promise<void> {
    return this.publisher.publish(source, media, muted).finally(() => this.inputs?.changed());
  }

  /** Ends the publication of a source and stops its track. */
  unpublish(source: Source): Promise<void> {
    return this.publisher.unpublish(source);
  }

  /**
   * Mutes or opens a published source. Muting takes effect here at once; the
   * server and the others are told. For the camera pass media null to mute, so
   * that its light goes out, and a fresh track to start it again. What a
   * moderator silenced cannot be opened: 403 focus-muted.
   */
  setMuted(source: Source, muted: boolean, media?: MediaStreamTrack | null): Promise<void> {
    return this.publisher.setMuted(source, muted, media).finally(() => this.inputs?.changed());
  }

  /** Changes the device of a published source during the call, without negotiation. */
  replace(source: Source, media: MediaStreamTrack): Promise<void> {
    return this.publisher.replace(source, media).finally(() => this.inputs?.changed());
  }

  private activeInputs(): Partial<Record<InputKind, string>> {
    const idOf = (s: Source) => this.local.get(s)?.media?.getSettings?.().deviceId;
    return { audioinput: idOf("microphone"), videoinput: idOf("camera") };
  }

  // ---- the conference

  /** The devices that are here, self first. */
  get participants(): Participant[] {
    return participants(this.sub.doc, this.identity);
  }

  /** The persons that are here, self first. */
  get people(): Person[] {
    return people(this.sub.doc, this.identity);
  }

  get info(): ConferenceInfo | null {
    return this.sub.doc;
  }

  get policy(): Policy {
    return policyOf(this.sub.doc);
  }

  /** Who we are in the document. */
  private get identity(): { user: string; device: string } | null {
    return this.self && { user: selfIn(this.sub.doc, this.self.user), device: this.self.device };
  }

  /** Our role: the document's word, which is newer than the join's. */
  get role(): Role | undefined {
    const mine = this.identity ? this.sub.doc?.users?.user?.[this.identity.user]?.roles?.[0] : undefined;
    return (mine as Role | undefined) ?? this.self?.role;
  }

  /** Whether a command about others would be allowed. */
  may(method: string): boolean {
    return may(this.role, method, this.policy);
  }

  /** Sends any request of the protocol within this conference. */
  request<T = unknown>(method: string, params: unknown): Promise<T> {
    return this.session.request<T>(method, params, { conf: this.conf });
  }

  /** Says how present we are; at most one a second counts. */
  setPresence(p: Presence): void {
    this.session.message("presence.update", p, this.conf);
  }

  /** Writes to all, or to some. */
  async say(text: string, to?: string[], replyTo?: string): Promise<void> {
    const params: ChatParams = { text, cid: randomId("msg_"), to: to?.length ? to : undefined, replyTo };
    await this.me.sendChat(params);
  }

  private get conf(): string {
    return this.self?.conf || this.place;
  }

  private onNotify(n: Notify): void {
    if (n.event === "moved") {
      void this.onMoved((n.body ?? {}) as Moved);
      return;
    }
    if (this.self && n.conf && n.conf !== this.self.conf && n.conf !== this.self.uri) return;
    if (n.package === "chat") this.chat.receive(n);
    else if (n.package === "stats") this.stats.receive(n);
    else if (n.package !== "conference" && n.package !== "speakers") return;
    else if (n.event) this.onEvent({ name: n.event, body: n.body ?? {} } as ConferenceEvent);
    else if (n.package === "conference" && n.state && typeof n.version === "number") this.onDocument(n);
  }

  private onDocument(n: Notify): void {
    const role = this.role;
    const [next, outcome] = receive(this.sub, n.state!, n.version!, (n.body ?? null) as ConferenceInfo | null);
    this.sub = next;
    if (outcome === "applied" && next.doc) {
      this.seal.follow(this.participants);
      this.emit("info", next.doc);
    }
    if (outcome === "applied" && this.legLost) this.checkLeg();
    if (outcome === "applied" && this.role && this.role !== role) this.emit("role", this.role);
    if (outcome === "refresh") void this.refresh();
    if (outcome === "ended") this.over();
  }

  /** After lost frames: when media is to flow otherwise than we know, joining again tells how. */
  private checkLeg(): void {
    this.legLost = false;
    const mine = this.participants.find((p) => p.self)?.manner;
    if (mine && mine !== this.flow.leg.manner) void this.rejoin();
  }

  /** The conference has ended: a sidebar sends us back, the main room sends us out. */
  private over(reason?: string): void {
    // By where we are, not by where we go: the way back may have been told first.
    if (this.self && this.self.conf !== this.home) void this.go(this.opts.room);
    else this.end(failure(410, "ended", reason));
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
    "media.needed": (n: MediaNeeded) => this.flow.needed(n),
    "media.slots": (b: MediaSlots) => this.flow.slotsAre(b),
    "media.withheld": (b: MediaWithheld) => this.view.withheldAre(b.tracks),
    "track.layers": (b: TrackLayers) => this.onLayers(b),
    "topology.changed": (leg: LegState) => leg.manner && this.flow.follow(leg),
    "speaker.active": (b: { speakers?: Speaker[] } & Speaker) => this.voices.told(b.speakers ?? [b], this.participants),
    "conference.ending": (b: { afterS?: number }) => this.emit("ending", Date.now() + 1000 * (b.afterS ?? 0)),
    "conference.ended": (b: { reason?: string }) => this.over(b.reason),
    "track.muted": (b: { track?: string; mutedBy?: string; by?: string }) => this.onMutedByOthers(b),
    "track.ended": (b: { track?: string; reason?: string }) => this.onTakenAway(b),
    "unmute.requested": (b: { track: string; by?: string }) => this.onUnmuteRequested(b),
    "e2ee.message": (b: { from?: string; body?: string }) => this.seal.message(b),
    "chat.message": (b: unknown) => this.chat.receive({ event: "chat.message", body: b }),
  };

  private onEvent(e: ConferenceEvent): void {
    if (this.state === "left") return;
    if (peerEvents.has(e.name)) this.flow.peer(e.name, e.body as PeerMessage);
    else this.reactions[e.name]?.(e.body as never);
    this.emit("event", e);
  }

  private onLayers(b: TrackLayers): void {
    const t = this.publisher.byId(b.track);
    if (t) this.flow.layers(t.cid, b);
  }

  /** A moderator closed our microphone or camera, or frees it: the switch shows it. */
  private onMutedByOthers(b: { track?: string; mutedBy?: string; by?: string }): void {
    const t = this.publisher.byId(b.track);
    if (!t) return;
    const blocked = b.mutedBy === "focus" || b.mutedBy === "both";
    if (blocked === t.blocked) return;
    const floor = waitsForFloor(this.sub.doc, this.identity!.user, t.source);
    this.publisher.silence(t, blocked, floor);
    if (floor) return;
    // Our own flag as well: what a moderator frees must stay closed until we open it.
    if (b.mutedBy === "focus") void this.request("track.mute", { track: t.id }).catch(() => undefined);
    this.emit("blocked", { source: t.source, blocked, by: b.by });
  }

  /** By a moderator or with a role. That tracks end where we leave (for another room) is no loss. */
  private onTakenAway(b: { track?: string; reason?: string }): void {
    const t = b.reason === "unpublished" || b.reason === "forbidden" ? this.publisher.byId(b.track) : undefined;
    if (t) this.publisher.drop(t);
  }

  private onUnmuteRequested(b: { track: string; by?: string }): void {
    const t = this.publisher.byId(b.track);
    if (t) this.emit("unmuteRequested", { source: t.source, track: t.id, by: b.by });
  }

  // ---- quality

  get speaker(): string | null {
    return this.voices.current;
  }

  get figures() {
    return this.monitor.figures;
  }

  /** Grade of a participant's streams as they reach us; of our own connection for self. */
  quality(p: Participant): Quality {
    return this.monitor.of(p);
  }

  private async measure(): Promise<void> {
    if (await this.monitor.measure(this.flow.connections, this.remote.values())) this.emit("quality", undefined);
  }

  private setState(state: RoomState): void {
    if (this.state === state || this.state === "left") return;
    this.state = state;
    this.emit("state", state);
  }
}
