// How large an element is on the screen, and whether it is seen at all.

import { useEffect } from "preact/hooks";
import type { RefObject } from "preact";
import type { Shown } from "../sdk";
import { currentRoom } from "./call";
import { pixels } from "./layout";

const AWAY_MS = 5_000; // a page behind others may be back in a moment

type Tell = (size: { width: number; height: number } | null) => void;

interface Watched {
  tell: Tell;
  seen: boolean;
}

const all = new Map<Element, Watched>();
let away = false; // the page is behind others
let timer: ReturnType<typeof setTimeout> | undefined;
let sizes: ResizeObserver | null = null;
let sight: IntersectionObserver | null = null;

function tell(el: Element): void {
  const w = all.get(el);
  if (!w) return;
  w.tell(w.seen && !away ? pixels(el.clientWidth, el.clientHeight, window.devicePixelRatio) : null);
}

function begin(): void {
  sizes = new ResizeObserver((list) => list.forEach((x) => tell(x.target)));
  sight = new IntersectionObserver((list) => {
    for (const x of list) {
      const w = all.get(x.target);
      if (w) w.seen = x.isIntersecting;
      tell(x.target);
    }
  });
  document.addEventListener("visibilitychange", () => {
    const hidden = document.visibilityState === "hidden";
    const turn = () => {
      away = hidden;
      for (const el of all.keys()) tell(el);
    };
    clearTimeout(timer);
    if (hidden) timer = setTimeout(turn, AWAY_MS);
    else turn();
  });
}

/** Tells the size of an element now and whenever it changes; null: it is not seen. Ends with null. */
export function watch(el: Element, to: Tell): () => void {
  if (!sizes) begin();
  all.set(el, { tell: to, seen: true });
  sizes!.observe(el);
  sight!.observe(el);
  return () => {
    sizes!.unobserve(el);
    sight!.unobserve(el);
    all.delete(el);
    to(null);
  };
}

/** The tile that speaks for a track: the latest one, when a tile moves to another place. */
const tiles = new Map<string, Element>();

/** Has a track sent as large as its tile is. */
export function useShown(ref: RefObject<HTMLElement | null>, track: string | null, priority: number): void {
  useEffect(() => {
    const el = ref.current;
    const room = currentRoom();
    if (!el || !track || !room) return;
    tiles.set(track, el);
    const end = watch(el, (size) => {
      if (tiles.get(track) === el) room.view.show(track, size && ({ ...size, priority } satisfies Shown));
    });
    return () => {
      end();
      if (tiles.get(track) === el) tiles.delete(track);
    };
  }, [track, priority]);
}
