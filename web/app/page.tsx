// The frame of a page outside of a call.

import type { ComponentChildren } from "preact";
import { Notes, Question } from "./overlays";
import { Language } from "./panels";

export function Page({ children, wide }: { children: ComponentChildren; wide?: boolean }) {
  return (
    <div class="page">
      <header class="top">
        <a class="brand" href="/">
          <img src="/favicon.svg" alt="" width="28" height="28" />
          Parley
        </a>
        <Language />
      </header>
      <main class={wide ? "center wide" : "center"}>{children}</main>
      <Question />
      <Notes />
    </div>
  );
}
