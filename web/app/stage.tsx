// Where the tiles go: a grid, or one large tile with a strip of the others.

import { useEffect, useRef, useState } from "preact/hooks";
import * as call from "./call";
import { t } from "./i18n";
import { Link, Sound } from "./icons";
import { grid } from "./layout";
import { isSpeaking, Tile, type Shown } from "./tile";

function shownTiles(): Shown[] {
  const out: Shown[] = [];
  for (const person of call.people.value) {
    const screen = person.self ? call.local.value.has("screen") : person.tracks.some((x) => x.source === "screen");
    if (screen) out.push({ id: `${person.key}#screen`, person, kind: "screen" });
    if (person.kind === "whep" || person.kind === "recorder") continue; // these only watch; the roster names them
    out.push({ id: person.key, person, kind: "person" });
  }
  return out;
}

/** The tile for the spotlight: pinned, else a screen, else whoever speaks or spoke last. */
function useSpotlight(tiles: Shown[]): Shown | null {
  const last = useRef<string | null>(null);
  const pinned = tiles.find((x) => x.id === call.pinned.value);
  const screen = tiles.find((x) => x.kind === "screen" && !x.person.self) ?? tiles.find((x) => x.kind === "screen");
  if (pinned ?? screen) return (pinned ?? screen)!;
  if (call.layout.value === "grid") return null;
  const speaking = tiles.find((x) => x.kind === "person" && !x.person.self && isSpeaking(x.person));
  if (speaking) last.current = speaking.id;
  return speaking ?? tiles.find((x) => x.id === last.current) ?? tiles.find((x) => !x.person.self) ?? tiles[0] ?? null;
}

export function Stage() {
  const tiles = shownTiles();
  const large = useSpotlight(tiles);
  const alone = call.people.value.length <= 1 && call.phase.value === "call";
  return (
    <main class="stage">
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

function Audio({ track }: { track: MediaStreamTrack }) {
  const ref = useRef<HTMLAudioElement>(null);
  const output = call.output.value;
  useEffect(() => {
    const el = ref.current!;
    elements.add(el);
    el.srcObject = new MediaStream([track]);
    play(el);
    return () => {
      elements.delete(el);
      el.srcObject = null;
    };
  }, [track]);
  useEffect(() => {
    const el = ref.current as (HTMLAudioElement & { setSinkId?: (id: string) => Promise<void> }) | null;
    void el?.setSinkId?.(output).catch(() => undefined); // a loudspeaker that is gone: the default plays
  }, [output]);
  return <audio ref={ref} class="sound" />;
}
