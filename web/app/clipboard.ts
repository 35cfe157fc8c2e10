// Copying a text, also where the browser has no clipboard for pages over plain HTTP.

import { t, type Key } from "./i18n";
import { say } from "./notes";

/** Copies a text and says so; as the last resort it is shown for copying by hand. */
export async function copyText(text: string, done: Key = "copied"): Promise<void> {
  try {
    await navigator.clipboard.writeText(text);
  } catch {
    if (!byHand(text)) {
      window.prompt(t("copyFailed"), text);
      return;
    }
  }
  say(done);
}

function byHand(text: string): boolean {
  const area = document.createElement("textarea");
  area.value = text;
  area.className = "offscreen";
  document.body.append(area);
  area.select();
  const ok = document.execCommand("copy");
  area.remove();
  return ok;
}
