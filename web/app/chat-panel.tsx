// The chat panel.

import { useEffect, useRef, useState } from "preact/hooks";
import type { ChatMessage } from "../sdk";
import * as chat from "./chat";
import * as control from "./control";
import { lang, t } from "./i18n";
import { Send } from "./icons";
import { Panel } from "./panel";
import { seal } from "./security";

export function ChatPanel() {
  const list = chat.messages.value;
  const end = useRef<HTMLLIElement>(null);
  useEffect(() => end.current?.scrollIntoView({ block: "end" }), [list.length]);
  const writers = chat.writers();
  return (
    <Panel title={t("chat")} extra="chat">
      <ol class="messages" aria-live="polite">
        {list.length === 0 && <li class="hint">{t("chatEmpty")}</li>}
        {list.map((m) => (
          <Message key={m.id} message={m} />
        ))}
        <li ref={end} class="end-mark" aria-hidden="true" />
      </ol>
      {seal.value && <p class="hint">{t("chatClear")}</p>}
      <p class="hint typing" aria-live="off">{writers.length > 0 && t("typing", { name: writers.slice(0, 3).join(", ") })}</p>
      {control.can("chat.send") ? <Compose /> : <p class="hint">{t("chatForbidden")}</p>}
    </Panel>
  );
}

function clock(at: string): string {
  const d = new Date(at);
  return Number.isNaN(d.getTime()) ? "" : d.toLocaleTimeString(lang.value === "zh" ? "zh-CN" : undefined, { hour: "2-digit", minute: "2-digit" });
}

function Message({ message: m }: { message: ChatMessage }) {
  const mine = m.from === control.me.value?.user;
  const secret = (m.to ?? []).length > 0;
  return (
    <li class={`message${mine ? " mine" : ""}${secret ? " secret" : ""}`}>
      <span class="meta">
        <b>{mine ? t("you") : m.name || t("guest")}</b>
        {secret && <em>{mine ? t("chatPrivateTo", { name: addressees(m.to!) }) : t("chatPrivate")}</em>}
        <time dateTime={m.at}>{clock(m.at)}</time>
      </span>
      <span class="text">{m.text}</span>
    </li>
  );
}

function addressees(to: string[]): string {
  if (to.some((x) => x.startsWith("role:"))) return t("chatModerators");
  return to.map((x) => control.persons.value.find((p) => p.part === x)?.name || t("guest")).join(", ");
}

function Compose() {
  const [text, setText] = useState("");
  const box = useRef<HTMLTextAreaElement>(null);
  useEffect(() => box.current?.focus(), []);
  const others = control.persons.value.filter((p) => !p.self && !p.held && p.part);
  const to = chat.recipient.value;
  // Who has left stays chosen: what was meant for one must not go to all unseen.
  const known = to === "" || to === chat.MODERATORS || others.some((p) => p.part === to);
  const send = async () => {
    if (known && (await chat.send(text))) setText("");
  };
  const onKey = (e: KeyboardEvent) => {
    if (e.key !== "Enter" || e.shiftKey || e.isComposing) return;
    e.preventDefault();
    void send();
  };
  return (
    <form class="compose" onSubmit={(e) => (e.preventDefault(), void send())}>
      <label class="field inline">
        <span>{t("chatTo")}</span>
        <select aria-label={t("chatTo")} value={to} onChange={(e) => (chat.recipient.value = e.currentTarget.value)}>
          <option value="">{t("chatAll")}</option>
          {!control.isAtLeast("moderator") && <option value={chat.MODERATORS}>{t("chatModerators")}</option>}
          {others.map((p) => (
            <option key={p.part} value={p.part}>{p.name || t("guest")}</option>
          ))}
          {!known && <option value={to} disabled>–</option>}
        </select>
      </label>
      <div class="row">
        <textarea
          ref={box} rows={2} maxLength={4000} value={text} placeholder={t("chatPlaceholder")} aria-label={t("chatPlaceholder")}
          onInput={(e) => (setText(e.currentTarget.value), chat.typing())} onKeyDown={onKey}
        />
        <button type="submit" class="primary send" aria-label={t("chatSend")} disabled={!known || !text.trim()}>
          <Send />
        </button>
      </div>
    </form>
  );
}
