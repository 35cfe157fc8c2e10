// The panel of settings, and its parts that the preview uses as well.

import type { ComponentChildren } from "preact";
import { useEffect } from "preact/hooks";
import * as call from "./call";
import { lang, languages, setLang, t } from "./i18n";
import { devices, refreshDevices, tracks, type Input } from "./local";
import { Panel } from "./panel";
import { prefs } from "./prefs";

export function SettingsPanel() {
  return (
    <Panel title={t("settings")}>
      <DeviceChoice />
      <Language />
      <HideAddress />
    </Panel>
  );
}

/** Also before the call: afterwards is too late for a first one. */
export function HideAddress() {
  return (
    <label class="check" title={t("hideAddressHint")}>
      <input type="checkbox" checked={call.hidden.value} onChange={(e) => call.setHidden(e.currentTarget.checked)} />
      {t("hideAddress")}
    </label>
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
