// Conference control as state (signals) and actions: who is here, who waits, who
// wants to speak, where the breakout rooms are. The document is the truth; events
// only make the short lines that tell what just happened.

import { batch, computed, signal } from "@preact/signals";
import {
  atLeast, floors as floorsOf, hands as handsOf, isLocked, isRecording, lobby as lobbyOf, may, mutedMedia, policyOf, topologyOf, sidebars as sidebarsOf, titleOf,
  type ConferenceInfo, type Floor, type Person, type Policy, type Role, type Room, type Sidebar, type Source, type TopologyInfo, type Waiting,
} from "../sdk";
import { t, type Key } from "./i18n";
import { refused, say } from "./notes";

export const persons = signal<Person[]>([]);
export const role = signal<Role | undefined>(undefined);
export const policy = signal<Policy>({});
export const locked = signal(false);
export const title = signal("");
export const lobby = signal<Waiting[]>([]);
export const floors = signal<Floor[]>([]);
export const sidebars = signal<Sidebar[]>([]);
export const recording = signal(false);
/** A moderator muted all: new microphones start muted. */
export const allMuted = signal(false);
/** When the conference ends (ms since 1970), if that was announced. */
/** How media flows in this room. */
export const topology = signal<TopologyInfo>({ name: "auto" });
export const ending = signal<number | null>(null);
/** Title of the breakout room we are in; null: in the main room. */
export const breakout = signal<string | null>(null);
/** What a moderator asks us to open, oldest first. */
export const asks = signal<{ source: Source; track: string; by: string }[]>([]);
/** Sources a moderator closed. */
export const blocked = signal<ReadonlySet<Source>>(new Set());

export const hands = computed(() => handsOf(persons.value));
export const me = computed(() => persons.value.find((p) => p.self) ?? null);
/** Those in this room; the others of the roster are in a breakout room. */
export const here = computed(() => persons.value.filter((p) => !p.held));

/** Whether our role may give a command about others. */
export function can(method: string): boolean {
  return may(role.value, method, policy.value);
}

export function isAtLeast(want: Role): boolean {
  return atLeast(role.value, want);
}

export function nameOfUser(user: string | undefined): string {
  return persons.peek().find((p) => p.user === user)?.name || t("aModerator");
}

const roleKeys: Record<Role, Key> = {
  owner: "roleOwner", moderator: "roleModerator", presenter: "rolePresenter", attendee: "roleAttendee", observer: "roleObserver", lobby: "roleAttendee",
};

export function roleName(r: Role): string {
  return t(roleKeys[r] ?? "roleAttendee");
}

let room: Room | null = null;

/** Follows a room; call before it joins. */
export function follow(r: Room): void {
  room = r;
  r.on("info", (doc) => fromDocument(r, doc));
  r.on("role", (now) => {
    const before = role.value;
    role.value = now;
    if (before && before !== now) say("roleNote", { role: roleName(now) });
  });
  r.on("blocked", (b) => onBlocked(b.source, b.blocked));
  r.on("unmuteRequested", (a) => {
    if (!asks.value.some((x) => x.track === a.track)) asks.value = [...asks.value, { source: a.source, track: a.track, by: nameOfUser(a.by) }];
  });
  r.on("moved", (m) => onMoved(m.home, m.title));
  r.on("ending", (at) => (ending.value = at));
  r.on("state", (s) => {
    if (s === "moving") startAnew();
  });
  r.on("event", (e) => {
    if (e.name === "unmute.declined") say("declinedNote", { name: nameOfUser(e.body.user ?? e.body.by) });
    if (e.name === "floor.status" && e.body.user === r.self?.user) onFloor(e.body.status);
  });
}

/** Another conference: its first document is no news. */
function startAnew(): void {
  batch(() => {
    known = null;
    ending.value = null;
    asks.value = [];
    blocked.value = new Set();
  });
}

function fromDocument(r: Room, doc: ConferenceInfo): void {
  batch(() => {
    persons.value = r.people;
    role.value ??= r.role;
    policy.value = policyOf(doc);
    topology.value = topologyOf(doc);
    title.value = titleOf(doc);
    locked.value = isLocked(doc);
    lobby.value = lobbyOf(doc);
    floors.value = floorsOf(doc);
    sidebars.value = sidebarsOf(doc);
    recording.value = isRecording(doc);
    allMuted.value = mutedMedia(doc).includes("audio");
    if (breakout.value !== null && r.away) breakout.value = title.value || breakout.value;
  });
  if (r.state === "moving") known = null; // what still comes from the old room is no news
  else news();
}

/** What the last document said, for telling what is new. */
interface Known {
  people: Map<string, string>;
  hands: Set<string>;
  waiting: Set<string>;
  locked: boolean;
  recording: boolean;
}

let known: Known | null = null;

function news(): void {
  const now: Known = {
    people: new Map(persons.value.filter((p) => !p.self).map((p) => [p.user, p.name || t("guest")])), hands: new Set(hands.value.filter((p) => !p.self).map((p) => p.user)),
    waiting: new Set(lobby.value.map((w) => w.user)), locked: locked.value, recording: recording.value,
  };
  const was = known;
  known = now;
  if (!was) return;
  for (const [user, name] of now.people) if (!was.people.has(user)) say("joinedNote", { name });
  for (const [user, name] of was.people) if (!now.people.has(user)) say("leftNote", { name });
  if (isAtLeast("moderator")) {
    for (const user of now.hands) if (!was.hands.has(user)) say("handRaisedNote", { name: nameOfUser(user) });
    for (const w of lobby.value) if (!was.waiting.has(w.user)) say("lobbyNote", { name: w.name || t("guest") });
  }
  if (was.locked !== now.locked) say(now.locked ? "lockedNote" : "unlockedNote");
  if (was.recording !== now.recording) say(now.recording ? "recordingOn" : "recordingOff");
}

const blockedWords: Record<Source, Key> = { microphone: "blockedMic", camera: "blockedCam", screen: "blockedScreen", screenAudio: "blockedScreen" };
const FREED_AFTER_MS = 400; // a question to unmute may follow, which says more

function onBlocked(source: Source, is: boolean): void {
  const next = new Set(blocked.value);
  if (is) next.add(source);
  else next.delete(source);
  blocked.value = next;
  if (is) {
    asks.value = asks.value.filter((a) => a.source !== source);
    say(blockedWords[source]);
    return;
  }
  setTimeout(() => {
    if (!asks.value.some((a) => a.source === source) && !blocked.value.has(source)) say(source === "microphone" ? "freedMic" : "freedCam");
  }, FREED_AFTER_MS);
}

function onMoved(home: boolean, name: string): void {
  breakout.value = home ? null : name || t("inBreakoutHere");
  if (home) say("movedBack");
  else say("movedNote", { name: name || t("breakouts") });
}

const floorWords: Record<string, Key> = { granted: "floorGranted", denied: "floorDenied", revoked: "floorLost" };

function onFloor(status: string): void {
  const key = floorWords[status];
  if (key) say(key);
}

// ---- actions

/** Runs a command; a refusal is said in words, and is false. */
export async function run(fn: (r: Room) => Promise<unknown>, done?: () => void): Promise<boolean> {
  if (!room) return false;
  try {
    await fn(room);
    done?.();
    return true;
  } catch (err) {
    refused(err);
    return false;
  }
}

export const toggleHand = () => run((r) => (me.value?.hand ? r.me.lowerHand() : r.me.raiseHand()));
export const lowerHand = (p: Person) => run((r) => r.moderation.lowerHand(p.part));
export const toggleLock = () => run((r) => (locked.value ? r.moderation.unlock() : r.moderation.lock()));
export const setPolicy = (p: Policy) => run((r) => r.moderation.setPolicy(p));
export const admit = (parts: string[] | "all") => run((r) => r.moderation.admit(parts));
export const reject = (parts: string[] | "all") => run((r) => r.moderation.reject(parts));
export const muteAll = () => run((r) => r.moderation.muteMany({ medium: "audio", scope: "others" }), () => say("muteAllDone"));
export const liftMute = () => run((r) => r.moderation.liftMute("audio", "others"), () => say("liftMuteDone"));
export const setRole = (p: Person, to: Role) => run((r) => r.moderation.setRole(p.part, to));
export const expel = (p: Person, ban: boolean) => run((r) => r.moderation.expel({ part: p.part, ban: ban || undefined }));
export const endForAll = (afterS: number) => run((r) => r.moderation.end(afterS));
export const returnHome = () => run((r) => r.returnHome());
export const toggleRecording = () => run((r) => (recording.value ? r.moderation.stopRecording() : r.moderation.startRecording()));

/** The track of a source that is published by any device of a person. */
export function trackOf(p: Person, source: Source) {
  const all = p.devices.flatMap((d) => d.tracks).filter((x) => x.source === source);
  return all.find((x) => !x.muted) ?? all[0];
}

/** Closes one source of a person. */
export const close = (p: Person, source: Source) =>
  run(async (r) => {
    for (const x of p.devices.flatMap((d) => d.tracks)) {
      if (x.source !== source) continue;
      if (source === "screen" || source === "screenAudio") await r.moderation.unpublish(x.id);
      else if (!x.muted) await r.moderation.mute(x.id);
    }
  });

export const askToOpen = (p: Person, source: Source) =>
  run(
    async (r) => {
      const track = trackOf(p, source);
      if (track) await r.moderation.askToUnmute(track.id);
    },
    () => say("askedNote", { name: p.name || t("guest") }),
  );

/** Takes a question off the screen; no tells the moderator. */
export function answer(track: string, yes: boolean): void {
  asks.value = asks.value.filter((a) => a.track !== track);
  if (!yes) void run((r) => r.me.declineUnmute(track));
}

// ---- breakout rooms

/** Opens rooms with the people planned for each. */
export const openRooms = (rooms: { title: string; parts: string[] }[]) =>
  run(async (r) => {
    for (const x of rooms) await r.sidebars.create({ title: x.title, members: x.parts, byVal: true });
  });

/** Moves somebody to a room; "" is the main room. */
export const move = (part: string, to: string) => run((r) => r.moderation.transfer({ part, to: to || r.self!.conf }));
export const closeRoom = (uri: string) => run((r) => r.sidebars.end(uri));
export const closeRooms = () =>
  run(async (r) => {
    for (const s of sidebars.value) await r.sidebars.end(s.uri);
  });
export const enterRoom = (uri: string) => run((r) => r.joinSidebar(uri));

// ---- floors

export const requestFloor = (floor: string) => run((r) => r.floors.request(floor));
export const releaseFloor = (request: string) => run((r) => r.floors.release(request));
export const grantFloor = (request: string) => run((r) => r.floors.grant(request));
export const denyFloor = (request: string) => run((r) => r.floors.deny(request));
export const revokeFloor = (request: string) => run((r) => r.floors.revoke(request));
