// Short lines that appear for some seconds, and questions that wait for an answer.

import { signal } from "@preact/signals";
import { ParleyError } from "../sdk";
import { t, type Key } from "./i18n";

export interface Note {
  id: number;
  key: Key;
  text: string;
}

/** What is shown now, oldest first. */
export const notes = signal<Note[]>([]);

const SHOWN_MS = 4_000;
const MOST = 3;
let last = 0;

/** Shows a line for some seconds. */
export function say(key: Key, values: Record<string, string | number> = {}): void {
  const id = ++last;
  notes.value = [...notes.value, { id, key, text: t(key, values) }].slice(-MOST);
  setTimeout(() => (notes.value = notes.value.filter((n) => n.id !== id)), SHOWN_MS);
}

/** Takes lines off that have had their effect. */
export function unsay(key: Key): void {
  notes.value = notes.value.filter((n) => n.key !== key);
}

/** A question before something that cannot be undone. */
export interface Question {
  text: string;
  /** Each is a button; the last one is the strong one. */
  answers: { label: string; danger?: boolean; run: () => void }[];
}

export const question = signal<Question | null>(null);

export function ask(text: string, ...answers: Question["answers"]): void {
  question.value = { text, answers };
}

export function failed(err: unknown): ParleyError {
  return err instanceof ParleyError ? err : new ParleyError({ code: 500, reason: "failed", message: String(err) });
}

const words: Record<string, Key> = { "focus-muted": "stillBlocked", "not-implemented": "notYet", "too-large": "chatTooLong", "e2ee-required": "e2eeCannot", "e2ee-fixed": "e2eeFixed" };

/** Says that a command was refused. */
export function refused(err: unknown): void {
  const e = failed(err);
  if (e.code === 481 || e.code === 200) return; // the room itself tells these
  if (e.code === 501 || e.reason in words) say(words[e.reason] ?? "notYet");
  else say("actionFailed", { reason: e.reason });
}
