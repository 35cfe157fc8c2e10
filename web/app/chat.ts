// The chat of a call as state and actions.

import { signal } from "@preact/signals";
import type { ChatMessage, Room } from "../sdk";
import { nameOfUser, persons } from "./control";
import { refused, say, unsay } from "./notes";

export const messages = signal<readonly ChatMessage[]>([]);
export const unread = signal(0);
/** To whom the next message goes: "" is everyone, else {@link MODERATORS} or a participant. */
export const recipient = signal("");
/** Whether the panel is open; what comes then is read. */
export const open = signal(false);

export const MODERATORS = "moderators";
const addressees = (to: string) => (to === "" ? undefined : to === MODERATORS ? ["role:moderator", "role:owner"] : [to]);

const TYPING_MS = 3_000;
let room: Room | null = null;
let typingUntil = 0;
let typingTimer: ReturnType<typeof setTimeout> | undefined;

export function follow(r: Room): void {
  room = r;
  r.chat.on("messages", ({ all, fresh }) => {
    messages.value = all;
    const others = fresh.filter((m) => m.from !== r.self?.user);
    if (open.value || others.length === 0) return;
    unread.value += others.length;
    const last = others[others.length - 1]!;
    say("chatNote", { name: last.name || nameOfUser(last.from), text: last.text.length > 80 ? `${last.text.slice(0, 79)}…` : last.text });
  });
}

export function read(): void {
  unread.value = 0;
  unsay("chatNote");
}

/** Sends a message; false: it was refused, and the text should stay. */
export async function send(text: string): Promise<boolean> {
  if (!room || !text.trim()) return false;
  try {
    await room.say(text.trim(), addressees(recipient.value));
    stopTyping();
    return true;
  } catch (err) {
    refused(err);
    return false;
  }
}

/** Tells the others that we write, at most once in a while. */
export function typing(): void {
  clearTimeout(typingTimer);
  typingTimer = setTimeout(stopTyping, TYPING_MS);
  if (Date.now() < typingUntil) return;
  typingUntil = Date.now() + TYPING_MS;
  room?.setPresence({ state: "active", typing: true });
}

function stopTyping(): void {
  clearTimeout(typingTimer);
  if (typingUntil === 0) return;
  typingUntil = 0;
  room?.setPresence({ state: "active", typing: false });
}

/** Who writes just now, besides us. */
export function writers(): string[] {
  return persons.value.filter((p) => !p.self && p.presence.typing).map((p) => p.name);
}
