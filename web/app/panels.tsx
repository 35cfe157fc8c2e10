// The side panels of a call: people and settings. On a phone they cover it.

import type { ComponentChildren } from "preact";
import { useEffect } from "preact/hooks";
import * as call from "./call";
import { lang, languages, setLang, t } from "./i18n";
import { Cam, CamOff, Close, Link, Mic, MicOff, Screen } from "./icons";
import { devices, refreshDevices, tracks, type Input } from "./local";
import { Avatar, isMuted, nameOf, QualityMark, videoOf } from "./tile";
import { prefs } from "./prefs";

function Panel({ title, children }: { title: string; children: ComponentChildren }) {
  return (
    <aside class="panel" aria-label={title}>
      <header>
        <h2>{title}</h2>
        <button type="button" class="plain" aria-label={t("close")} onClick={() => (call.panel.value = null)}>
          <Close />
        </button>
      </header>
      {children}
    </aside>
  );
}

export function PeoplePanel() {
  return (
    <Panel title={t("people")}>
      <ul class="roster">
        {call.people.value.map((p) => (
          <li key={p.key} data-user={p.user} class={p.reachable ? "" : "away"}>
            <Avatar person={p} />
            <span class="who">
              <span class="name">{nameOf(p)}{p.self && ` (${t("you")})`}</span>
              {!p.reachable && <span class="hint">{t("away")}</span>}
            </span>
            {p.tracks.some((x) => x.source === "screen") && <Screen />}
            {videoOf({ id: p.key, person: p, kind: "person" }) ? <Cam /> : <CamOff />}
            {isMuted(p) ? <MicOff /> : <Mic />}
            <QualityMark person={p} />
          </li>
        ))}
      </ul>
      <button type="button" class="secondary" onClick={() => void call.copyLink()}>
        <Link /> {t("copyLink")}
      </button>
    </Panel>
  );
}

export function SettingsPanel() {
  return (
    <Panel title={t("settings")}>
      <DeviceChoice />
      <Language />
    </Panel>
  );
}

export function Language() {
  return (
    <label class="field">
      <span>{t("language")}</span>
      <select aria-label={t("language")} value={lang.value} onChange={(e) => setLang(e.currentTarget.value as "en" | "zh")}>
        {languages.map((l) => (
          <option key={l.id} value={l.id} lang={l.id === "zh" ? "zh-CN" : "en"}>{l.name}</option>
        ))}
      </select>
    </label>
  );
}

/** Camera, microphone and, where the browser can, the loudspeaker. */
export function DeviceChoice({ level }: { level?: ComponentChildren }) {
  useEffect(() => void refreshDevices(), []);
  const d = devices.value;
  return (
    <>
      <Choice input="microphone" list={d.microphones} label={t("microphone")} none={t("noMicrophone")} />
      {level}
      <Choice input="camera" list={d.cameras} label={t("camera")} none={t("noCamera")} />
      {d.speakers.length > 0 && "setSinkId" in HTMLMediaElement.prototype && (
        <label class="field loudspeaker">
          <span>{t("speaker")}</span>
          <select aria-label={t("speaker")} value={call.output.value} onChange={(e) => call.setOutput(e.currentTarget.value)}>
            <option value="">{t("systemDefault")}</option>
            {d.speakers.filter((s) => s.deviceId !== "default").map((s) => (
              <option key={s.deviceId} value={s.deviceId}>{s.label || t("speaker")}</option>
            ))}
          </select>
        </label>
      )}
    </>
  );
}

function Choice({ input, list, label, none }: { input: Input; list: MediaDeviceInfo[]; label: string; none: string }) {
  const chosen = tracks[input].value?.getSettings().deviceId ?? prefs.get(input);
  const current = list.find((x) => x.deviceId === chosen)?.deviceId ?? list[0]?.deviceId ?? "";
  return (
    <label class="field">
      <span>{label}</span>
      <select aria-label={label} value={current} disabled={list.length === 0} onChange={(e) => void call.choose(input, e.currentTarget.value)}>
        {list.length === 0 && <option value="">{none}</option>}
        {list.map((x, i) => (
          <option key={x.deviceId} value={x.deviceId}>{x.label || `${label} ${i + 1}`}</option>
        ))}
      </select>
    </label>
  );
}
