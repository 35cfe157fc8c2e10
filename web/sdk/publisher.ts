// Our own tracks in a room: announced to the server, sent by the media session,
// muted, replaced and taken back.

import { failure } from "./errors";
import { randomId } from "./ids";
import { SIMULCAST_RIDS, type LocalSource, type MediaSink } from "./media";
import type { Kind, PublishParams, PublishResult, Source } from "./protocol";
import type { LocalTrack } from "./room-types";

const kindOf = (s: Source): Kind => (s === "camera" || s === "screen" ? "video" : "audio");

interface PublisherOptions {
  simulcast: boolean;
  request: <T>(method: string, params: unknown) => Promise<T>;
  media: MediaSink;
  changed: () => void;
}

/** Made by {@link Room}. */
export class Publisher {
  readonly tracks = new Map<Source, LocalTrack>();

  constructor(private readonly opts: PublisherOptions) {}

  /** Takes a track that is announced with the join. */
  adopt(source: Source, media: MediaStreamTrack, muted: boolean): LocalTrack {
    const t: LocalTrack = { source, id: "", cid: randomId("cid_"), media, muted, blocked: false };
    media.enabled = !muted;
    this.tracks.set(source, t);
    return t;
  }

  byId(id: string | undefined): LocalTrack | undefined {
    return id ? [...this.tracks.values()].find((t) => t.id === id) : undefined;
  }

  /** The server took less than was announced: what it has no name for cannot be sent. */
  dropUnnamed(): void {
    for (const t of [...this.tracks.values()]) if (!t.id) this.drop(t);
  }

  /** All tracks are to be announced anew: to another conference, or after the server forgot us. */
  renew(): void {
    for (const t of this.tracks.values()) Object.assign(t, { cid: randomId("cid_"), id: "", blocked: false });
  }

  announcement(): PublishParams[] {
    return [...this.tracks.values()].map((t) => this.params(t));
  }

  /** The server's names for what was announced. */
  named(results: PublishResult[]): void {
    for (const p of results) {
      for (const t of this.tracks.values()) if (t.cid === p.cid) t.id = p.track;
    }
  }

  /** What a fresh connection is to send. */
  sources(): LocalSource[] {
    return [...this.tracks.values()].map((t) => this.source(t));
  }

  async publish(source: Source, media: MediaStreamTrack, muted: boolean): Promise<void> {
    const t = this.adopt(source, media, muted);
    try {
      t.id = (await this.opts.request<PublishResult>("track.publish", this.params(t))).track;
    } catch (err) {
      if (this.tracks.get(source) === t) this.tracks.delete(source);
      this.opts.changed();
      throw err;
    }
    this.opts.media.send(this.source(t));
    this.opts.changed();
    await this.opts.media.negotiate();
  }

  async unpublish(source: Source): Promise<void> {
    const t = this.tracks.get(source);
    if (!t) return;
    this.drop(t);
    if (t.id) await this.opts.request("track.unpublish", { track: t.id });
    await this.opts.media.negotiate();
  }

  /** The server ended the track: nothing is to be told. */
  drop(t: LocalTrack): void {
    this.tracks.delete(t.source);
    t.media?.stop();
    this.opts.media.unsend(t.cid);
    this.opts.changed();
  }

  async setMuted(source: Source, muted: boolean, media?: MediaStreamTrack | null): Promise<void> {
    const t = this.tracks.get(source);
    if (!t) throw failure(404, "not-published");
    if (!muted && t.blocked) {
      if (media && media !== t.media) media.stop();
      throw failure(403, "focus-muted");
    }
    if (media !== undefined) await this.swap(t, media);
    if (t.media) t.media.enabled = !muted;
    t.muted = muted;
    this.opts.changed();
    if (t.id) await this.tell(t);
  }

  private async tell(t: LocalTrack): Promise<void> {
    try {
      await this.opts.request(t.muted ? "track.mute" : "track.unmute", { track: t.id });
    } catch (err) {
      if ((err as { reason?: string }).reason === "focus-muted") this.silence(t, true);
      throw err;
    }
  }

  /**
   * The track was closed from outside, or freed. One that a moderator closed
   * stays muted when freed: only its owner opens it. One that waits for a floor
   * (keep) goes on as it was.
   */
  silence(t: LocalTrack, blocked: boolean, keep = false): void {
    t.blocked = blocked;
    if (blocked && !keep) t.muted = true;
    if (t.media) t.media.enabled = !t.muted && !t.blocked;
    this.opts.changed();
  }

  async replace(source: Source, media: MediaStreamTrack): Promise<void> {
    const t = this.tracks.get(source);
    if (!t) return this.publish(source, media, false);
    await this.swap(t, media);
    media.enabled = !t.muted && !t.blocked;
    this.opts.changed();
  }

  private async swap(t: LocalTrack, media: MediaStreamTrack | null): Promise<void> {
    const old = t.media;
    await this.opts.media.replace(t.cid, media);
    t.media = media;
    if (old && old !== media) old.stop();
  }

  stop(): void {
    for (const t of this.tracks.values()) t.media?.stop();
    this.tracks.clear();
  }

  private params(t: LocalTrack): PublishParams {
    const p: PublishParams = { cid: t.cid, kind: kindOf(t.source), source: t.source, muted: t.muted || undefined };
    if (this.opts.simulcast && t.source === "camera") p.rids = SIMULCAST_RIDS;
    return p;
  }

  private source(t: LocalTrack): LocalSource {
    return { cid: t.cid, id: t.id, source: t.source, kind: kindOf(t.source), track: t.media, simulcast: this.opts.simulcast };
  }
}
