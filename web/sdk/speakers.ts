// Who speaks: the server's word when it sends one, else our own ears.

import type { Participant } from "./roster";

/** An entry of the speaker.active event. */
export interface Speaker {
  track?: string;
  user?: string;
  part?: string;
  device?: string;
  level?: number;
}

const HOLD_MS = 1_200; // a pause for breath does not move the spotlight
const FLOOR = 0.02; // linear level below which nobody speaks

/**
 * Picks the active speaker from levels: the loudest one holds the floor, and
 * another one takes it only when clearly louder or after a pause of the first.
 */
export class SpeakerPicker {
  private current: string | null = null;
  private heardAt = -Infinity;

  /** Feeds the levels of one moment, by track; returns the active one. */
  feed(now: number, levels: Map<string, number>): string | null {
    let loudest: string | null = null;
    let top = FLOOR;
    for (const [track, level] of levels) {
      if (level > top) [loudest, top] = [track, level];
    }
    const mine = this.current === null ? 0 : (levels.get(this.current) ?? 0);
    if (mine > FLOOR) this.heardAt = now;
    if (loudest !== null && loudest !== this.current) {
      const idle = now - this.heardAt > HOLD_MS;
      if (this.current === null || idle || !levels.has(this.current)) {
        this.current = loudest;
        this.heardAt = now;
      }
    }
    if (this.current !== null && !levels.has(this.current)) this.current = null;
    return this.current;
  }
}

/** Follows who speaks in a call; made by {@link Room}. */
export class SpeakerWatch {
  current: string | null = null;
  private picker = new SpeakerPicker();
  private serverSpeaksUntil = 0;

  constructor(private readonly changed: (track: string | null) => void) {}

  /** The server's word. */
  told(list: Speaker[], roster: Participant[]): void {
    this.serverSpeaksUntil = Date.now() + 5_000;
    this.set(microphoneOf(list[0], roster));
  }

  /** Our own ears, for as long as the server says nothing. */
  listen(tracks: Iterable<{ id: string; media: MediaStreamTrack; receiver: RTCRtpReceiver }>): void {
    if (Date.now() < this.serverSpeaksUntil) return;
    const levels = new Map<string, number>();
    for (const t of tracks) {
      if (t.media.kind === "audio") levels.set(t.id, t.receiver.getSynchronizationSources?.()[0]?.audioLevel ?? 0);
    }
    this.set(this.picker.feed(Date.now(), levels));
  }

  private set(track: string | null): void {
    if (track === this.current) return;
    this.current = track;
    this.changed(track);
  }
}

function microphoneOf(s: Speaker | undefined, roster: Participant[]): string | null {
  if (!s) return null;
  if (s.track) return s.track;
  const p = roster.find((p) => (s.user === undefined || p.user === s.user) && (s.device === undefined || p.device === s.device));
  return p?.tracks.find((t) => t.source === "microphone")?.id ?? null;
}
