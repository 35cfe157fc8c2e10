// The lobby from both sides: who waits, for moderators; and the waiting itself.

import type { Waiting } from "../sdk";
import * as call from "./call";
import * as control from "./control";
import { t } from "./i18n";
import { hue, initials } from "./layout";

const nameOf = (w: Waiting) => w.name || t("guest");

function Decision({ one }: { one: Waiting }) {
  const name = nameOf(one);
  return (
    <>
      <button type="button" class="small primary" aria-label={t("admitOne", { name })} onClick={() => void control.admit([one.part])}>{t("admit")}</button>
      <button type="button" class="small secondary" aria-label={t("rejectOne", { name })} onClick={() => void control.reject([one.part])}>{t("reject")}</button>
    </>
  );
}

/** In the panel of people. */
export function LobbySection() {
  const list = control.lobby.value;
  if (list.length === 0 || !control.can("lobby.admit")) return null;
  return (
    <section class="box lobby" aria-label={t("lobby")}>
      <h3>{t("lobby")} <span class="pill">{list.length}</span></h3>
      <ul class="waiting">
        {list.map((w) => (
          <li key={w.user}>
            <span class={`avatar tint-${hue(w.user, 8)}`} aria-hidden="true">{initials(nameOf(w))}</span>
            <span class="name">{nameOf(w)}</span>
            <Decision one={w} />
          </li>
        ))}
      </ul>
      {list.length > 1 && (
        <div class="row">
          <button type="button" class="small primary" onClick={() => void control.admit("all")}>{t("admitAll")}</button>
          <button type="button" class="small secondary" onClick={() => void control.reject("all")}>{t("rejectAll")}</button>
        </div>
      )}
    </section>
  );
}

/** On the stage, as long as the panel is not open. */
export function Knock() {
  const list = control.lobby.value;
  const first = list[0];
  if (!first || !control.can("lobby.admit") || call.panel.value === "people") return null;
  return (
    <div class="knock" role="alert">
      <span>{t("lobbyNote", { name: nameOf(first) })}{list.length > 1 && ` (+${list.length - 1})`}</span>
      <span class="row"><Decision one={first} /></span>
    </div>
  );
}

/** What the person in the lobby sees. */
export function InLobby() {
  return (
    <section class="card end waiting-room" aria-live="polite">
      <span class="spinner" aria-hidden="true" />
      <p class="eyebrow room-name">{call.roomName}</p>
      <h1>{t("inLobby")}</h1>
      <p class="hint">{t(call.held.value === "lobby" ? "inLobbyHint" : "waitModerator")}</p>
      <div class="actions">
        <button type="button" class="secondary" onClick={() => void call.leave()}>{t("lobbyLeave")}</button>
      </div>
    </section>
  );
}
