// End-to-end encryption on the screen: whether it is on, how each stream fares,
// and the safety number for people to compare.

import { signal } from "@preact/signals";
import { useState } from "preact/hooks";
import { e2eeSupported, type Participant, type Room, type SealState } from "../sdk";
import * as call from "./call";
import { copyText } from "./clipboard";
import * as control from "./control";
import { t, type Key } from "./i18n";
import { Link, Sealed as SealedIcon, Unsealed } from "./icons";
import { Panel } from "./panel";
import { isShared, type Shown } from "./tile";

interface Seal {
  /** The safety number; "" while it is worked out. */
  number: string;
  /** Generation and step of our key. */
  place: string;
  /** Key of the session, name and number of each member, self first. */
  members: { key: string; name: string; number: string; self: boolean }[];
}

/** Null: media is not encrypted end to end here. */
export const seal = signal<Seal | null>(null);
const tick = signal(0);

/** Follows a room; call before it joins. */
export function follow(r: Room): void {
  r.on("seal", () => take(r));
  r.on("info", () => take(r));
  r.on("remote", () => tick.value++);
}

function take(r: Room): void {
  const s = r.seal.sealing;
  tick.value++;
  if (!s) {
    seal.value = null;
    return;
  }
  const name = (key: string) => r.participants.find((p) => p.e2ee?.key === key)?.name || t("guest");
  const others = s.members.map((m) => ({ key: m.key, number: m.number, name: name(m.key), self: false }));
  seal.value = { number: s.number, place: s.place, members: [{ key: s.self.key, number: s.self.number, name: name(s.self.key), self: true }, ...others] };
}

const worst: SealState[] = ["failed", "waiting", "secure", "none"];

/** How what comes from a device fares; screen: its screen, else camera and microphone. Null: nothing is encrypted here. */
function stateOf(p: Participant, screen: boolean): SealState | null {
  void tick.value;
  const room = call.currentRoom();
  if (!seal.value || !room) return null;
  if (p.self) return "secure";
  if (!seal.value.members.some((m) => m.key === p.e2ee?.key)) return "failed"; // it has no keys, or not its own
  const states = p.tracks
    .filter((x) => !x.muted && x.source.startsWith("screen") === screen)
    .flatMap((x) => room.remote.get(x.id) ?? [])
    .map((x) => room.seal.stateOf(x));
  return worst.find((s) => states.includes(s)) ?? "none";
}

function shownState(s: Shown): SealState | null {
  if (!isShared(s)) return stateOf(s.person, s.kind === "screen");
  void tick.value;
  const room = call.currentRoom();
  const track = room && [...room.remote.values()].find((x) => x.media === s.track);
  return seal.value && track ? room.seal.stateOf(track) : null;
}

const words: Record<Exclude<SealState, "none">, Key> = { secure: "sealSecure", waiting: "sealWaiting", failed: "sealFailed" };

/** In the caption of a tile. */
export function SealMark({ shown }: { shown: Shown }) {
  const state = shownState(shown);
  if (!state || state === "none") return null;
  const label = t(words[state]);
  return (
    <span class={`seal ${state}`} data-seal={state} role="img" aria-label={label} title={label}>
      {state === "secure" ? <SealedIcon /> : <Unsealed />}
    </span>
  );
}

/** Over the picture of a tile that cannot be shown. */
export function SealCover({ shown }: { shown: Shown }) {
  const state = shownState(shown);
  if (state !== "waiting" && state !== "failed") return null;
  return (
    <div class="seal-cover">
      <Unsealed />
      <span>{t(words[state])}</span>
    </div>
  );
}

/** On the stage; opens the panel. */
export function SealBadge() {
  if (!seal.value) return null;
  const open = call.panel.value === "security";
  return (
    <button type="button" class="badge sealed" aria-label={t("e2ee")} title={t("e2ee")} aria-expanded={open} onClick={() => (call.panel.value = open ? null : "security")}>
      <SealedIcon /> <span class="wide-only">{t("e2ee")}</span>
    </button>
  );
}

const digits = (s: string) => s.replace(/\D/g, "");

export function SecurityPanel() {
  const s = seal.value;
  const [typed, type] = useState("");
  if (!s) return <Panel title={t("security")}><p class="hint">{t("e2eeOff")}</p></Panel>;
  const [mine, theirs] = [digits(s.number), digits(typed)];
  const verdict: Key = theirs === mine ? "compareSame" : mine.startsWith(theirs) ? "compareMore" : "compareDiffers";
  return (
    <Panel title={t("security")} extra="security">
      <p class="hint">{t("e2eeHint")}</p>
      <section class="box" aria-label={t("safetyNumber")}>
        <h3>{t("safetyNumber")}</h3>
        <p class="number" data-number={s.number}>{s.number.split(" ").map((g, i) => <span key={i}>{g}</span>)}</p>
        <p class="hint">{t("safetyHint")}</p>
        <label class="field">
          <span>{t("compare")}</span>
          <textarea rows={2} value={typed} maxLength={120} inputMode="numeric" autocomplete="off" spellcheck={false} onInput={(e) => type(e.currentTarget.value)} />
        </label>
        {theirs !== "" && mine !== "" && <p role="status" class={`verdict ${verdict}`}>{t(verdict)}</p>}
        <button type="button" class="tool" onClick={() => void copyText(s.number, "numberCopied")}><Link /> {t("copyNumber")}</button>
      </section>
      <section class="box" aria-label={t("membersKeys")}>
        <h3>{t("membersKeys")}</h3>
        <ul class="keys">
          {s.members.map((m) => (
            <li key={m.key}>
              <b class="name">{m.name}{m.self && ` (${t("you")})`}</b>
              <span class="number small-number">{m.number}</span>
            </li>
          ))}
        </ul>
        <Unkeyed />
        <p class="hint" data-epoch={s.place}>{t("sealEpoch", { place: s.place })}</p>
      </section>
    </Panel>
  );
}

/** Who is in the roster without keys of their own. */
function Unkeyed() {
  const known = new Set(seal.value?.members.map((m) => m.key));
  const without = control.here.value.filter((p) => p.devices.some((d) => !d.held && !known.has(d.e2ee?.key ?? "")));
  if (without.length === 0) return null;
  return <p class="hint warn" role="note">{t("unkeyed", { names: without.map((p) => p.name || t("guest")).join(", ") })}</p>;
}

/** Whether a meeting that is about to be made is encrypted end to end; no choice where this browser could not take part. */
export function SealChoice({ on, set }: { on: boolean; set: (to: boolean) => void }) {
  const can = e2eeSupported();
  return (
    <label class="check" title={t(can ? "e2eeHint" : "e2eeUnsupported")}>
      <input type="checkbox" checked={on} disabled={!can} onChange={(e) => set(e.currentTarget.checked)} />
      {t("e2ee")}
    </label>
  );
}
