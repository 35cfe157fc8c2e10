// Texts in two languages, and which of them is shown.

import { signal } from "@preact/signals";
import { prefs } from "./prefs";
import { en, type Key } from "./texts-en";
import { zh } from "./texts-zh";

export type { Key } from "./texts-en";

export type Lang = "en" | "zh";
export const languages: { id: Lang; name: string }[] = [
  { id: "en", name: "English" },
  { id: "zh", name: "简体中文" },
];

function detect(): Lang {
  const kept = prefs.get("lang");
  if (kept === "en" || kept === "zh") return kept;
  return (navigator.languages?.[0] ?? navigator.language ?? "en").toLowerCase().startsWith("zh") ? "zh" : "en";
}

export const lang = signal<Lang>(detect());

export function setLang(l: Lang): void {
  lang.value = l;
  prefs.set("lang", l);
}

lang.subscribe((l) => {
  document.documentElement.lang = l === "zh" ? "zh-CN" : "en";
});

/** The text of a key in the chosen language, with {placeholders} filled in. */
export function t(key: Key, values: Record<string, string | number> = {}): string {
  const text = (lang.value === "zh" ? zh : en)[key];
  return text.replace(/\{(\w+)\}/g, (_, name: string) => String(values[name] ?? ""));
}
