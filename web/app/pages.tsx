// The pages: start, preview, call, and the end of it.

import { useEffect, useRef, useState } from "preact/hooks";
import { e2eeSupported, meter } from "../sdk";
import { Breakouts } from "./breakouts";
import * as call from "./call";
import { ChatPanel } from "./chat-panel";
import { copyText } from "./clipboard";
import { CamControl, Controls, MicControl } from "./controls";
import { t, type Key } from "./i18n";
import { Link, Sealed } from "./icons";
import { roomName, slug } from "./layout";
import { InLobby, Knock } from "./lobby";
import { problems, tracks } from "./local";
import { Asks, Banners, Notes, Question } from "./overlays";
import { Owner, signedOut } from "./owner";
import { Page } from "./page";
import { DeviceChoice, HideAddress, SettingsPanel } from "./panels";
import { PeoplePanel } from "./people";
import { prefs } from "./prefs";
import { SealChoice, SecurityPanel } from "./security";
import { Stage } from "./stage";
import { attend } from "./stats";
import { StatsPanel } from "./stats-panel";
import { Video } from "./tile";

/** The start page; the owner's for one who came by the owner's link. */
export function Home() {
  const token = call.ownerToken.value;
  return token && !signedOut.value ? <Owner token={token} /> : <Start />;
}

function Start() {
  const [name, setName] = useState("");
  const [suggested] = useState(() => roomName());
  const [sealed, seal] = useState(false);
  const target = `/r/${encodeURIComponent(slug(name) || suggested)}${sealed ? "?e2ee" : ""}`;
  const copy = async () => {
    await copyText(location.origin + target);
  };
  return (
    <Page>
      <section class="card home">
        <h1>{t("tagline")}</h1>
        <p class="hint">{t("ownRoom")}</p>
        <form onSubmit={(e) => (e.preventDefault(), location.assign(target))}>
          <label class="field">
            <span>{t("roomName")}</span>
            <input value={name} placeholder={suggested} maxLength={64} autocomplete="off" spellcheck={false} autofocus onInput={(e) => setName(e.currentTarget.value)} />
          </label>
          <SealChoice on={sealed} set={seal} />
          <div class="actions">
            <button type="submit" class="primary">{t("startMeeting")}</button>
            <button type="button" class="secondary" onClick={() => void copy()}>
              <Link /> {t("copyLink")}
            </button>
          </div>
        </form>
      </section>
    </Page>
  );
}

export function NotFound() {
  return (
    <Page>
      <section class="card end">
        <h1>{t("notFound")}</h1>
        <a class="primary" href="/">{t("home")}</a>
      </section>
    </Page>
  );
}

export function RoomPage() {
  switch (call.phase.value) {
    case "call":
      return <Call />;
    case "over":
      return <Over />;
    case "lobby":
      return (
        <Page>
          <InLobby />
        </Page>
      );
    default:
      return <Prejoin />;
  }
}

function Prejoin() {
  const [name, setName] = useState(prefs.get("name") ?? "");
  const joining = call.phase.value === "joining";
  const sealed = call.wantsSeal || call.sealedRoom.value;
  const cannot = sealed && !e2eeSupported();
  const submit = (e: Event) => {
    e.preventDefault();
    prefs.set("name", name.trim());
    void call.join(name.trim().slice(0, 80) || t("guest"));
  };
  return (
    <Page wide>
      <section class="prejoin">
        <div class="preview">
          <Preview />
          <div class="preview-bar">
            <MicControl />
            <CamControl />
          </div>
        </div>
        <form class="card" onSubmit={submit}>
          <p class="eyebrow">{t("theRoom")}</p>
          <h1 class="room-name">{call.roomName}</h1>
          {call.waiting.value !== null && <p class="hint">{call.waiting.value > 0 ? t("inRoom", { n: call.waiting.value }) : t("nobodyYet")}</p>}
          {sealed && <p class="hint sealed-hint"><Sealed /> {t("e2eeWanted")}</p>}
          <label class="field">
            <span>{t("yourName")}</span>
            <input value={name} placeholder={t("guest")} maxLength={80} autocomplete="name" onInput={(e) => setName(e.currentTarget.value)} />
          </label>
          <DeviceChoice level={<Level />} />
          <HideAddress />
          <Problems />
          {cannot && <div class="problems" role="alert"><p>{t("e2eeUnsupported")}</p></div>}
          <div class="actions">
            <button type="submit" class="primary" disabled={joining || cannot} aria-label={t("join")}>{t(joining ? "joining" : "join")}</button>
            <button type="button" class="secondary" onClick={() => void call.copyLink()}>
              <Link /> {t("copyLink")}
            </button>
          </div>
        </form>
      </section>
    </Page>
  );
}

function Preview() {
  const track = call.on.camera.value ? tracks.camera.value : null;
  return <div class="tile large">{track ? <Video track={track} mirror /> : <p class="off-text">{t("cameraOff")}</p>}</div>;
}

/** The level is written to the element directly: twenty renders a second would be waste. */
function Level() {
  const bar = useRef<HTMLDivElement>(null);
  const track = tracks.microphone.value;
  const on = call.on.microphone.value;
  useEffect(() => {
    const set = (v: number) => bar.current?.style.setProperty("transform", `scaleX(${v.toFixed(3)})`);
    set(0);
    return track && on ? meter(track, set) : undefined;
  }, [track, on]);
  return (
    <div class="level" role="img" aria-label={t("micLevel")}>
      <div ref={bar} />
    </div>
  );
}

function Problems() {
  const list = [problems.microphone.value, problems.camera.value].filter((k): k is Key => k !== null);
  if (list.length === 0) return null;
  return (
    <div class="problems" role="alert">
      {[...new Set(list)].map((k) => <p key={k}>{t(k)}</p>)}
      <p class="hint">{t("noMediaHint")}</p>
    </div>
  );
}

function Call() {
  useEffect(attend, []);
  return (
    <div class={`call${call.panel.value ? " with-panel" : ""}`}>
      <Banners />
      <Stage />
      {call.panel.value === "people" && <PeoplePanel />}
      {call.panel.value === "chat" && <ChatPanel />}
      {call.panel.value === "settings" && <SettingsPanel />}
      {call.panel.value === "stats" && <StatsPanel />}
      {call.panel.value === "security" && <SecurityPanel />}
      <div class="cards">
        <Asks />
        <Knock />
      </div>
      <Controls />
      <Breakouts />
      <Question />
      <Notes />
    </div>
  );
}

const endings: Record<string, Key> = {
  left: "endLeft", replaced: "endReplaced", duplicate: "endReplaced", ended: "endEnded", gone: "endEnded", shutdown: "endShutdown", stopping: "endShutdown",
  draining: "endShutdown", unauthenticated: "endAuth", locked: "endLocked", full: "endFull", forbidden: "endForbidden", banned: "endBanned",
  expelled: "endExpelled", declined: "endRejected", cancelled: "endLeft", timeout: "endUnreachable",
  "e2ee-required": "endE2ee", "e2ee-unsupported": "endE2ee", "e2ee-missing": "endE2eeMissing",
};

function Over() {
  const e = call.problem.value;
  const key = endings[e?.reason ?? ""] ?? "endFailed";
  return (
    <Page>
      <section class="card end">
        <h1>{t(key)}</h1>
        {key === "endAuth" && <p class="hint">{t("endAuthHint")}</p>}
        {key === "endE2ee" && <p class="hint">{t("e2eeUnsupported")}</p>}
        {key === "endE2eeMissing" && <p class="hint">{t("endE2eeMissingHint")}</p>}
        {key === "endFailed" && <p class="hint">{e?.message} ({e?.code})</p>}
        <div class="actions">
          <button type="button" class="primary" onClick={call.again}>{t("back")}</button>
          <a class="secondary" href="/">{t("home")}</a>
        </div>
      </section>
    </Page>
  );
}
