// The panel of people: who is here, who wants to speak, and for those who may,
// what can be done about it.

import { signal } from "@preact/signals";
import { atLeast, grantable, mayAct, type Person, type Role } from "../sdk";
import * as call from "./call";
import * as chat from "./chat";
import * as control from "./control";
import { FloorSection } from "./floors";
import { t } from "./i18n";
import { Cam, CamOff, Devices, Dots, Hand, Link, Mic, MicOff, Screen } from "./icons";
import { LobbySection } from "./lobby";
import { MeetingTools } from "./meeting";
import { ask } from "./notes";
import { Panel } from "./panel";
import { Avatar, QualityMark } from "./tile";
import { TopologyOf } from "./topology";

/** Whose tools are open. */
const opened = signal<string | null>(null);

export function PeoplePanel() {
  const first = control.hands.value;
  const rest = control.persons.value.filter((p) => p.hand === 0);
  return (
    <Panel title={t("people")}>
      <LobbySection />
      <FloorSection />
      <ul class="roster">
        {[...first, ...rest].map((p) => (
          <Row key={p.user} person={p} />
        ))}
      </ul>
      <MeetingTools />
      <InviteLink />
    </Panel>
  );
}

export function nameOfPerson(p: Person): string {
  return p.name || t("guest");
}

/** Whether any microphone of a person is open. */
export function isHeard(p: Person): boolean {
  const others = p.devices.filter((d) => !d.self).some((d) => d.tracks.some((x) => x.source === "microphone" && !x.muted));
  return others || (p.self && call.on.microphone.value);
}

function isSeen(p: Person): boolean {
  const others = p.devices.filter((d) => !d.self).some((d) => d.tracks.some((x) => x.source === "camera" && !x.muted));
  return others || (p.self && call.on.camera.value);
}

/** A mark for each device, when there are several. */
export function DeviceMarks({ person }: { person: Person }) {
  const n = person.devices.length;
  if (n < 2) return null;
  const label = t("devicesOf", { n });
  return (
    <span class="devices" role="img" aria-label={label} title={label}>
      <Devices />
      {n}
    </span>
  );
}

export function HandMark({ rank }: { rank: number }) {
  if (rank === 0) return null;
  const label = t("handOf", { n: rank });
  return (
    <span class="hand-mark" role="img" aria-label={label} title={label}>
      <Hand />
      {rank}
    </span>
  );
}

function Row({ person: p }: { person: Person }) {
  const name = nameOfPerson(p);
  const away = p.devices.every((d) => !d.reachable);
  const tools = toolsFor(p);
  const open = opened.value === p.user && tools !== null;
  const id = `tools-${p.part}`;
  return (
    <li data-user={p.user} class={away || p.held ? "away" : ""}>
      <div class="person">
        <Avatar person={p.devices[0]!} />
        <span class="who">
          <span class="name">{name}{p.self && ` (${t("you")})`}</span>
          <span class="hint">{p.held ? t("elsewhere") : away ? t("away") : roleLine(p)}</span>
        </span>
        <HandMark rank={p.hand} />
        <DeviceMarks person={p} />
        {p.devices.some((d) => d.tracks.some((x) => x.source === "screen")) && <Screen />}
        {!p.held && (isSeen(p) ? <Cam /> : <CamOff />)}
        {!p.held && (isHeard(p) ? <Mic /> : <MicOff />)}
        {!p.held && <QualityMark person={p.devices[0]!} />}
        {tools && (
          <button type="button" class="plain more" aria-label={t("manage", { name })} aria-expanded={open} aria-controls={id} onClick={() => (opened.value = open ? null : p.user)}>
            <Dots />
          </button>
        )}
      </div>
      {open && <div class="tools" id={id} role="group" aria-label={t("manage", { name })}>{tools}</div>}
    </li>
  );
}

/** The role is said where it is more than taking part. */
function roleLine(p: Person): string {
  return p.role === "attendee" || p.role === "presenter" ? "" : control.roleName(p.role);
}

/** What one may do about this person; null: nothing. */
function toolsFor(p: Person) {
  const others = !p.self && control.can("chat.send");
  const power = !p.self && mayAct(control.role.value, p.role);
  if (!others && !power) return null;
  return (
    <>
      {power && <MediaTools person={p} />}
      {others && <Tool label={t("privateMessage")} onClick={() => write(p)} />}
      {power && <PowerTools person={p} />}
    </>
  );
}

function write(p: Person): void {
  chat.recipient.value = p.part;
  call.panel.value = "chat";
}

function Tool({ label, name, onClick, danger }: { label: string; name?: string; onClick: () => void; danger?: boolean }) {
  return (
    <button type="button" class={danger ? "tool danger" : "tool"} aria-label={name} onClick={onClick}>
      {label}
    </button>
  );
}

function MediaTools({ person: p }: { person: Person }) {
  const mic = control.trackOf(p, "microphone");
  const cam = control.trackOf(p, "camera");
  const name = nameOfPerson(p);
  return (
    <>
      {mic && !mic.muted && <Tool label={t("mute")} name={t("muteOne", { name })} onClick={() => void control.close(p, "microphone")} />}
      {mic && mic.muted && <Tool label={t("askUnmute")} onClick={() => void control.askToOpen(p, "microphone")} />}
      {cam && !cam.muted && <Tool label={t("stopVideoOf")} onClick={() => void control.close(p, "camera")} />}
      {cam && cam.muted && <Tool label={t("askStartVideo")} onClick={() => void control.askToOpen(p, "camera")} />}
      {control.trackOf(p, "screen") && <Tool label={t("stopSharing")} name={t("stopScreenOf", { name })} onClick={() => void control.close(p, "screen")} />}
      {p.hand > 0 && <Tool label={t("lowerHandOf")} onClick={() => void control.lowerHand(p)} />}
    </>
  );
}

function PowerTools({ person: p }: { person: Person }) {
  const name = nameOfPerson(p);
  const roles = grantable(control.role.value, p.role);
  const chairs = control.policy.value.floorChair === p.user;
  const remove = (ban: boolean) =>
    ask(t(ban ? "removeBanAsk" : "removeAsk", { name }), { label: t(ban ? "removeBan" : "remove"), danger: true, run: () => void control.expel(p, ban) });
  const change = (to: Role) => {
    if (to === "owner") ask(t("makeOwnerAsk", { name }), { label: t("makeOwner"), run: () => void control.setRole(p, to) });
    else void control.setRole(p, to);
  };
  return (
    <>
      {roles.length > 0 && (
        <label class="field inline">
          <span>{t("role")}</span>
          <select aria-label={t("role")} value={p.role} onChange={(e) => (change(e.currentTarget.value as Role), (e.currentTarget.value = p.role))}>
            {roles.map((r) => (
              <option key={r} value={r}>{control.roleName(r)}</option>
            ))}
          </select>
        </label>
      )}
      {control.floors.value.length > 0 && !atLeast(p.role, "moderator") && (
        <Tool label={t(chairs ? "floorChairEnd" : "floorChair")} onClick={() => void control.setPolicy({ floorChair: chairs ? "" : p.user })} />
      )}
      {control.can("conference.setTopology") && <TopologyOf person={p} />}
      {p.role !== "owner" && <Tool label={t("remove")} danger onClick={() => remove(false)} />}
      {p.role !== "owner" && <Tool label={t("removeBan")} danger onClick={() => remove(true)} />}
    </>
  );
}

const invited = signal<Role>("presenter");

/** The link to send; those who may invite choose as what people come. */
function InviteLink() {
  const roles = call.hasToken() ? grantable(control.role.value, undefined).filter((r) => r !== "owner") : [];
  if (roles.length === 0) {
    return (
      <button type="button" class="secondary" onClick={() => void call.copyLink()}>
        <Link /> {t("copyLink")}
      </button>
    );
  }
  return (
    <div class="invite">
      <label class="field inline">
        <span>{t("inviteAs")}</span>
        <select aria-label={t("inviteAs")} value={invited.value} onChange={(e) => (invited.value = e.currentTarget.value as Role)}>
          {roles.map((r) => (
            <option key={r} value={r}>{control.roleName(r)}</option>
          ))}
        </select>
      </label>
      <button type="button" class="secondary" onClick={() => void call.copyLink(invited.value)}>
        <Link /> {t("copyInvite")}
      </button>
    </div>
  );
}
