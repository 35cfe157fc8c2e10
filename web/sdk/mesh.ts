// The sessions with other devices, one each. Who offers is the server's word, so
// that two never offer to one another; offers of strangers are not answered,
// since an answer would tell them where we are.

import type { LocalSource, MediaSink, Received } from "./media";
import { PeerLink } from "./peer";
import type { LegState, PeerDescription, PeerRef } from "./protocol";

export interface MeshOptions {
  signal: <T>(method: string, params: unknown) => Promise<T>;
  sources: () => LocalSource[];
  relayOnly: () => boolean;
  /** Something of a link changed. */
  changed: () => void;
  peerConnection?: (config: RTCConfiguration) => RTCPeerConnection;
}

const ALONE_BITRATE = 1_700_000;
const SHARED_BITRATE = 900_000; // with several peers the same picture goes up several times

/** What the other side's messages about a session carry. */
export type PeerMessage = Partial<PeerDescription> & { candidates?: string[]; reason?: string };

export const peerEvents: ReadonlySet<string> = new Set(["media.offer", "media.answer", "media.candidate", "media.closed"]);

const AGAIN_MS = 2_000; // between two attempts at one peer

const keyOf = (p: { part?: string; dev?: string }) => `${p.part ?? ""}/${p.dev ?? ""}`;

/** See the head of this file. Made by Flow. */
export class Mesh implements MediaSink {
  readonly links = new Map<string, PeerLink>();
  private tried = new Map<string, number>();
  private peers = new Map<string, PeerRef>();
  private iceServers: RTCIceServer[] = [];

  constructor(private readonly opts: MeshOptions) {}

  /** Whom to talk to from now on. Links to others stay until they are closed. */
  follow(leg: LegState): void {
    this.iceServers = leg.iceServers ?? this.iceServers;
    this.peers = new Map((leg.peers ?? []).map((p) => [keyOf(p), p]));
    this.tried.clear();
    this.reopen();
    for (const l of this.links.values()) {
      l.configure(this.iceServers, this.opts.relayOnly());
      l.limit(this.bitrate());
    }
  }

  /** Opens the links that are ours to open and are not there, or no longer. */
  reopen(): void {
    const now = Date.now();
    for (const [key, p] of this.peers) {
      if (!p.offer || this.links.has(key) || now - (this.tried.get(key) ?? -Infinity) < AGAIN_MS) continue;
      this.tried.set(key, now);
      void this.open(p).negotiate();
    }
  }

  /** Peers that the server named, with their links as far as there are any. */
  wanted(): { peer: PeerRef; link: PeerLink | undefined }[] {
    return [...this.peers].map(([key, peer]) => ({ peer, link: this.links.get(key) }));
  }

  has(link: PeerLink): boolean {
    return this.peers.has(keyOf(link.peer));
  }

  /** Own addresses are to be hidden, or may be told, from now on. */
  privacyChanged(): void {
    for (const l of this.links.values()) l.configure(this.iceServers, this.opts.relayOnly());
  }

  private bitrate(): number {
    return this.peers.size > 1 ? SHARED_BITRATE : ALONE_BITRATE;
  }

  private open(peer: PeerRef): PeerLink {
    const key = keyOf(peer);
    const link = new PeerLink({
      peer, iceServers: this.iceServers, relayOnly: this.opts.relayOnly(), maxBitrate: this.bitrate(), signal: this.opts.signal,
      peerConnection: this.opts.peerConnection,
    });
    const old = this.links.get(key);
    if (old) this.drop(old);
    this.links.set(key, link);
    for (const s of this.opts.sources()) link.send(s);
    link.on("received", () => this.opts.changed());
    link.on("connection", () => this.opts.changed());
    link.on("used", () => this.opts.changed());
    return link;
  }

  /** What the other side of a session says. */
  tell(event: string, body: PeerMessage): void {
    const link = [...this.links.values()].find((l) => l.ms !== "" && l.ms === body.ms);
    if (event === "media.offer") this.offered(body, link);
    else if (event === "media.answer") void link?.onAnswer(body.sdp ?? "").catch(() => undefined);
    else if (event === "media.candidate") void link?.onCandidates(body.candidates ?? []);
    else if (event === "media.closed" && link) this.lost(link);
  }

  private offered(body: PeerMessage, link: PeerLink | undefined): void {
    const peer = this.peers.get(keyOf(body));
    if (!body.ms || !body.sdp || (!link && !peer)) return;
    // Both opened a session: the one of who is to offer counts.
    const mine = this.links.get(keyOf(body));
    if (!link && peer!.offer && mine && !mine.ended) return;
    const to = link ?? this.open(peer!);
    void to.onOffer(body.ms, body.sdp).catch(() => undefined); // it offers again
    this.opts.changed();
  }

  /** The server has closed a session: the other device is gone, or comes back by a session of its own. */
  private lost(link: PeerLink): void {
    link.end();
    this.opts.changed();
  }

  drop(link: PeerLink): void {
    if (link.ms && !link.ended) void this.opts.signal("media.peerEnd", { ms: link.ms }).catch(() => undefined);
    link.close();
    const key = keyOf(link.peer);
    if (this.links.get(key) !== link) return;
    this.links.delete(key);
    this.tried.set(key, Date.now()); // who offers next may be about to change
  }

  received(): { link: PeerLink; r: Received }[] {
    return [...this.links.values()].flatMap((link) => link.received.map((r) => ({ link, r })));
  }

  // ---- our own tracks

  send(local: LocalSource): void {
    for (const l of this.links.values()) l.send(local);
  }

  async replace(cid: string, track: MediaStreamTrack | null): Promise<void> {
    await Promise.all([...this.links.values()].map((l) => l.replace(cid, track)));
  }

  unsend(cid: string): void {
    for (const l of this.links.values()) l.unsend(cid);
  }

  /** Does not wait: a peer may be away for a while. */
  async negotiate(): Promise<void> {
    for (const l of this.links.values()) void l.negotiate();
  }

  check(): void {
    for (const l of this.links.values()) l.check();
  }

  close(): void {
    for (const l of [...this.links.values()]) this.drop(l);
    this.peers.clear();
  }
}
