// The frame of a side panel. On a phone it covers the stage.

import type { ComponentChildren } from "preact";
import * as call from "./call";
import { t } from "./i18n";
import { Close } from "./icons";

export function Panel({ title, extra, children }: { title: string; extra?: string; children: ComponentChildren }) {
  return (
    <aside class={`panel ${extra ?? ""}`.trim()} aria-label={title}>
      <header>
        <h2>{title}</h2>
        <button type="button" class="plain" aria-label={t("close")} onClick={() => (call.panel.value = null)}>
          <Close />
        </button>
      </header>
      {children}
    </aside>
  );
}
