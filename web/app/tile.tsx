// One rectangle: a camera, an avatar or a screen.

import { useEffect, useRef } from "preact/hooks";
import type { Participant, Person, Quality } from "../sdk";
import * as call from "./call";
import { t, type Key } from "./i18n";
import { Bars, CamOff, MicOff, Pin } from "./icons";
import { hue, initials } from "./layout";
import { DeviceMarks, HandMark, isHeard } from "./people";
import { useShown } from "./shown";
import { SealCover, SealMark } from "./security";
import { TileStats } from "./stats-panel";
import { PathLine } from "./topology";

/** What a tile shows: somebody's camera or screen. */
export interface ShownPerson {
  id: string;
  /** The device that is shown. */
  person: Participant;
  /** Whose it is. */
  owner: Person;
  kind: "person" | "screen";
}

/** A picture that the server makes or switches: of several people, or of one after another. */
export interface ShownShared {
  id: string;
  kind: "mix" | "slot";
  track: MediaStreamTrack;
  /** Who is seen, where it is one; the others are avatars meanwhile. */
  owner: Person | null;
}

export type Shown = ShownPerson | ShownShared;

export const isShared = (s: Shown): s is ShownShared => s.kind === "mix" || s.kind === "slot";

/** Plays a track without sound; sound has its own elements. A picture stays until the next track has one. */
export function Video({ track, mirror, fit }: { track: MediaStreamTrack; mirror?: boolean; fit?: boolean }) {
  const ref = useRef<HTMLSpanElement>(null);
  const look = `video${mirror ? " mirror" : ""}${fit ? " fit" : ""}`;
  useEffect(() => {
    const box = ref.current!;
    const before = [...box.children] as HTMLVideoElement[];
    const el = document.createElement("video");
    Object.assign(el, { autoplay: true, playsInline: true, muted: true, className: look });
    const show = () => {
      el.classList.remove("next");
      before.forEach(dark);
    };
    if (before.length > 0) {
      el.classList.add("next");
      el.addEventListener("loadeddata", show, { once: true });
    }
    el.srcObject = new MediaStream([track]);
    box.append(el);
    void el.play().catch(() => undefined); // again with the next track, or by the autoplay attribute
    const timer = setTimeout(show, LATEST_MS);
    return () => clearTimeout(timer);
  }, [track]);
  useEffect(() => {
    for (const el of ref.current!.children) el.className = el.classList.contains("next") ? `${look} next` : look;
  }, [look]);
  useEffect(() => {
    const box = ref.current!;
    return () => ([...box.children] as HTMLVideoElement[]).forEach(dark);
  }, []);
  return <span ref={ref} class="frame" />;
}

const LATEST_MS = 2_000; // a track that brings no picture (a camera that is off) is shown as it is

function dark(el: HTMLVideoElement): void {
  el.srcObject = null;
  el.remove();
}

/** The track of another person that a tile is for. */
function remoteOf(s: ShownPerson): string | null {
  const source = s.kind === "screen" ? "screen" : "camera";
  return s.person.self ? null : (s.person.tracks.find((x) => x.source === source && !x.muted)?.id ?? null);
}

/** The track to show for a tile, if there is one. What the server withholds would be a picture that stands still. */
export function videoOf(s: ShownPerson): MediaStreamTrack | null {
  const source = s.kind === "screen" ? "screen" : "camera";
  if (s.person.self) {
    const mine = call.local.value.get(source);
    return mine && !mine.muted ? mine.media : null;
  }
  const info = s.person.tracks.find((x) => x.source === source);
  if (!info || info.muted || call.withheld.value.has(info.id)) return null;
  return call.remote.value.get(info.id)?.media ?? null;
}

export function nameOf(p: Participant): string {
  return p.name || t("guest");
}

export function isSpeaking(p: Person): boolean {
  const active = call.speaker.value;
  return active !== null && p.devices.some((d) => d.tracks.some((x) => x.id === active && !x.muted));
}

const grades: Record<Quality, { key: Key; bars: number }> = {
  good: { key: "qualityGood", bars: 3 },
  fair: { key: "qualityFair", bars: 2 },
  poor: { key: "qualityPoor", bars: 1 },
  unknown: { key: "qualityUnknown", bars: 0 },
};

export function QualityMark({ person }: { person: Participant }) {
  const q = call.quality(person);
  const label = t(grades[q].key);
  return (
    <span class={`quality ${q}`} role="img" aria-label={label} title={label}>
      <Bars filled={grades[q].bars} />
    </span>
  );
}

export function Avatar({ person }: { person: Participant }) {
  return (
    <div class={`avatar tint-${hue(person.user, 8)}`} aria-hidden="true">
      {initials(nameOf(person))}
    </div>
  );
}

export function Tile({ shown, large }: { shown: Shown; large?: boolean }) {
  return isShared(shown) ? <SharedTile shown={shown} large={large} /> : <PersonTile shown={shown} large={large} />;
}

function SharedTile({ shown, large }: { shown: ShownShared; large?: boolean }) {
  const name = shown.kind === "mix" ? t("composed") : shown.owner ? shown.owner.name || t("guest") : t("slotEmpty");
  return (
    <figure class={`tile shared${large ? " large" : ""}`} data-kind={shown.kind} data-user={shown.owner?.user} aria-label={name}>
      <Video track={shown.track} fit />
      <SealCover shown={shown} />
      <TileStats track={shown.id === "mix" ? "mix:video" : shown.id} />
      {shown.kind === "slot" && (
        <figcaption class="caption">
          <SealMark shown={shown} />
          <span class="name">{name}</span>
        </figcaption>
      )}
    </figure>
  );
}

/** The own mark opens what is known of the connection. */
function OwnQuality({ person }: { person: Participant }) {
  const open = call.qualityOpen.value;
  const f = (void call.qualityTick.value, call.currentRoom()?.figures);
  return (
    <span class="own-quality">
      <button type="button" class="plain" aria-label={t("connectionOf")} aria-expanded={open} onClick={() => (call.qualityOpen.value = !open)}>
        <QualityMark person={person} />
      </button>
      {open && (
        <span class="pop" role="status">
          <span>{t("mediaPath")}: <PathLine /></span>
          {f?.rttMs != null && <span>{t("roundTrip")}: {Math.round(f.rttMs)} ms</span>}
          {f?.lossPercent != null && <span>{t("lossOf")}: {f.lossPercent.toFixed(1)} %</span>}
          <button type="button" class="chip" onClick={() => ((call.qualityOpen.value = false), (call.panel.value = "stats"))}>{t("statistics")}</button>
        </span>
      )}
    </span>
  );
}

const whys: Record<string, Key> = { "last-n": "withheldLastN", bandwidth: "withheldBandwidth" };

/** Says that there is a camera whose picture is not sent here. */
function WithheldMark({ why }: { why: string }) {
  const label = t(whys[why] ?? "withheldLastN");
  return (
    <span class="withheld-mark" role="img" aria-label={label} title={label}>
      <CamOff />
    </span>
  );
}

/** Of those who are sent with room for few, who is pinned comes first, then who is large. */
const PINNED = 2;
const LARGE = 1;

function PersonTile({ shown, large }: { shown: ShownPerson; large?: boolean }) {
  const ref = useRef<HTMLElement>(null);
  const { person, owner, kind } = shown;
  const video = videoOf(shown);
  const screen = kind === "screen";
  const name = nameOf(person);
  const label = screen ? (person.self ? t("yourScreen") : t("screenOf", { name })) : owner.self ? `${name} (${t("you")})` : name;
  const pinned = call.pinned.value === shown.id;
  const track = remoteOf(shown);
  const why = track ? call.withheld.value.get(track) : undefined;
  useShown(ref, track, pinned ? PINNED : large ? LARGE : 0);
  const classes = ["tile", screen ? "screen" : "", isSpeaking(owner) && !screen ? "speaking" : "", large ? "large" : "", person.reachable ? "" : "away"];
  return (
    <figure ref={ref} class={classes.filter(Boolean).join(" ")} data-user={person.user} data-withheld={why} data-kind={kind} data-self={owner.self} aria-label={label}>
      {video ? <Video track={video} mirror={person.self && !screen} fit={screen} /> : <Avatar person={person} />}
      <SealCover shown={shown} />
      <TileStats track={track} />
      <figcaption class="caption">
        {!screen && !isHeard(owner) && (
          <span class="muted-mark" role="img" aria-label={t("mutedMark")}>
            <MicOff />
          </span>
        )}
        {!screen && <HandMark rank={owner.hand} />}
        {why && <WithheldMark why={why} />}
        <SealMark shown={shown} />
        <span class="name">{label}</span>
        {!screen && <DeviceMarks person={owner} />}
        {!person.reachable && <span class="away-mark">{t("away")}</span>}
        {!screen && (person.self ? <OwnQuality person={person} /> : <QualityMark person={person} />)}
      </figcaption>
      <button type="button" class="pin" aria-pressed={pinned} aria-label={t(pinned ? "unpin" : "pin", { name })} onClick={() => (call.pinned.value = pinned ? null : shown.id)}>
        <Pin />
      </button>
    </figure>
  );
}
