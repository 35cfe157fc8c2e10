// What this browser remembers between calls.

import { safeStorage } from "../sdk";

type Pref = "name" | "lang" | "camera" | "microphone" | "speaker" | "layout" | "micOn" | "camOn" | "hide";

const store = safeStorage("localStorage");

export const prefs = {
  get(key: Pref): string | undefined {
    return store?.getItem(`parley.pref.${key}`) ?? undefined;
  },
  set(key: Pref, value: string): void {
    try {
      store?.setItem(`parley.pref.${key}`, value);
    } catch {
      // Full or forbidden: the preference lasts as long as the page.
    }
  },
};
