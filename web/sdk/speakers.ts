// Who speaks: the server's word when it sends one, else our own ears.

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
