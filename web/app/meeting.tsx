// What may be done about the whole meeting, in the panel of people.

import { useEffect, useState } from "preact/hooks";
import * as control from "./control";
import { t } from "./i18n";
import { breakoutsOpen } from "./breakouts";
import { Lock, MicOff, Rooms, Unlock } from "./icons";
import { ask } from "./notes";
import { TopologyOfRoom } from "./topology";

export function MeetingTools() {
  const moderates = control.isAtLeast("moderator");
  const rooms = control.can("sidebar.create");
  if (!moderates && !rooms) return null;
  const locked = control.locked.value;
  const end = () =>
    ask(t("endForAllAsk"), { label: t("endIn"), run: () => void control.endForAll(60) }, { label: t("endNow"), danger: true, run: () => void control.endForAll(0) });
  return (
    <section class="box" aria-label={t("meetingTools")}>
      <h3>{t("meetingTools")}</h3>
      <div class="tools">
        {moderates && <button type="button" class="tool" onClick={() => void control.muteAll()}><MicOff /> {t("muteAll")}</button>}
        {moderates && control.allMuted.value && <button type="button" class="tool" onClick={() => void control.liftMute()}>{t("liftMute")}</button>}
        {moderates && (
          <button type="button" class="tool" onClick={() => void control.toggleLock()}>
            {locked ? <Unlock /> : <Lock />} {t(locked ? "unlockRoom" : "lockRoom")}
          </button>
        )}
        {rooms && control.breakout.value === null && <button type="button" class="tool" onClick={() => (breakoutsOpen.value = true)}><Rooms /> {t("breakouts")}</button>}
        {control.can("recording.start") && !control.policy.value.e2ee && <button type="button" class="tool" onClick={() => void control.toggleRecording()}>{t(control.recording.value ? "stopRecording" : "startRecording")}</button>}
        {moderates && control.ending.value === null && <button type="button" class="tool danger" onClick={end}>{t("endForAll")}</button>}
      </div>
      {moderates && <LobbySwitch />}
      {moderates && <Selection of="lastN" title={t("camerasAtMost")} hint={t("camerasAtMostHint")} numbers={[1, 2, 4, 6, 9, 16, 25, 49]} />}
      {moderates && <Selection of="loudestK" title={t("voicesAtMost")} numbers={[2, 3, 5, 8, 12]} />}
      {control.can("conference.setTopology") && <TopologyOfRoom />}
    </section>
  );
}

/** Shows what was chosen at once; the document, or a refusal, has the last word. */
function LobbySwitch() {
  const said = control.policy.value.lobby ?? false;
  const [chosen, choose] = useState<boolean | null>(null);
  useEffect(() => choose(null), [said]);
  const set = async (to: boolean) => {
    choose(to);
    if (!(await control.setPolicy({ lobby: to }))) choose(null);
  };
  return (
    <label class="check">
      <input type="checkbox" checked={chosen ?? said} onChange={(e) => void set(e.currentTarget.checked)} />
      {t("lobbyOn")}
    </label>
  );
}

/** How many of a kind each receiver gets at most. Shows what was chosen at once, as above. */
function Selection({ of, title, hint, numbers }: { of: "lastN" | "loudestK"; title: string; hint?: string; numbers: number[] }) {
  const said = control.policy.value[of] ?? 0;
  const [chosen, choose] = useState<number | null>(null);
  useEffect(() => choose(null), [said]);
  const shown = chosen ?? said;
  const set = async (to: number) => {
    choose(to);
    if (!(await control.setPolicy({ [of]: to }))) choose(null);
  };
  const list = numbers.includes(shown) || shown === 0 ? numbers : [...numbers, shown].sort((a, b) => a - b);
  return (
    <div class="selection">
      <label class="field">
        <span>{title}</span>
        <select aria-label={title} aria-describedby={hint && `selection-${of}`} value={String(shown)} onChange={(e) => void set(Number(e.currentTarget.value))}>
          <option value="0">{t("allOfThem")}</option>
          {list.map((n) => (
            <option key={n} value={String(n)}>{n}</option>
          ))}
        </select>
      </label>
      {hint && <p class="hint" id={`selection-${of}`}>{hint}</p>}
    </div>
  );
}
