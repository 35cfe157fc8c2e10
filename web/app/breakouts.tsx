// Breakout rooms: planned by dragging people or choosing beside the name, opened
// together, then watched: people are moved and rooms closed one by one or all.

import { signal } from "@preact/signals";
import { useEffect, useRef } from "preact/hooks";
import type { Person, Sidebar } from "../sdk";
import * as control from "./control";
import { t } from "./i18n";
import { Close } from "./icons";
import { nameOfPerson } from "./people";

export const breakoutsOpen = signal(false);

const MOST = 20;
const count = signal(2);
/** Room of each person by user, 0 is the main room. */
const plan = signal<Record<string, number>>({});

/** Spreads people evenly over n rooms, in an order of chance. */
export function shuffle(users: string[], n: number, random: () => number = Math.random): Record<string, number> {
  const order = users.map((user) => ({ user, at: random() })).sort((a, b) => a.at - b.at);
  return Object.fromEntries(order.map((x, i) => [x.user, 1 + (i % n)]));
}

export function Breakouts() {
  const ref = useRef<HTMLDialogElement>(null);
  const open = breakoutsOpen.value;
  useEffect(() => {
    if (open && !ref.current?.open) ref.current?.showModal();
    if (!open) ref.current?.close();
  }, [open]);
  if (!open) return null;
  const running = control.sidebars.value.length > 0;
  return (
    <dialog ref={ref} class="dialog breakouts" aria-labelledby="breakouts-title" onClose={() => (breakoutsOpen.value = false)}>
      <header>
        <h2 id="breakouts-title">{t("breakouts")}</h2>
        <button type="button" class="plain" aria-label={t("close")} onClick={() => (breakoutsOpen.value = false)}>
          <Close />
        </button>
      </header>
      {running ? <Running /> : <Planning />}
    </dialog>
  );
}

const others = () => control.persons.value.filter((p) => !p.self && p.part !== "");

// ---- before

function Planning() {
  const n = count.value;
  const names = Array.from({ length: n }, (_, i) => t("breakoutName", { n: i + 1 }));
  const roomOf = (p: Person) => Math.min(plan.value[p.user] ?? 0, n);
  const open = () => control.openRooms(names.map((title, i) => ({ title, parts: others().filter((p) => roomOf(p) === i + 1).map((p) => p.part) })));
  const put = (user: string, room: number) => (plan.value = { ...plan.value, [user]: room });
  return (
    <>
      <p class="hint">{t("breakoutsHint")}</p>
      <div class="row">
        <label class="field inline">
          <span>{t("breakoutCount")}</span>
          <input type="number" aria-label={t("breakoutCount")} min={1} max={MOST} value={n} onInput={(e) => (count.value = Math.min(MOST, Math.max(1, Math.floor(e.currentTarget.valueAsNumber) || 1)))} />
        </label>
        <button type="button" class="small secondary" onClick={() => (plan.value = shuffle(others().map((p) => p.user), n))}>{t("breakoutShuffle")}</button>
      </div>
      <div class="rooms">
        {[t("breakoutMain"), ...names].map((name, i) => (
          <Column key={i} name={name} drop={(user) => put(user, i)}>
            {others().filter((p) => roomOf(p) === i).map((p) => (
              <Chip key={p.user} person={p} value={String(i)} rooms={[t("breakoutMain"), ...names].map((label, j) => ({ value: String(j), label }))} choose={(v) => put(p.user, Number(v))} />
            ))}
          </Column>
        ))}
      </div>
      <div class="actions">
        <button type="button" class="primary" onClick={() => void open()}>{t("breakoutOpen")}</button>
      </div>
    </>
  );
}

// ---- while they are open

const MAIN = "";

function Running() {
  const rooms = control.sidebars.value;
  const inside = new Map<string, string>();
  for (const s of rooms) for (const p of s.people ?? []) inside.set(p.user, s.uri);
  const choices = [{ value: MAIN, label: t("breakoutMain") }, ...rooms.map((s) => ({ value: s.uri, label: s.title }))];
  const put = (p: Person | undefined, uri: string) => {
    if (p && (inside.get(p.user) ?? MAIN) !== uri) void control.move(p.part, uri);
  };
  const byUser = (user: string) => others().find((p) => p.user === user);
  return (
    <>
      <p class="hint">{t("breakoutsHint")}</p>
      <div class="rooms">
        <Column name={t("breakoutMain")} drop={(user) => put(byUser(user), MAIN)}>
          {others().filter((p) => !inside.has(p.user)).map((p) => (
            <Chip key={p.user} person={p} value={MAIN} rooms={choices} choose={(v) => put(p, v)} />
          ))}
        </Column>
        {rooms.map((s) => (
          <Column key={s.uri} name={s.title} drop={(user) => put(byUser(user), s.uri)} tools={<RoomTools room={s} />}>
            {(s.people ?? []).map((inside) => {
              const p = byUser(inside.user);
              return p && <Chip key={p.user} person={p} value={s.uri} rooms={choices} choose={(v) => put(p, v)} />;
            })}
          </Column>
        ))}
      </div>
      <div class="actions">
        <button type="button" class="primary danger" onClick={() => void control.closeRooms()}>{t("breakoutEndAll")}</button>
      </div>
    </>
  );
}

function RoomTools({ room }: { room: Sidebar }) {
  const enter = () => {
    breakoutsOpen.value = false;
    void control.enterRoom(room.uri);
  };
  return (
    <span class="row">
      <button type="button" class="small secondary" aria-label={t("breakoutEnterOne", { name: room.title })} onClick={enter}>{t("breakoutEnter")}</button>
      <button type="button" class="small secondary" aria-label={t("breakoutEndOne", { name: room.title })} onClick={() => void control.closeRoom(room.uri)}>{t("breakoutEnd")}</button>
    </span>
  );
}

// ---- parts

const TYPE = "application/x-parley-user";

function Column({ name, drop, tools, children }: { name: string; drop: (user: string) => void; tools?: preact.ComponentChildren; children: preact.ComponentChildren }) {
  const ref = useRef<HTMLElement>(null);
  const mark = (on: boolean) => ref.current?.classList.toggle("over", on);
  const onDragOver = (e: DragEvent) => {
    if (!e.dataTransfer?.types.includes(TYPE)) return;
    e.preventDefault();
    mark(true);
  };
  const onDrop = (e: DragEvent) => {
    e.preventDefault();
    mark(false);
    const user = e.dataTransfer?.getData(TYPE);
    if (user) drop(user);
  };
  return (
    <section ref={ref} class="room" aria-label={name} onDragOver={onDragOver} onDragLeave={() => mark(false)} onDrop={onDrop}>
      <h3 class="row spread"><span>{name}</span>{tools}</h3>
      <ul>{children}</ul>
    </section>
  );
}

function Chip({ person, value, rooms, choose }: { person: Person; value: string; rooms: { value: string; label: string }[]; choose: (value: string) => void }) {
  const name = nameOfPerson(person);
  return (
    <li class="who-chip" draggable onDragStart={(e) => e.dataTransfer?.setData(TYPE, person.user)}>
      <span class="name">{name}</span>
      <select aria-label={t("breakoutOf", { name })} value={value} onChange={(e) => choose(e.currentTarget.value)}>
        {rooms.map((r) => (
          <option key={r.value} value={r.value}>{r.label}</option>
        ))}
      </select>
    </li>
  );
}
