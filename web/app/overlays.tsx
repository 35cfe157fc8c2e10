// What lies over a call: banners, badges, questions and short lines.

import { useEffect, useRef, useState } from "preact/hooks";
import * as call from "./call";
import * as control from "./control";
import { t } from "./i18n";
import { Door, Lock } from "./icons";
import { notes, question } from "./notes";
import { seal, SealBadge } from "./security";

/** Short lines, spoken by screen readers as they come. */
export function Notes() {
  return (
    <div class="note" role="status" aria-live="polite">
      {notes.value.map((n) => (
        <span key={n.id}>{n.text}</span>
      ))}
    </div>
  );
}

/** A question that needs an answer before anything else. */
export function Question() {
  const ref = useRef<HTMLDialogElement>(null);
  const q = question.value;
  useEffect(() => {
    if (q && !ref.current?.open) ref.current?.showModal();
  }, [q]);
  if (!q) return null;
  const close = () => (question.value = null);
  return (
    <dialog ref={ref} class="dialog question" aria-labelledby="question-text" onClose={close}>
      <p id="question-text">{q.text}</p>
      <div class="actions">
        <button type="button" class="secondary" onClick={close}>{t("cancel")}</button>
        {q.answers.map((a) => (
          <button key={a.label} type="button" class={a.danger ? "primary danger" : "primary"} onClick={() => (close(), a.run())}>{a.label}</button>
        ))}
      </div>
    </dialog>
  );
}

/** A moderator asks us to open the microphone or the camera. */
export function Asks() {
  const a = control.asks.value[0];
  if (!a) return null;
  const key = a.source === "camera" ? "videoAsk" : "unmuteAsk";
  const open = t(a.source === "camera" ? "startVideo" : "unmute");
  return (
    <div class="knock ask" role="alertdialog" aria-label={t(key, { name: a.by })}>
      <span>{t(key, { name: a.by })}</span>
      <span class="row">
        <button type="button" class="small primary" aria-label={t("accept")} onClick={() => void call.answerAsk(a.track, a.source, true)}>{open}</button>
        <button type="button" class="small secondary" onClick={() => void call.answerAsk(a.track, a.source, false)}>{t("decline")}</button>
      </span>
    </div>
  );
}

/** Lines at the top: lost connection, breakout room, the coming end. */
export function Banners() {
  const away = call.roomState.value === "reconnecting";
  const moving = call.roomState.value === "moving";
  const silent = !moving && (call.connection.value === "failed" || call.connection.value === "disconnected");
  const room = control.breakout.value;
  return (
    <div class="banners">
      {(away || silent) && <div class="banner" role="alert">{t(!away ? "mediaLost" : call.draining.value ? "restarting" : "reconnecting")}</div>}
      {moving && <div class="banner" role="status">{t("moving")}</div>}
      {room !== null && !moving && (
        <div class="banner sidebar" role="status">
          <span>{t("inBreakout", { name: room })}</span>
          <button type="button" class="small primary" onClick={() => void control.returnHome()}><Door /> {t("returnMain")}</button>
        </div>
      )}
      <Countdown />
    </div>
  );
}

function Countdown() {
  const end = control.ending.value;
  const [, tick] = useState(0);
  useEffect(() => {
    if (end === null) return;
    const timer = setInterval(() => tick((n) => n + 1), 500);
    return () => clearInterval(timer);
  }, [end]);
  if (end === null) return null;
  const s = Math.max(0, Math.round((end - Date.now()) / 1000));
  return <div class="banner" role="timer">{t("endsIn", { time: `${Math.floor(s / 60)}:${String(s % 60).padStart(2, "0")}` })}</div>;
}

/** Marks on the stage that hold for the whole meeting. */
export function Badges() {
  if (!control.recording.value && !control.locked.value && !seal.value) return null;
  return (
    <div class="badges">
      <SealBadge />
      {control.recording.value && <span class="badge rec" role="status"><i aria-hidden="true" />{t("recording")}</span>}
      {control.locked.value && <span class="badge" role="img" aria-label={t("lockedMark")} title={t("lockedMark")}><Lock /></span>}
    </div>
  );
}
