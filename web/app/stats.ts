// The panel of statistics: when it is open, and the key that opens it.

import { effect } from "@preact/signals";
import type { CallStats } from "../sdk";
import * as call from "./call";

/** The key that opens and closes the panel: with a modifier, so that no speech input hits it. */
export const SHORTCUT = "Alt+S";

/** The figures, while the panel is open. Reading them draws again with new ones. */
export function figures(): CallStats | null {
  void call.statsTick.value;
  return call.currentRoom()?.stats.figures ?? null;
}

export function toggle(): void {
  call.panel.value = call.panel.value === "stats" ? null : "stats";
}

/** During a call: what is measured follows what is looked at, and keys are heard. Returns how to end it. */
export function attend(): () => void {
  const still = effect(() => call.currentRoom()?.stats.watch(call.panel.value === "stats"));
  const deaf = listenForKeys();
  return () => {
    still();
    deaf();
    call.currentRoom()?.stats.watch(false);
  };
}

/** Alt+S, by the place of the key: with Option a Mac makes another letter of it. */
function listenForKeys(): () => void {
  const onKey = (e: KeyboardEvent) => {
    if (e.code !== "KeyS" || !e.altKey || e.ctrlKey || e.metaKey || e.shiftKey || e.repeat) return;
    e.preventDefault();
    toggle();
  };
  addEventListener("keydown", onKey);
  return () => removeEventListener("keydown", onKey);
}
