// The bar at the bottom of a call.

import type { ComponentChildren } from "preact";
import { canShareScreen } from "../sdk";
import * as call from "./call";
import { t } from "./i18n";
import { Cam, CamOff, Focus, Gear, GridIcon, Hang, Link, Mic, MicOff, People, Screen, ScreenOff } from "./icons";

interface Props {
  label: string;
  onClick: () => void;
  kind?: "off" | "active" | "danger" | "";
  pressed?: boolean;
  extra?: string;
  children: ComponentChildren;
}

export function Control({ label, onClick, kind = "", pressed, extra = "", children }: Props) {
  return (
    <button type="button" class={`control ${kind} ${extra}`.trim()} aria-label={label} title={label} aria-pressed={pressed} onClick={onClick}>
      {children}
    </button>
  );
}

export function MicControl() {
  const on = call.on.microphone.value;
  return (
    <Control label={t(on ? "mute" : "unmute")} kind={on ? "" : "off"} onClick={() => void call.toggle("microphone")}>
      {on ? <Mic /> : <MicOff />}
    </Control>
  );
}

export function CamControl() {
  const on = call.on.camera.value;
  return (
    <Control label={t(on ? "stopVideo" : "startVideo")} kind={on ? "" : "off"} onClick={() => void call.toggle("camera")}>
      {on ? <Cam /> : <CamOff />}
    </Control>
  );
}

export function Controls() {
  const sharing = call.on.screen.value;
  const speakerView = call.layout.value === "speaker";
  const open = (p: "people" | "settings") => (call.panel.value = call.panel.value === p ? null : p);
  return (
    <footer class="bar">
      <div class="group side">
        <Control label={t(speakerView ? "grid" : "speakerView")} onClick={() => call.setLayout(speakerView ? "grid" : "speaker")}>
          {speakerView ? <GridIcon /> : <Focus />}
        </Control>
        <Control label={t("copyLink")} extra="wide-only" onClick={() => void call.copyLink()}>
          <Link />
        </Control>
      </div>
      <div class="group">
        <MicControl />
        <CamControl />
        {canShareScreen() && (
          <Control label={t(sharing ? "stopSharing" : "shareScreen")} kind={sharing ? "active" : ""} onClick={() => void call.toggleScreen()}>
            {sharing ? <ScreenOff /> : <Screen />}
          </Control>
        )}
        <Control label={t("leave")} kind="danger" onClick={() => void call.leave()}>
          <Hang />
        </Control>
      </div>
      <div class="group side right">
        <Control label={t("people")} pressed={call.panel.value === "people"} onClick={() => open("people")}>
          <People />
          <span class="count" aria-hidden="true">{call.people.value.length}</span>
        </Control>
        <Control label={t("settings")} pressed={call.panel.value === "settings"} onClick={() => open("settings")}>
          <Gear />
        </Control>
      </div>
    </footer>
  );
}
