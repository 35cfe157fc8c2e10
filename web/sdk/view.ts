// What of others' pictures is shown here, told to the server, and what the server
// says it does not send. The server sends no picture larger than it is shown, and
// none that is not seen; what nobody wants large is not even encoded so.

import type { RemoteTrack } from "./room-types";

/** How large a picture is shown, in pixels of the screen. */
export interface Shown {
  width: number;
  height: number;
  /** Above 0: goes before who speaks, and is sent whatever lastN says. */
  priority?: number;
}

/** Why a picture is not sent. */
export type Withheld = "last-n" | "bandwidth" | (string & {});

/** What is wanted of a track, as in track.subscribe. */
interface Wish {
  width: number;
  height: number;
  priority: number;
  paused: boolean;
}

export interface ViewOptions {
  /** Sends a request in the conference. */
  request: <T>(method: string, params: unknown) => Promise<T>;
  /** Pictures that show() was never called for are not wanted. Default: they are, in full. */
  shownOnly?: boolean;
  /** Cameras to be sent at a time; 0: as many as the conference allows. */
  lastN?: number;
  /** What the server withholds changed. */
  changed?: () => void;
}

const SOON_MS = 100; // more, or a picture that was hidden: the layout has settled by then
const LATER_MS = 1_000; // less: it may be back in a moment, and each change costs a key frame
const AGAIN_MS = 3_000; // after a refusal
const UNSHOWN_MS = 2_000; // a new picture may have to wait for its tile
const STEP = 16; // pixels
const MAX = 4_096; // no screen shows more
const APART = 0.1; // sizes that differ by less are the same

const ANY: Wish = { width: 0, height: 0, priority: 0, paused: false };
const NONE: Wish = { width: 0, height: 0, priority: 0, paused: true };

const step = (px: number) => Math.min(MAX, Math.ceil(Math.max(1, px) / STEP) * STEP);

const near = (a: number, b: number) => a === b || (a > 0 && b > 0 && Math.abs(a - b) <= APART * Math.max(a, b));

const same = (a: Wish, b: Wish) => a.paused === b.paused && (a.paused || (a.priority === b.priority && near(a.width, b.width) && near(a.height, b.height)));

/** Whether a asks for more than b. */
function more(a: Wish, b: Wish): boolean {
  if (a.paused || b.paused) return !a.paused;
  const larger = (x: number, y: number) => y > 0 && (x === 0 || x > y);
  return a.priority > b.priority || larger(a.width, b.width) || larger(a.height, b.height);
}

/** See the head of this file. Made by {@link Room}. */
export class View {
  /** Pictures that the server does not send now, though they are subscribed to. */
  readonly withheld = new Map<string, Withheld>();

  private readonly shown = new Map<string, Shown | null>();
  private readonly here = new Map<string, number>(); // pictures that come by the server, since when
  private readonly told = new Map<string, Wish>();
  private readonly due = new Map<string, number>(); // when a track is told of
  private timer?: ReturnType<typeof setTimeout>;
  private notBefore = 0;
  /** Something is shown that holds many people: what is to take its place has to come before it is shown. */
  private covered = false;
  private lastN: number;
  private open = false;

  constructor(private readonly opts: ViewOptions) {
    this.lastN = opts.lastN ?? 0;
  }

  /** We are in a conference, for the first time or again: nothing of before is known there. */
  enter(): void {
    this.open = true;
    this.told.clear();
    this.due.clear();
    this.here.clear();
    this.covered = false;
    this.notBefore = 0;
    if (this.withheld.size > 0) {
      this.withheld.clear();
      this.opts.changed?.();
    }
    if (this.lastN > 0) void this.setLastN(this.lastN).catch(() => undefined);
  }

  /** Receives so many cameras at a time, those of who spoke last; 0: as many as the conference allows. */
  async setLastN(n: number): Promise<void> {
    this.lastN = n;
    await this.opts.request("track.subscribe", { lastN: n });
  }

  /** How large a picture is shown; null: it is not seen. */
  show(track: string, size: Shown | null): void {
    if (size === null && !this.here.has(track)) this.shown.delete(track);
    else this.shown.set(track, size);
    this.plan(track);
  }

  /** The tracks that arrive now. */
  follow(tracks: Iterable<RemoteTrack>): void {
    const now = Date.now();
    const next = new Set<string>();
    this.covered = false;
    for (const t of tracks) {
      if (t.media.kind !== "video") continue;
      if (/^(mix|slot):/.test(t.id)) this.covered = true;
      else if (!t.direct) next.add(t.id);
    }
    for (const id of [...this.here.keys()]) {
      if (next.has(id)) continue;
      this.here.delete(id);
      this.due.delete(id);
      // It may be shown in another way, where a wish for nothing would hide it.
      if (this.told.get(id)?.paused) void this.send([[id, ANY]]);
      this.told.delete(id);
      if (this.shown.get(id) === null) this.shown.delete(id);
    }
    for (const id of next) {
      if (!this.here.has(id)) this.here.set(id, now);
      this.plan(id);
    }
  }

  /** The server's word on what it does not send. */
  withheldAre(list: { track: string; why: Withheld }[]): void {
    this.withheld.clear();
    for (const w of list) this.withheld.set(w.track, w.why);
    this.opts.changed?.();
  }

  close(): void {
    this.open = false;
    clearTimeout(this.timer);
    this.timer = undefined;
  }

  private wish(track: string): Wish {
    const s = this.shown.get(track);
    if (s) return { width: step(s.width), height: step(s.height), priority: s.priority ?? 0, paused: false };
    return (s === null || this.opts.shownOnly) && !this.covered ? NONE : ANY;
  }

  /** Decides when a track's wish is told, if it is another one. */
  private plan(track: string): void {
    const since = this.here.get(track);
    if (since === undefined || !this.open) return;
    const [wish, told] = [this.wish(track), this.told.get(track) ?? ANY];
    if (same(wish, told)) {
      this.due.delete(track);
      return;
    }
    const now = Date.now();
    const late = this.shown.has(track) ? LATER_MS : Math.max(LATER_MS, since + UNSHOWN_MS - now);
    const at = now + (more(wish, told) ? SOON_MS : late);
    this.due.set(track, Math.min(this.due.get(track) ?? Infinity, at));
    this.arm(now);
  }

  private arm(now: number): void {
    clearTimeout(this.timer);
    this.timer = undefined;
    if (this.due.size === 0 || !this.open) return;
    const at = Math.max(Math.min(...this.due.values()), this.notBefore);
    this.timer = setTimeout(() => this.tell(), Math.max(0, at - now));
  }

  private tell(): void {
    const now = Date.now();
    const list: [string, Wish][] = [];
    for (const [track, at] of [...this.due]) {
      if (at > now) continue;
      this.due.delete(track);
      const wish = this.wish(track);
      if (!same(wish, this.told.get(track) ?? ANY)) list.push([track, wish]);
    }
    if (list.length > 0) void this.report(list);
    this.arm(now);
  }

  private async report(list: [string, Wish][]): Promise<void> {
    const before = list.map(([track]) => this.told.get(track));
    for (const [track, wish] of list) this.told.set(track, wish);
    if (await this.send(list)) return;
    list.forEach(([track, wish], i) => {
      if (this.told.get(track) !== wish) return; // told anew meanwhile
      if (before[i]) this.told.set(track, before[i]);
      else this.told.delete(track);
      this.notBefore = Date.now() + AGAIN_MS;
      this.plan(track);
    });
  }

  private async send(list: [string, Wish][]): Promise<boolean> {
    const tracks = list.map(([track, w]) => ({ track, width: w.width || undefined, height: w.height || undefined, priority: w.priority || undefined, paused: w.paused || undefined }));
    try {
      await this.opts.request("track.subscribe", { tracks });
      return true;
    } catch {
      return false;
    }
  }
}
