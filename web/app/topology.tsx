// The choice of how media flows, for the room and for one person, in words; and
// the way that it takes now.

import { useEffect, useState } from "preact/hooks";
import { ParleyError, topologies, type Path, type Person, type Topology } from "../sdk";
import * as call from "./call";
import * as control from "./control";
import { t, type Key } from "./i18n";
import { ask, refused } from "./notes";

/** What the standards advise against (RFC 7667, RFC 8834): chosen only after a question. */
const discouraged = new Set<string>(["relay", "video-switching-mcu", "asymmetric"]);

/** What a server without keys can do. */
const blind = new Set<string>(["auto", "sfu", "switch"]);

const names: Record<string, Key> = {
  auto: "topoAuto", sfu: "topoSfu", mesh: "topoMesh", mixer: "topoMixer", switch: "topoSwitch", hybrid: "topoHybrid", translator: "topoTranslator",
  "rtcp-terminating-mcu": "topoTerminating", multicast: "topoMulticast", relay: "topoRelay", "video-switching-mcu": "topoVideoSwitching", asymmetric: "topoAsymmetric",
};

const hints: Record<string, Key> = {
  auto: "topoAutoHint", sfu: "topoSfuHint", mesh: "topoMeshHint", mixer: "topoMixerHint", switch: "topoSwitchHint", hybrid: "topoHybridHint", translator: "topoTranslatorHint",
  "rtcp-terminating-mcu": "topoTerminatingHint", multicast: "topoMulticastHint", relay: "topoRelayHint", "video-switching-mcu": "topoVideoSwitchingHint",
  asymmetric: "topoAsymmetricHint",
};

export function topologyName(name: string): string {
  const key = names[name];
  return key ? t(key) : name;
}

function label(name: string): string {
  return discouraged.has(name) ? t("topoDiscouraged", { name: topologyName(name) }) : topologyName(name);
}

interface Scope {
  part?: string;
  name?: string;
}

/** Gives the command; tells what is missing, and asks before what is advised against. */
async function choose(to: Topology | "", scope: Scope, allowDiscouraged = false): Promise<boolean> {
  const room = call.currentRoom();
  if (!room) return false;
  try {
    await room.moderation.setTopology(to, { part: scope.part, allowDiscouraged: allowDiscouraged || undefined });
    return true;
  } catch (err) {
    if (err instanceof ParleyError && err.code === 503 && err.reason === "codec-missing") {
      ask(t("topoMissing", { name: topologyName(to), what: err.message }), { label: t("understood"), run: () => undefined });
    } else if (err instanceof ParleyError && err.reason === "topology-discouraged") confirm(to, scope, String(err.data["recommended"] ?? ""));
    else refused(err);
    return false;
  }
}

function confirm(to: Topology, scope: Scope, better: string): void {
  const text = better ? t("topoAskBetter", { name: topologyName(to), better: topologyName(better) }) : t("topoAsk", { name: topologyName(to) });
  ask(text, { label: t("topoAnyway"), danger: true, run: () => void choose(to, scope, true) });
}

/** Shows what was chosen at once; the document, or a refusal, has the last word. */
function Choice({ now, scope, title, none }: { now: string; scope: Scope; title: string; none?: string }) {
  const [chosen, setChosen] = useState<string | null>(null);
  useEffect(() => setChosen(null), [now]);
  const shown = chosen ?? now;
  const id = `topology-${scope.part ?? "room"}`;
  const set = async (to: string) => {
    if (discouraged.has(to)) {
      confirm(to, scope, "");
      return;
    }
    setChosen(to);
    if (!(await choose(to, scope))) setChosen(null);
  };
  return (
    <div class="topology">
      <label class="field">
        <span>{title}</span>
        <select aria-label={title} aria-describedby={id} value={shown} onChange={(e) => (void set(e.currentTarget.value), (e.currentTarget.value = shown))}>
          {none !== undefined && <option value="">{none}</option>}
          {topologies.filter((x) => x === shown || !control.policy.value.e2ee || blind.has(x)).map((x) => (
            <option key={x} value={x}>{label(x)}</option>
          ))}
        </select>
      </label>
      <p class="hint" id={id}>{shown ? (hints[shown] ? t(hints[shown]!) : "") : t("topoNoneHint")}</p>
    </div>
  );
}

/** The room's, for those who moderate it. */
export function TopologyOfRoom() {
  const { name, lacking } = control.topology.value;
  return (
    <>
      <Choice now={name} scope={{}} title={t("topology")} />
      {lacking && <p class="hint warn" role="note">{t("topoLacking", { what: lacking })}</p>}
    </>
  );
}

/** One person's. */
export function TopologyOf({ person: p }: { person: Person }) {
  const own = p.devices.find((d) => d.topology)?.topology ?? "";
  return <Choice now={own} scope={{ part: p.part, name: p.name }} title={t("topologyOf")} none={t("topoAsRoom")} />;
}

const paths: Record<Path, Key> = { direct: "pathDirect", server: "pathServer", mixed: "pathMixed", none: "pathNone" };

/** The way that media takes now, in words. */
export function PathLine() {
  return <span class="path" data-path={call.path.value}>{t(paths[call.path.value])}</span>;
}
