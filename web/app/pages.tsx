// The pages: start, preview, call, and the end of it.

import type { ComponentChildren } from "preact";
import { useEffect, useRef, useState } from "preact/hooks";
import { meter } from "../sdk";
import * as call from "./call";
import { CamControl, Controls, MicControl } from "./controls";
import { t, type Key } from "./i18n";
import { Link } from "./icons";
import { roomName, slug } from "./layout";
import { problems, tracks } from "./local";
import { DeviceChoice, Language, PeoplePanel, SettingsPanel } from "./panels";
import { prefs } from "./prefs";
import { Stage } from "./stage";
import { Video } from "./tile";

function Page({ children, wide }: { children: ComponentChildren; wide?: boolean }) {
  return (
    <div class="page">
      <header class="top">
        <a class="brand" href="/">
          <img src="/favicon.svg" alt="" width="28" height="28" />
          Parley
        </a>
        <Language />
      </header>
      <main class={wide ? "center wide" : "center"}>{children}</main>
      <Note />
    </div>
  );
}

function Note() {
  return (
    <div class="note" role="status" aria-live="polite">
      {call.note.value && <span key={call.note.value.id}>{call.note.value.text}</span>}
    </div>
  );
}

export function Home() {
  const [name, setName] = useState("");
  const [suggested] = useState(() => roomName());
  const target = `/r/${encodeURIComponent(slug(name) || suggested)}`;
  const copy = async () => {
    await navigator.clipboard?.writeText(location.origin + target).catch(() => undefined);
    call.say("copied");
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
    default:
      return <Prejoin />;
  }
}

function Prejoin() {
  const [name, setName] = useState(prefs.get("name") ?? "");
  const joining = call.phase.value === "joining";
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
          <label class="field">
            <span>{t("yourName")}</span>
            <input value={name} placeholder={t("guest")} maxLength={80} autocomplete="name" onInput={(e) => setName(e.currentTarget.value)} />
          </label>
          <DeviceChoice level={<Level />} />
          <Problems />
          <div class="actions">
            <button type="submit" class="primary" disabled={joining} aria-label={t("join")}>{t(joining ? "joining" : "join")}</button>
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
  const away = call.roomState.value === "reconnecting";
  const silent = call.connection.value === "failed" || call.connection.value === "disconnected";
  return (
    <div class={`call${call.panel.value ? " with-panel" : ""}`}>
      {(away || silent) && <div class="banner" role="alert">{t(!away ? "mediaLost" : call.draining.value ? "restarting" : "reconnecting")}</div>}
      <Stage />
      {call.panel.value === "people" && <PeoplePanel />}
      {call.panel.value === "settings" && <SettingsPanel />}
      <Controls />
      <Note />
    </div>
  );
}

const endings: Record<string, Key> = {
  left: "endLeft", replaced: "endReplaced", duplicate: "endReplaced", ended: "endEnded", gone: "endEnded", shutdown: "endShutdown", stopping: "endShutdown",
  draining: "endShutdown", unauthenticated: "endAuth", locked: "endLocked", full: "endFull", forbidden: "endForbidden", banned: "endForbidden",
  expelled: "endForbidden", timeout: "endUnreachable",
};

function Over() {
  const e = call.problem.value;
  const key = endings[e?.reason ?? ""] ?? "endFailed";
  return (
    <Page>
      <section class="card end">
        <h1>{t(key)}</h1>
        {key === "endAuth" && <p class="hint">{t("endAuthHint")}</p>}
        {key === "endFailed" && <p class="hint">{e?.message} ({e?.code})</p>}
        <div class="actions">
          <button type="button" class="primary" onClick={call.again}>{t("back")}</button>
          <a class="secondary" href="/">{t("home")}</a>
        </div>
      </section>
    </Page>
  );
}
