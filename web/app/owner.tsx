// The owner's page: all conferences of the server, and what an owner does with them.

import { signal } from "@preact/signals";
import { useEffect, useState } from "preact/hooks";
import { AdminApi, forgetToken, invite, type Definition, type Role } from "../sdk";
import { copyText } from "./clipboard";
import { roleName } from "./control";
import { lang, t, type Key } from "./i18n";
import { Calendar, Dots, Link, Plus } from "./icons";
import { roomName, slug } from "./layout";
import { ask, failed, refused, say } from "./notes";
import { Page } from "./page";
import { SealChoice } from "./security";

const list = signal<Definition[] | null>(null);
/** The meeting whose further actions are shown; it stays open when the row moves to another section. */
const expanded = signal<string | null>(null);
const REFRESH_MS = 10_000;

let token = "";
let api = new AdminApi("");

/** Says what failed; an expired sign-in leads back to the start page. */
function trouble(err: unknown): void {
  const e = failed(err);
  if (e.code === 401) {
    say("ownerExpired");
    signOut();
  } else if (e.reason === "exists") say("alreadyExists");
  else refused(e);
}

export const signedOut = signal(false);

function signOut(): void {
  forgetToken("");
  signedOut.value = true;
}

async function load(): Promise<void> {
  try {
    list.value = (await api.list({ limit: 200 })).conferences;
  } catch (err) {
    trouble(err);
  }
}

async function act(fn: () => Promise<unknown>, done?: Key): Promise<boolean> {
  try {
    await fn();
    if (done) say(done);
    return true;
  } catch (err) {
    trouble(err);
    return false;
  } finally {
    if (!signedOut.value) await load();
  }
}

const pathOf = (d: Pick<Definition, "uri" | "policy">) => `/r/${encodeURIComponent(d.uri)}${d.policy?.e2ee ? "?e2ee" : ""}`;
const linkTo = (d: Definition) => location.origin + pathOf(d);
const nameOf = (d: Definition) => d.title || d.uri;

/** The page for one who holds an owner's token. */
export function Owner({ token: mine }: { token: string }) {
  useEffect(() => {
    token = mine;
    api = new AdminApi(mine);
    void load();
    const timer = setInterval(() => {
      if (document.visibilityState === "visible") void load();
    }, REFRESH_MS);
    return () => clearInterval(timer);
  }, [mine]);
  const [adding, setAdding] = useState(false);
  const all = list.value ?? [];
  const of = (state: Definition["state"]) => all.filter((d) => d.state === state);
  const soonest = (a: Definition, b: Definition) => ((a.startsAt ?? "") < (b.startsAt ?? "") ? -1 : 1);
  return (
    <Page wide>
      <div class="owner">
        <header>
          <h1>{t("yourMeetings")}</h1>
          <span class="row">
            <button type="button" class="small primary" aria-expanded={adding} onClick={() => setAdding(!adding)}><Plus /> {t("newMeeting")}</button>
            <button type="button" class="small secondary" onClick={signOut}>{t("signOut")}</button>
          </span>
        </header>
        {adding && <NewMeeting done={() => setAdding(false)} />}
        {list.value !== null && (
          <>
            <Section title={t("stateActive")} none={t("noneActive")} rows={of("active")} />
            <Section title={t("stateScheduled")} none={t("noneScheduled")} rows={of("scheduled").sort(soonest)} />
            <Section title={t("stateEnded")} none={t("noneEnded")} rows={of("ended")} />
          </>
        )}
      </div>
    </Page>
  );
}

function Section({ title, none, rows }: { title: string; none: string; rows: Definition[] }) {
  return (
    <section aria-label={title}>
      <h2>{title}</h2>
      {rows.length === 0 ? <p class="hint">{none}</p> : <ul class="meetings">{rows.map((d) => <Meeting key={d.uri} meeting={d} />)}</ul>}
    </section>
  );
}

function when(text: string | undefined): string {
  const d = new Date(text ?? "");
  if (Number.isNaN(d.getTime())) return "";
  return d.toLocaleString(lang.value === "zh" ? "zh-CN" : undefined, { dateStyle: "medium", timeStyle: "short" });
}

function details(d: Definition): string {
  const parts = [d.title ? `/r/${d.uri}` : ""];
  if (d.state === "active") parts.push(d.users === 1 ? t("onePerson") : t("nPeople", { n: d.users ?? 0 }));
  if (d.state === "scheduled") parts.push([when(d.startsAt), when(d.endsAt)].filter(Boolean).join(" – "));
  if (d.state === "ended") parts.push(when(d.endedAt));
  return parts.filter(Boolean).join(" · ");
}

function Meeting({ meeting: d }: { meeting: Definition }) {
  const open = expanded.value === d.uri;
  const setOpen = (to: boolean) => (expanded.value = to ? d.uri : null);
  const name = nameOf(d);
  const remove = () => {
    const active = d.state === "active";
    ask(t(active ? "endMeetingAsk" : "deleteAsk", { name }), { label: t("deleteMeeting"), danger: true, run: () => void act(() => api.remove(d.uri, active), "deleted") });
  };
  return (
    <li class="meeting" data-uri={d.uri}>
      <span class="what">
        <b>{d.state === "active" && <i class="live-dot" aria-hidden="true" />}{name}</b>
        <span class="hint">{details(d)}</span>
      </span>
      {d.state === "ended" ? (
        <button type="button" class="small primary" onClick={() => void act(() => api.reopen(d.uri), "reopened")}>{t("reopen")}</button>
      ) : (
        <a class="small primary" href={pathOf(d)}>{t("openMeeting")}</a>
      )}
      <button type="button" class="small secondary" onClick={() => void copyText(linkTo(d))}><Link /> {t("copyLink")}</button>
      <button type="button" class="plain more" aria-label={t("moreActions", { name })} aria-expanded={open} onClick={() => setOpen(!open)}><Dots /></button>
      {open && (
        <div class="extra">
          {d.state !== "ended" && <Invite meeting={d} />}
          {d.state === "active" && <button type="button" class="tool" onClick={() => void act(() => api.command(d.uri, "conference.end"))}>{t("endMeeting")}</button>}
          <button type="button" class="tool danger" onClick={remove}>{t("deleteMeeting")}</button>
        </div>
      )}
    </li>
  );
}

const roles: Role[] = ["presenter", "attendee", "observer", "moderator"];

function Invite({ meeting: d }: { meeting: Definition }) {
  const [role, setRole] = useState<Role>("presenter");
  const copy = async () => {
    try {
      const made = await invite(token, d.uri, role);
      await copyText(`${linkTo(d)}#invite=${encodeURIComponent(made.invite)}`, "inviteCopied");
    } catch (err) {
      trouble(err);
    }
  };
  return (
    <>
      <label class="field inline">
        <span>{t("inviteAs")}</span>
        <select aria-label={t("inviteAs")} value={role} onChange={(e) => setRole(e.currentTarget.value as Role)}>
          {roles.map((r) => (
            <option key={r} value={r}>{roleName(r)}</option>
          ))}
        </select>
      </label>
      <button type="button" class="tool" onClick={() => void copy()}><Link /> {t("copyInvite")}</button>
    </>
  );
}

/** What a datetime-local field holds, as RFC 3339; empty stays empty. */
export function instant(local: string): string | undefined {
  const d = new Date(local);
  return local && !Number.isNaN(d.getTime()) ? d.toISOString() : undefined;
}

function NewMeeting({ done }: { done: () => void }) {
  const [title, setTitle] = useState("");
  const [starts, setStarts] = useState("");
  const [ends, setEnds] = useState("");
  const [withLobby, setLobby] = useState(false);
  const [sealed, seal] = useState(false);
  const create = async (e: Event) => {
    e.preventDefault();
    const uri = slug(title) || roomName();
    const conf = { uri, title: title.trim() || undefined, startsAt: instant(starts), endsAt: instant(ends), policy: { lobby: withLobby || undefined, e2ee: sealed || undefined } };
    if (await act(() => api.create(conf), "created")) done();
  };
  return (
    <section class="card new-meeting" aria-label={t("newMeeting")}>
      <form onSubmit={(e) => void create(e)}>
        <div class="fields">
          <label class="field">
            <span>{t("meetingTitle")}</span>
            <input value={title} maxLength={120} autocomplete="off" autofocus required onInput={(e) => setTitle(e.currentTarget.value)} />
          </label>
          <label class="field">
            <span>{t("startsAt")} ({t("optional")})</span>
            <input type="datetime-local" value={starts} onInput={(e) => setStarts(e.currentTarget.value)} />
          </label>
          <label class="field">
            <span>{t("endsAt")} ({t("optional")})</span>
            <input type="datetime-local" value={ends} min={starts} onInput={(e) => setEnds(e.currentTarget.value)} />
          </label>
        </div>
        <label class="check">
          <input type="checkbox" checked={withLobby} onChange={(e) => setLobby(e.currentTarget.checked)} />
          {t("useLobby")}
        </label>
        <SealChoice on={sealed} set={seal} />
        <div class="actions">
          <button type="submit" class="primary"><Calendar /> {t(starts ? "schedule" : "createMeeting")}</button>
        </div>
      </form>
    </section>
  );
}
