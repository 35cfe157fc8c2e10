// The bar at the bottom of a call.

import type { ComponentChildren } from "preact";
import { canShareScreen } from "../sdk";
import * as call from "./call";
import * as chat from "./chat";
import * as control from "./control";
import { t } from "./i18n";
import { Cam, CamOff, Chart, ChatIcon, Focus, Gear, GridIcon, Hand, Hang, Link, Mic, MicOff, People, Screen, ScreenOff } from "./icons";
import { SHORTCUT, toggle as toggleStats } from "./stats";

interface Props {
  label: string;
  onClick: () => void;
  kind?: "off" | "active" | "danger" | "";
  pressed?: boolean;
  extra?: string;
  /** Pressed together, they do the same. */
  keys?: string;
  children: ComponentChildren;
}

export function Control({ label, onClick, kind = "", pressed, extra = "", keys, children }: Props) {
  return (
    <button type="button" class={`control ${kind} ${extra}`.trim()} aria-label={label} title={keys ? `${label} (${keys})` : label} aria-keyshortcuts={keys} aria-pressed={pressed} onClick={onClick}>
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

function HandControl() {
  if (!control.can("hand.raise")) return null;
  const up = (control.me.value?.hand ?? 0) > 0;
  return (
    <Control label={t(up ? "lowerHand" : "raiseHand")} kind={up ? "active" : ""} onClick={() => void control.toggleHand()}>
      <Hand />
      {up && <span class="count" aria-hidden="true">{control.me.value!.hand}</span>}
    </Control>
  );
}

export function Controls() {
  const sharing = call.on.screen.value;
  const unread = chat.unread.value;
  const speakerView = call.layout.value === "speaker";
  const open = (p: "people" | "chat" | "settings") => (call.panel.value = call.panel.value === p ? null : p);
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
        {control.isAtLeast("attendee") && <MicControl />}
        {control.isAtLeast("attendee") && <CamControl />}
        {canShareScreen() && control.isAtLeast("presenter") && (
          <Control extra="wide-only" label={t(sharing ? "stopSharing" : "shareScreen")} kind={sharing ? "active" : ""} onClick={() => void call.toggleScreen()}>
            {sharing ? <ScreenOff /> : <Screen />}
          </Control>
        )}
        <HandControl />
        <Control label={t("leave")} kind="danger" onClick={() => void call.leave()}>
          <Hang />
        </Control>
      </div>
      <div class="group side right">
        <Control label={unread > 0 ? t("chatUnread", { n: unread }) : t("chat")} pressed={call.panel.value === "chat"} onClick={() => open("chat")}>
          <ChatIcon />
          {unread > 0 && <span class="count alert" aria-hidden="true">{Math.min(unread, 99)}</span>}
        </Control>
        <Control label={t("people")} pressed={call.panel.value === "people"} onClick={() => open("people")}>
          <People />
          <span class={control.lobby.value.length > 0 ? "count alert" : "count"} aria-hidden="true">{control.here.value.length}</span>
        </Control>
        <Control label={t("statistics")} pressed={call.panel.value === "stats"} extra="wide-only" keys={SHORTCUT} onClick={toggleStats}>
          <Chart />
        </Control>
        <Control label={t("settings")} pressed={call.panel.value === "settings"} onClick={() => open("settings")}>
          <Gear />
        </Control>
      </div>
    </footer>
  );
}
