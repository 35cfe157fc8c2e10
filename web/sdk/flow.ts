// How media flows: through the server, straight between people, and from one to
// the other while they talk. Each remote track is shown by the way that has it;
// the old way is left when the new one has given a picture or a sound, and closed
// when nobody uses it any more. So a change is made before it is broken.

import { Arrivals } from "./arrivals";
import type { Transforms } from "./e2ee/transforms";
import { Emitter } from "./emitter";
import type { ParleyError } from "./errors";
import { MediaSession, type LocalSource, type MediaSink, type Received } from "./media";
import { Mesh, type PeerMessage } from "./mesh";
import type { PeerLink } from "./peer";
import type { JoinResult, LegState, MediaNeeded, MediaSlots, PeerRef, TrackLayers } from "./protocol";
import type { RemoteTrack, SlotSource } from "./room-types";

export interface FlowEvents {
  remote: ReadonlyMap<string, RemoteTrack>;
  connection: RTCPeerConnectionState;
  /** The way media takes changed. */
  path: Path;
  /** The server's word on how media shall flow for us. */
  leg: LegState;
  /** What shared sections show now. */
  slots: ReadonlyMap<string, SlotSource>;
  error: ParleyError;
}

/** How media reaches us now: by the server, from peers, some of each, or not at all. */
export type Path = "server" | "direct" | "mixed" | "none";

export interface FlowOptions {
  /** Sends a request in the conference that was joined. */
  signal: <T>(conf: string, method: string, params: unknown) => Promise<T>;
  sources: () => LocalSource[];
  /** Ids of a device's tracks that send something now. */
  expected: (peer: PeerRef) => string[];
  /** Whether a track is muted, so that nothing need arrive. */
  silent: (track: string) => boolean;
  iceServers: () => RTCIceServer[];
  relayOnly: () => boolean;
  /** Where media is encrypted end to end: by the server only, and through these. */
  seal?: () => Transforms | null;
  /** What sections of the server's carry, after each negotiation and before any of it is shown. */
  arriving?: (list: Received[]) => void;
  peerConnection?: (config: RTCConfiguration) => RTCPeerConnection;
}

const LOOK_MS = 40; // between two looks while a change is under way: a frame or two
const IDLE_MS = 1_000;
const SILENT_MS = 4_000; // a connection that brings nothing for this long counts as ready: nothing is sent
const LEAVE_MS = 10_000; // a peer's connection is left this long after the server's stands, whatever still misses
const REACH_MS = 9_000; // peers that have not reached one another by then do not
const LOST_MS = 8_000; // time for a restart over a broken network

const SHARED_MS = 3_000; // a mix or a slot that brings no picture for this long has none to bring
const REOPEN_MS = 10_000;
const RELEASE_MS = 2_000; // the server lets go of us by itself, unless it was busy

const SERVER_ONLY: LegState = { topology: "sfu", manner: "sfu" };

/** A section of the server's that carries several people: a mix, or one after another. */
const shared = (track: string) => track.startsWith("mix:") || track.startsWith("slot:");

/** See the head of this file. Made by {@link Room}. */
export class Flow extends Emitter<FlowEvents> implements MediaSink {
  readonly remote = new Map<string, RemoteTrack>();
  server: MediaSession | null = null;
  leg: LegState = SERVER_ONLY;
  /** Whose picture or sound the shared sections carry now, by their name (slot:1 …). */
  slots: ReadonlyMap<string, SlotSource> = new Map();

  private readonly mesh: Mesh;
  private readonly arrivals = new Arrivals();
  private join: JoinResult | null = null;
  private needs: MediaNeeded | null = null;
  private reopenedAt = -Infinity;
  private rev = 0; // of the session with the server, over its connections
  private viaServer: Received[] = [];
  private receivedAt = 0; // when these sections were told
  private told = new Map<PeerLink, string>(); // what the server was told of each link
  private timer?: ReturnType<typeof setTimeout>;
  private looking = false;
  private since = 0; // of the leg
  private doneAt = 0; // when all peers carried our media and we theirs
  private state: RTCPeerConnectionState = "new";
  private path: Path = "none";

  constructor(private readonly opts: FlowOptions) {
    super();
    this.mesh = new Mesh({
      signal: (method, params) => this.signal(method, params), sources: opts.sources, relayOnly: opts.relayOnly, changed: () => this.turn(), peerConnection: opts.peerConnection,
    });
  }

  private signal<T>(method: string, params: unknown): Promise<T> {
    return this.opts.signal<T>(this.join?.conf ?? "", method, params);
  }

  get direct(): boolean {
    return this.leg.manner === "direct";
  }

  /** Every connection that carries media or is about to. */
  get connections(): RTCPeerConnection[] {
    return [...(this.server ? [this.server.pc] : []), ...this.links.map((l) => l.pc)];
  }

  get links(): PeerLink[] {
    return [...this.mesh.links.values()];
  }

  // ---- told by the server

  /** We are in a conference, for the first time or again: nothing of before holds. */
  enter(join: JoinResult): void {
    const old = this.server;
    this.mesh.close();
    this.told.clear();
    this.join = join;
    this.server = null;
    this.rev = 0;
    this.viaServer = [];
    this.slots = new Map();
    this.needs = join.needed ? { ...join.needed, ms: join.ms } : null;
    this.follow(join.leg ?? SERVER_ONLY);
    old?.close();
    this.turn();
  }

  /** Another manner, or other peers. */
  follow(told: LegState): void {
    // Whatever the server says: between people there would be no end-to-end encryption.
    const leg = this.opts.seal?.() && (told.manner === "direct" || told.peers) ? { ...told, manner: "sfu", peers: undefined } : told;
    // What still stands of a way that was left a moment ago has to prove itself again.
    if (this.direct !== (leg.manner === "direct")) {
      for (const r of this.direct ? this.viaServer : this.mesh.received().map((x) => x.r)) this.arrivals.forget(r.receiver);
    }
    this.since = Date.now();
    this.leg = leg;
    this.mesh.follow(leg);
    if (!this.direct) this.openServer();
    this.emit("leg", leg);
    this.turn();
  }

  slotsAre(b: MediaSlots): void {
    this.slots = new Map(b.slots.map((s) => [s.name, { track: s.track, user: s.user, device: s.device }]));
    this.emit("slots", this.slots);
  }

  needed(n: MediaNeeded): void {
    if (n.ms && n.ms !== this.join?.ms) return;
    this.needs = n;
    if (this.server) void this.server.need(n).catch(() => undefined);
    else if (!this.direct) this.openServer();
  }

  /** What another device says in a session with us, or that the server has closed a session. */
  peer(event: string, body: PeerMessage): void {
    if (event === "media.closed" && body.ms === this.join?.ms) {
      if (this.direct) this.closeServer(); // both ends of every pair have said that media flows
      this.turn();
    } else this.mesh.tell(event, body);
  }

  /** Own addresses are to be hidden, or may be told, from now on. */
  privacyChanged(): void {
    this.mesh.privacyChanged();
  }

  private openServer(): void {
    const join = this.join;
    if (this.server || !join) return;
    const m = new MediaSession({
      ms: join.ms, rev: this.rev, iceServers: this.opts.iceServers(), hideAddresses: this.opts.relayOnly(), seal: this.opts.seal?.() ?? null, peerConnection: this.opts.peerConnection,
      signal: <T>(method: string, params: unknown) => this.opts.signal<T>(join.conf, method, params),
    });
    this.server = m;
    m.on("received", (list) => {
      if (m !== this.server) return;
      this.viaServer = list;
      this.receivedAt = Date.now();
      this.opts.arriving?.(list);
      this.turn();
    });
    m.on("connection", () => this.turn());
    m.on("error", (e) => m === this.server && this.onServerError(e));
    const sources = this.opts.sources();
    for (const s of sources) m.send(s);
    const n = this.needs ?? { ms: join.ms, audio: 0, video: 0, rev: 0 };
    // Not awaited: the room is usable while media comes up.
    if (sources.length > 0 || n.audio > 0 || n.video > 0) void m.need({ ...n, ms: join.ms }).catch(() => undefined);
  }

  /** A connection that the browser can negotiate no more is replaced by another one. */
  private onServerError(e: ParleyError): void {
    const again = e.reason === "negotiation" && Date.now() - this.reopenedAt > REOPEN_MS;
    if (!again) {
      this.emit("error", e);
      return;
    }
    this.reopenedAt = Date.now();
    const needs = this.needs;
    this.closeServer();
    this.needs = needs;
    this.openServer();
  }

  private closeServer(): void {
    if (!this.server) return;
    this.rev = this.server.revision;
    this.server.close();
    this.server = null;
    this.viaServer = [];
    this.needs = null; // what it needs when it comes back is said then
  }

  // ---- our own tracks

  send(local: LocalSource): void {
    this.server?.send(local);
    this.mesh.send(local);
  }

  async replace(cid: string, track: MediaStreamTrack | null): Promise<void> {
    await Promise.all([this.server?.replace(cid, track), this.mesh.replace(cid, track)]);
  }

  unsend(cid: string): void {
    this.server?.unsend(cid);
    this.mesh.unsend(cid);
  }

  async negotiate(): Promise<void> {
    await Promise.all([this.server?.negotiate(), this.mesh.negotiate()]);
  }

  /** What somebody wants of what we send to the server. */
  layers(cid: string, wanted: TrackLayers): void {
    void this.server?.layers(cid, wanted);
  }

  // ---- one turn: what is shown, and which ways are still needed

  /** Something changed: decide anew, and look again soon while a change is under way. */
  private turn(): void {
    this.dropLost();
    this.mesh.reopen();
    if (this.direct) this.leaveServer();
    else this.leavePeers();
    this.show();
    this.tellState();
    clearTimeout(this.timer);
    if (this.join) this.timer = setTimeout(() => void this.look(), this.changing() ? LOOK_MS : IDLE_MS);
  }

  /** Whether media is on its way from one way to another, or to its first. */
  private changing(): boolean {
    if (this.direct) return this.mesh.wanted().some((w) => !w.link?.used) || this.server !== null;
    return this.mesh.links.size > 0 || this.viaServer.some((r) => this.awaited(r));
  }

  /** Whether a shared picture is not shown yet, since it has not begun: what it takes the place of is there still. */
  private awaited(r: Received): boolean {
    return shared(r.track) && r.kind === "video" && !this.alive(r) && Date.now() - this.receivedAt < SHARED_MS;
  }

  private async look(): Promise<void> {
    if (this.looking) return;
    this.looking = true;
    const pc = this.server?.pc;
    const all = this.changing() ? [...this.viaServer.map((r) => ({ r, pc })), ...this.mesh.received().map((x) => ({ r: x.r, pc: x.link.pc }))] : [];
    await Promise.all(all.map(({ r, pc }) => this.arrivals.look(r.receiver, r.track, pc)));
    this.looking = false;
    if (this.join) this.turn();
  }

  private alive(r: Received | undefined): boolean {
    return r !== undefined && this.arrivals.flows(r.receiver, r.track);
  }

  /** Whether the server now brings what this peer's track brought. */
  private covered(r: Received): boolean {
    return this.viaServer.some((s) => s.kind === r.kind && (s.track === r.track || shared(s.track)) && this.alive(s));
  }

  /** Whether a peer's media is all here. */
  private ready(link: PeerLink): boolean {
    if (link.pc.connectionState !== "connected") return false;
    if (Date.now() - link.connectedAt > SILENT_MS) return true;
    const here = new Set(link.received.filter((r) => this.alive(r)).map((r) => r.track));
    return this.opts.expected(link.peer).every((id) => here.has(id));
  }

  /** Peers that are gone, and those whose connection broke when the server has taken over anyway. */
  private dropLost(): void {
    for (const link of this.links) {
      const dead = link.pc.connectionState === "failed" || link.pc.connectionState === "closed";
      if ((link.ended && (this.direct || dead)) || (!this.direct && dead) || (this.direct && !this.mesh.has(link))) this.drop(link);
      else if (this.direct) this.report(link);
    }
  }

  /** Tells the server how a link goes, each state once. */
  private report(link: PeerLink): void {
    // "failed" of ICE is not final: other candidates may be on their way, or a restart.
    const age = Date.now() - (link.brokenAt || link.since);
    const lost = link.connectedAt ? link.brokenAt > 0 && age > LOST_MS : age > REACH_MS;
    const now = link.refused || lost ? "failed" : link.used ? "connected" : "";
    if (!now || !link.ms || this.told.get(link) === now) return;
    this.told.set(link, now);
    void this.signal("media.peerState", { ms: link.ms, state: now }).catch(() => undefined);
  }

  private drop(link: PeerLink): void {
    this.told.delete(link);
    this.mesh.drop(link);
  }

  /** Direct: once every peer is here and has us, the server's connection goes. */
  private leaveServer(): void {
    const wanted = this.mesh.wanted();
    for (const { link } of wanted) if (link && !link.used && this.ready(link)) link.use(true);
    for (const { link } of wanted) if (link) this.report(link);
    const done = wanted.every((w) => w.link?.used && w.link.usedByPeer);
    if (!done) this.doneAt = 0;
    else if (wanted.length === 0 || Date.now() - (this.doneAt ||= Date.now()) > RELEASE_MS) this.closeServer();
  }

  /** By the server: a peer's connection goes when the server brings what it brought, on both sides. */
  private leavePeers(): void {
    if (this.server?.pc.connectionState !== "connected") return;
    for (const link of this.links) {
      const late = Date.now() - this.since > LEAVE_MS;
      if (late || link.received.every((r) => this.covered(r) || this.opts.silent(r.track))) link.use(false);
      if (late || (!link.used && !link.usedByPeer)) this.drop(link);
    }
  }

  private show(): void {
    const before = new Map(this.remote);
    const next = new Map<string, RemoteTrack>();
    const put = (r: Received, pc: RTCPeerConnection, direct: boolean) => next.set(r.track, { id: r.track, media: r.media, receiver: r.receiver, pc, direct });
    const peers = this.mesh.received();
    for (const r of this.viaServer) if (before.has(r.track) || !this.awaited(r)) put(r, this.server!.pc, false);
    for (const { link, r } of peers) {
      const s = this.viaServer.find((x) => x.track === r.track);
      const shown = before.get(r.track);
      if (!s ? this.direct || !this.covered(r) : this.prefersPeer(s, r, shown)) put(r, link.pc, true);
    }
    this.remote.clear();
    for (const [id, t] of next) this.remote.set(id, t);
    const same = next.size === before.size && [...next].every(([id, t]) => before.get(id)?.media === t.media);
    if (!same) this.emit("remote", this.remote);
  }

  /** Both ways have the track: the one that it shall take, as soon as it gives something. */
  private prefersPeer(s: Received, r: Received, shown: RemoteTrack | undefined): boolean {
    const [to, from] = this.direct ? [r, s] : [s, r];
    if (this.alive(to)) return this.direct;
    if (shown?.media === from.media || this.alive(from)) return !this.direct;
    return shown ? shown.media === r.media : this.direct;
  }

  private tellState(): void {
    const links = this.mesh.wanted().map((w) => w.link?.pc.connectionState ?? "new");
    const all = this.direct && links.length > 0 ? links : this.server ? [this.server.pc.connectionState] : [];
    const order: RTCPeerConnectionState[] = ["failed", "disconnected", "connecting", "new", "connected", "closed"];
    const state = order.find((s) => all.includes(s)) ?? "new";
    if (state !== this.state) this.emit("connection", (this.state = state));
    const path = this.currentPath();
    if (path !== this.path) this.emit("path", (this.path = path));
  }

  /** How media reaches us now. */
  currentPath(): Path {
    const kinds = new Set([...this.remote.values()].map((t) => t.direct));
    if (kinds.size === 2) return "mixed";
    if (kinds.size === 1) return kinds.has(true) ? "direct" : "server";
    if (this.direct) return this.links.length > 0 ? "direct" : "none";
    return this.server ? "server" : "none";
  }

  // ---- surviving

  /** After the signalling came back: media needs help only if it is broken too. */
  check(): void {
    this.server?.check();
    this.mesh.check();
  }

  close(): void {
    this.join = null;
    clearTimeout(this.timer);
    this.mesh.close();
    this.server?.close();
    this.server = null;
    this.viaServer = [];
    this.remote.clear();
  }
}
