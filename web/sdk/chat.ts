// The chat of a conference: history from "subscribe chat", then each message as
// it comes, once and in the server's order.

import type { ChatMessage } from "./commands";
import { Emitter } from "./emitter";
import type { Notify } from "./protocol";

export interface ChatEvents {
  /** The list changed; fresh are those that came just now (no history). */
  messages: { all: readonly ChatMessage[]; fresh: readonly ChatMessage[] };
}

const KEPT = 2_000; // messages of one conference in memory

/** Made by {@link Room}. */
export class Chat extends Emitter<ChatEvents> {
  messages: readonly ChatMessage[] = [];

  /** Takes a notification of package chat, or the event chat.message of any package. */
  receive(n: Pick<Notify, "event" | "body">): void {
    if (n.event === "chat.message") this.add([n.body as ChatMessage], true);
    else if (!n.event) this.add(historyOf(n.body), false);
  }

  /** Forgets everything: another conference begins. */
  clear(): void {
    this.messages = [];
    this.emit("messages", { all: this.messages, fresh: [] });
  }

  private add(list: ChatMessage[], live: boolean): void {
    const known = new Set(this.messages.map((m) => m.id));
    const fresh = list.filter((m) => m && typeof m.id === "string" && typeof m.text === "string" && !known.has(m.id));
    if (fresh.length === 0) return;
    const byTime = (a: ChatMessage, b: ChatMessage) => (a.at < b.at ? -1 : a.at > b.at ? 1 : 0);
    this.messages = [...this.messages, ...fresh].sort(byTime).slice(-KEPT);
    this.emit("messages", { all: this.messages, fresh: live ? fresh : [] });
  }
}

function historyOf(body: unknown): ChatMessage[] {
  if (Array.isArray(body)) return body as ChatMessage[];
  const list = (body as { messages?: unknown } | null)?.messages;
  return Array.isArray(list) ? (list as ChatMessage[]) : [];
}
