// Where the tiles go: a grid, or one large tile with a strip of the others.

import { useEffect, useRef, useState } from "preact/hooks";
import type { Participant, Person } from "../sdk";
import * as call from "./call";
import * as control from "./control";
import { t } from "./i18n";
import { Link, Sound } from "./icons";
import { grid } from "./layout";
import { Badges } from "./overlays";
import { isShared, isSpeaking, Tile, type Shown, type ShownShared } from "./tile";

/**
 * One tile for each person, however many devices, and one for each shared screen;
 * whoever is seen in a picture that the server switches, there. A composed picture
 * holds everybody and is the only tile.
 */
function shownTiles(): Shown[] {
  const composed = call.remote.value.get("mix:video");
  if (composed) return [{ id: "mix", kind: "mix", track: composed.media, owner: null }];
  const shared = sharedTiles();
  const seen = new Set(shared.map((x) => x.owner?.user));
  const out: Shown[] = [...shared];
  for (const owner of control.here.value) {
    if (seen.has(owner.user)) continue;
    for (const d of owner.devices) {
      const screen = d.self ? call.local.value.has("screen") : d.tracks.some((x) => x.source === "screen");
      if (screen) out.push({ id: `${d.key}#screen`, person: d, owner, kind: "screen" });
    }
    const person = faceOf(owner);
    if (person) out.push({ id: owner.user, person, owner, kind: "person" });
  }
  return out;
}

/** Pictures that show one person after another, those that show somebody. */
function sharedTiles(): ShownShared[] {
  const out: ShownShared[] = [];
  for (const x of call.remote.value.values()) {
    if (!x.id.startsWith("slot:") || x.media.kind !== "video") continue;
    const user = call.currentRoom()?.sourceOf(x);
    const owner = control.here.value.find((p) => p.user === user) ?? null;
    if (owner) out.push({ id: x.id, kind: "slot", track: x.media, owner });
  }
  void call.slots.value; // drawn again when another source is told
  void call.qualityTick.value;
  return out;
}

/** The device whose camera is shown: this one, else one with an open camera. Those that only watch have none. */
function faceOf(p: Person): Participant | null {
  const seen = p.devices.filter((d) => d.kind !== "whep" && d.kind !== "recorder" && !d.held);
  const own = seen.find((d) => d.self);
  if (own && call.on.camera.value) return own;
  return seen.find((d) => !d.self && d.tracks.some((x) => x.source === "camera" && !x.muted)) ?? own ?? seen[0] ?? null;
}

/** The tile for the spotlight: pinned, else a screen, else whoever speaks or spoke last. */
function useSpotlight(tiles: Shown[]): Shown | null {
  const last = useRef<string | null>(null);
  const pinned = tiles.find((x) => x.id === call.pinned.value);
  const composed = tiles.find((x) => x.kind === "mix");
  const screen = tiles.find((x) => x.kind === "screen" && !x.person.self) ?? tiles.find((x) => x.kind === "screen");
  if (composed ?? pinned ?? screen) return (composed ?? pinned ?? screen)!;
  if (call.layout.value === "grid") return null;
  const speaking = tiles.find((x) => x.kind === "person" && !x.owner.self && isSpeaking(x.owner));
  if (speaking) last.current = speaking.id;
  return tiles.find(isShared) ?? speaking ?? tiles.find((x) => x.id === last.current) ?? tiles.find((x) => !x.owner?.self) ?? tiles[0] ?? null;
}

export function Stage() {
  const tiles = shownTiles();
  const large = useSpotlight(tiles);
  const alone = control.persons.value.length <= 1 && call.phase.value === "call" && control.breakout.value === null;
  return (
    <main class="stage">
      <Badges />
      {alone && (
        <p class="alone">
          {t("waiting")}{" "}
          <button type="button" class="chip" onClick={() => void call.copyLink()}>
            <Link /> {t("copyLink")}
          </button>
        </p>
      )}
      {large ? <Spotlight large={large} others={tiles.filter((x) => x.id !== large.id)} /> : <Grid tiles={tiles} />}
      <Sounds />
    </main>
  );
}

const GAP = 10;

function Grid({ tiles }: { tiles: Shown[] }) {
  const ref = useRef<HTMLDivElement>(null);
  const [box, setBox] = useState({ w: 1, h: 1 });
  useEffect(() => {
    const el = ref.current!;
    const watcher = new ResizeObserver(() => setBox({ w: el.clientWidth, h: el.clientHeight }));
    watcher.observe(el);
    return () => watcher.disconnect();
  }, []);
  useEffect(() => {
    const g = grid(tiles.length, box.w, box.h, GAP);
    ref.current!.style.setProperty("--tile-w", `${g.width}px`);
    ref.current!.style.setProperty("--tile-h", `${g.height}px`);
  }, [tiles.length, box]);
  return (
    <div class="grid" ref={ref}>
      {tiles.map((x) => (
        <Tile key={x.id} shown={x} />
      ))}
    </div>
  );
}

function Spotlight({ large, others }: { large: Shown; others: Shown[] }) {
  return (
    <div class={`spotlight${others.length === 0 ? " single" : ""}`}>
      <Tile key={large.id} shown={large} large />
      {others.length > 0 && (
        <div class="strip">
          {others.map((x) => (
            <Tile key={x.id} shown={x} />
          ))}
        </div>
      )}
    </div>
  );
}

/** One audio element per arriving sound, whether or not its row is in the roster yet. */
function Sounds() {
  const list = [...call.remote.value.values()].filter((x) => x.media.kind === "audio");
  return (
    <>
      {list.map((x) => (
        <Audio key={x.id} track={x.media} />
      ))}
      {call.silenced.value && (
        <button type="button" class="hear" onClick={unlock}>
          <Sound /> {t("clickToHear")}
        </button>
      )}
    </>
  );
}

const elements = new Set<HTMLAudioElement>();

/** A click is what browsers wait for before they play sound. */
function unlock(): void {
  call.silenced.value = false;
  for (const el of elements) play(el);
}

function play(el: HTMLAudioElement): void {
  el.play().catch((err: { name?: string }) => {
    if (err.name === "NotAllowedError") call.silenced.value = true;
  });
}

type Sinking = HTMLAudioElement & { setSinkId?: (id: string) => Promise<void> };

/**
 * Plays a sound that may come another way from one moment to the next: each track
 * has an element of its own, and the old one is heard until the new one plays.
 */
function Audio({ track }: { track: MediaStreamTrack }) {
  const ref = useRef<HTMLSpanElement>(null);
  const output = call.output.value;
  useEffect(() => {
    const el = document.createElement("audio") as Sinking;
    const before = [...ref.current!.children] as Sinking[];
    const retire = () => before.forEach(silence);
    el.className = "sound";
    elements.add(el);
    el.addEventListener("playing", retire, { once: true });
    ref.current!.append(el);
    el.srcObject = new MediaStream([track]);
    void el.setSinkId?.(call.output.peek()).catch(() => undefined);
    play(el);
    const timer = setTimeout(retire, LATEST_MS);
    return () => clearTimeout(timer);
  }, [track]);
  useEffect(() => {
    const box = ref.current!;
    return () => ([...box.children] as Sinking[]).forEach(silence);
  }, []);
  useEffect(() => {
    for (const el of ref.current!.children) void (el as Sinking).setSinkId?.(output).catch(() => undefined); // a loudspeaker that is gone: the default plays
  }, [output]);
  return <span ref={ref} />;
}

const LATEST_MS = 2_000; // a new element that cannot play has to be heard of otherwise

function silence(el: HTMLAudioElement): void {
  elements.delete(el);
  el.srcObject = null;
  el.remove();
}
