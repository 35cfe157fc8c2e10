// The panel of statistics: graphs of our own connection and of each picture and
// sound that we receive, and the short line on each tile.

import { useEffect, useRef } from "preact/hooks";
import type { CallStats, Person, Series, StreamFigures, StreamOutReport } from "../sdk";
import * as call from "./call";
import * as control from "./control";
import { line, millis, percent, rate, top, whole } from "./graph";
import { t, type Key } from "./i18n";
import { Panel } from "./panel";
import * as stats from "./stats";

interface Curve {
  label: string;
  series: Series;
}

const [W, H] = [280, 64];
const [LEAST_MS, MOST_MS] = [20_000, 120_000];

/** How far back graphs go: as far as there is something, within bounds. */
function span(curves: Curve[], now: number): number {
  const first = Math.min(now, ...curves.map((c) => c.series.points[0]?.at ?? now));
  return Math.min(MOST_MS, Math.max(LEAST_MS, now - first));
}

/** Lines over the last two minutes at most. Colours and dashes tell them apart, the words below say the same. */
function Graph({ title, curves, write, least }: { title: string; curves: Curve[]; write: (v: number | null) => string; least: number }) {
  const now = performance.now();
  const back = span(curves, now);
  const high = top(Math.max(...curves.map((c) => c.series.most ?? 0)), least);
  const words = curves.map((c) => t("statsNow", { name: c.label, now: write(c.series.last), most: write(c.series.most) })).join(" ");
  return (
    <figure class="graph" data-graph={title}>
      <figcaption>
        <span>{title}</span>
        <span class="scale" aria-hidden="true">{write(high)}</span>
      </figcaption>
      <svg viewBox={`0 0 ${W} ${H}`} preserveAspectRatio="none" role="img" aria-label={`${title}. ${words}`}>
        <path class="axis" d={`M0 .5H${W}M0 ${H / 2}H${W}M0 ${H - 0.5}H${W}`} />
        {curves.map((c, i) => (
          <path key={c.label} class={`curve c${i}`} d={line(c.series.points, now, back, high, W, H)} />
        ))}
      </svg>
      <ul class="legend" aria-hidden="true">
        {curves.map((c, i) => (
          <li key={c.label}>
            <svg class="key" viewBox="0 0 20 4"><path class={`curve c${i}`} d="M0 2H20" /></svg>
            {c.label} <b>{write(c.series.last)}</b>
          </li>
        ))}
      </ul>
    </figure>
  );
}

function Score({ value, label }: { value: number; label: string }) {
  if (value <= 0) return null;
  return (
    <div>
      <dt>{label}</dt>
      <dd><meter min={1} max={5} low={2.5} high={3.8} optimum={5} value={value} aria-hidden="true" /> {t("statsScoreOf", { n: value.toFixed(1) })}</dd>
    </div>
  );
}

function Own({ figures: f }: { figures: CallStats }) {
  void call.statsTick.value; // the figures change within the same object
  return (
    <section class="box own-stats" aria-label={t("statsOwn")}>
      <h3>{t("statsOwn")}</h3>
      <dl class="figures">
        <Score value={f.scoreOut} label={t("statsScoreDown")} />
        <Score value={f.scoreIn} label={t("statsScoreUp")} />
      </dl>
      <Graph title={t("statsDown")} write={rate} least={100_000} curves={[{ label: t("statsReceived"), series: f.received }, { label: t("statsEstimate"), series: f.estimate }]} />
      <Graph title={t("statsUp")} write={rate} least={100_000} curves={[{ label: t("statsSent"), series: f.sent }, { label: t("statsAvailable"), series: f.available }]} />
      <Graph title={t("roundTrip")} write={millis} least={50} curves={[{ label: t("roundTrip"), series: f.rtt }]} />
      <Graph title={t("lossOf")} write={percent} least={0.02} curves={[{ label: t("statsLossDown"), series: f.lossDown }, { label: t("statsLossUp"), series: f.lossUp }]} />
    </section>
  );
}

const states: Record<string, Key> = {
  flowing: "statsFlowing", frozen: "statsFrozen", waiting: "statsWaiting", paused: "statsPaused", held: "statsHeld", idle: "statsIdle",
};

/** "Layer 2 of 3"; nothing where there is only one. */
function layerOf(s: StreamOutReport | null): string {
  if (!s || s.encoding < 0) return "";
  const n = Math.max(s.encoding, s.spatial) + 1;
  const of = Math.max(s.encodings ?? 1, n);
  return of > 1 ? t("statsLayer", { n, of }) : "";
}

const sources: Record<string, Key> = { camera: "camera", microphone: "microphone", screen: "statsScreen", screenAudio: "statsScreenSound" };

function Stream({ id, source, figures: f }: { id: string; source: string; figures: StreamFigures }) {
  void call.statsTick.value;
  const video = f.kind === "video";
  const title = sources[source] ? t(sources[source]!) : t(video ? "camera" : "microphone");
  const s = f.server;
  const facts: [Key, string][] = [];
  if (s && states[s.state]) facts.push(["statsState", t(states[s.state]!)]);
  if (video && f.width && f.height.last) facts.push(["statsSize", `${f.width} × ${whole(f.height.last)}`]);
  const layer = layerOf(s);
  if (video && layer) facts.push(["statsShown", layer]);
  if (f.codec) facts.push(["statsCodec", f.codec]);
  if (f.jitterMs !== null) facts.push(["statsJitter", millis(f.jitterMs)]);
  if (video) facts.push(["statsFreezes", String(f.freezes)]);
  return (
    <div class="stream-stats" data-track={id}>
      <h4>{title}</h4>
      <dl class="figures">
        <Score value={s?.score ?? 0} label={t("statsScore")} />
        {facts.map(([key, value]) => (
          <div key={key}><dt>{t(key)}</dt><dd>{value}</dd></div>
        ))}
      </dl>
      <Graph title={t("statsRate")} write={rate} least={video ? 100_000 : 20_000} curves={[{ label: t("statsRate"), series: f.rate }]} />
      {video && <Graph title={t("statsPicture")} write={whole} least={180} curves={[{ label: t("statsHeight"), series: f.height }]} />}
      {video && <Graph title={t("statsFps")} write={whole} least={30} curves={[{ label: t("statsFps"), series: f.fps }]} />}
      <Graph title={t("lossOf")} write={percent} least={0.02} curves={[{ label: t("lossOf"), series: f.loss }]} />
    </div>
  );
}

interface Received {
  id: string;
  source: string;
  figures: StreamFigures;
}

/** What we receive of a person, pictures first. */
function streamsOf(p: Person, all: ReadonlyMap<string, StreamFigures>): Received[] {
  const out: Received[] = [];
  for (const d of p.devices) {
    for (const x of d.tracks) {
      const figures = all.get(x.id);
      if (figures) out.push({ id: x.id, source: x.source ?? "", figures });
    }
  }
  return out.sort((a, b) => Number(b.figures.kind === "video") - Number(a.figures.kind === "video"));
}

/** Sections that carry several people: a mix, or one after another. */
function sharedStreams(all: ReadonlyMap<string, StreamFigures>): Received[] {
  return [...all].filter(([id]) => id.startsWith("mix:") || id.startsWith("slot:")).map(([id, figures]) => ({ id, source: "", figures }));
}

function Group({ name, list }: { name: string; list: Received[] }) {
  if (list.length === 0) return null;
  return (
    <details class="box person-stats" open>
      <summary>{name}</summary>
      {list.map((x) => <Stream key={x.id} id={x.id} source={x.source} figures={x.figures} />)}
    </details>
  );
}

export function StatsPanel() {
  const ref = useRef<HTMLDivElement>(null);
  useEffect(() => ref.current!.focus({ preventScroll: true }), []);
  const f = stats.figures();
  const close = (e: KeyboardEvent) => {
    if (e.key === "Escape") call.panel.value = null;
  };
  return (
    <Panel title={t("statistics")} extra="stats">
      <div ref={ref} class="stats-body" tabIndex={-1} onKeyDown={close}>
        {!f || f.rtt.points.length === 0 ? <p class="hint">{t("statsNone")}</p> : <Own figures={f} />}
        {f && control.here.value.filter((p) => !p.self).map((p) => <Group key={p.user} name={p.name || t("guest")} list={streamsOf(p, f.streams)} />)}
        {f && <Group name={t("composed")} list={sharedStreams(f.streams)} />}
      </div>
    </Panel>
  );
}

/** On a tile, while the panel is open: what arrives of it. */
export function TileStats({ track }: { track: string | null | undefined }) {
  if (call.panel.value !== "stats" || !track) return null;
  const f = stats.figures()?.streams.get(track);
  if (!f) return null;
  const parts = [f.height.last && f.width ? `${f.width}×${whole(f.height.last)}` : "", f.fps.last !== null ? t("statsPerSecond", { n: whole(f.fps.last) }) : "", rate(f.rate.last), layerOf(f.server)];
  return <span class="tile-stats" aria-hidden="true">{parts.filter(Boolean).join(" · ")}</span>;
}
