// One visit to a room page as state (signals) and actions. The components only
// read the former and call the latter.

import { batch, computed, signal } from "@preact/signals";
import {
  CaptureError, exchange, dropFragment, forgetToken, invite, openScreen, ParleyError, readFragment, Room, roomStatus, storedInvite, storedToken, storeInvite, storeToken,
  type LocalTrack, type Participant, type Path, type Quality, type RemoteTrack, type Role, type RoomState, type SlotSource, type Source, type Withheld,
} from "../sdk";
import * as chat from "./chat";
import * as control from "./control";
import { copyText } from "./clipboard";
import { open, problemOf, problems, release, tracks, want, wanted, type Input } from "./local";
import { failed, refused, say } from "./notes";
import { prefs } from "./prefs";
import * as security from "./security";

export type Phase = "prejoin" | "joining" | "lobby" | "call" | "over";

export const roomName = decodeName(location.pathname);
/** The link asks for end-to-end encryption: without it we do not go in. */
export const wantsSeal = new URLSearchParams(location.search).has("e2ee");
/** The server says that the meeting is encrypted end to end. */
export const sealedRoom = signal(false);
export const phase = signal<Phase>("prejoin");
export const roomState = signal<RoomState>("idle");
export const people = signal<Participant[]>([]);
export const remote = signal<ReadonlyMap<string, RemoteTrack>>(new Map());
export const local = signal<ReadonlyMap<Source, LocalTrack>>(new Map());
export const speaker = signal<string | null>(null);
export const connection = signal<RTCPeerConnectionState>("new");
export const draining = signal(false); // the server said it is going away
export const qualityTick = signal(0);
export const statsTick = signal(0); // new figures of how media flow
export const path = signal<Path>("none"); // the way that media takes
export const slots = signal<ReadonlyMap<string, SlotSource>>(new Map());
/** What is known of our connection is shown. */
export const qualityOpen = signal(false);
/** Tell nobody our address. */
export const hidden = signal(prefs.get("hide") === "1");
/** Pictures that the server does not send us now, and why. */
export const withheld = signal<ReadonlyMap<string, Withheld>>(new Map());
export const problem = signal<ParleyError | null>(null);
export const waiting = signal<number | null>(null); // people inside, as told before joining
export const silenced = signal(false); // the browser refuses to play sound before a click
/** The token of an owner, kept for this tab. */
export const ownerToken = signal(storedToken(""));
export const held = signal("lobby"); // why we wait in the lobby
export const layout = signal<"grid" | "speaker">(prefs.get("layout") === "speaker" ? "speaker" : "grid");
export const pinned = signal<string | null>(null);
export const output = signal(prefs.get("speaker") ?? "");
export const panel = signal<"people" | "chat" | "settings" | "security" | "stats" | null>(null);
panel.subscribe((p) => {
  chat.open.value = p === "chat";
  if (p === "chat") chat.read();
});

/** Whether the microphone or camera is open, as the buttons show it. */
export const on = {
  microphone: computed(() => (phase.value === "call" ? isOn("microphone") : wanted.microphone.value && !problems.microphone.value)),
  camera: computed(() => (phase.value === "call" ? isOn("camera") : wanted.camera.value && !problems.camera.value)),
  screen: computed(() => local.value.has("screen")),
};

function isOn(source: Source): boolean {
  const track = local.value.get(source);
  return track !== undefined && !track.muted && !track.blocked && track.media !== null;
}

let room: Room | null = null;
let token: string | undefined;

function decodeName(path: string): string {
  const last = path.replace(/^\/r\//, "");
  try {
    return decodeURIComponent(last);
  } catch {
    return last;
  }
}

// ---- before the call

let pending: Promise<unknown> = Promise.resolve();

/** Takes an invitation from the address bar, then opens the preview. */
export async function prepare(): Promise<void> {
  pending = Promise.all((["microphone", "camera"] as Input[]).filter((i) => wanted[i].value).map((i) => open(i)));
  await admit(roomName);
  const status = await roomStatus(roomName, storedToken(roomName));
  if (status && typeof status.userCount === "number") waiting.value = status.userCount;
  sealedRoom.value = status?.e2ee ?? false;
  if (status?.auth === "token" && !storedToken(roomName) && !storedInvite(roomName)) over(new ParleyError({ code: 401, reason: "unauthenticated" }));
}

/** Takes #invite= or #owner= out of the address bar. Room null: on the start page. */
export async function admit(room: string | null): Promise<void> {
  const found = readFragment(location.hash);
  if (!found) return;
  dropFragment();
  if (found.kind === "invite" && room !== null) {
    forgetToken(room);
    storeInvite(room, found.secret);
    return;
  }
  try {
    const made = await exchange("owner", found.secret);
    storeToken(null, made.token);
    ownerToken.value = made.token;
    if (room === null) say("ownerHere");
  } catch (err) {
    if (room !== null) over(failed(err));
    else say("endAuth");
  }
}

/** The token to join with: kept from before, or given now for the invitation and this name. */
async function access(name: string): Promise<string | undefined> {
  const code = storedInvite(roomName);
  const kept = storedToken(roomName);
  if (!code || kept) return kept;
  const made = await exchange("invite", code, name);
  storeToken(roomName, made.token);
  return made.token;
}

function over(err: ParleyError): void {
  batch(() => {
    problem.value = err;
    phase.value = "over";
  });
}

// A permission prompt may stay open for long: those who pressed Join get in without.
const PATIENCE_MS = 6_000;

/** Whether the camera is sent in three sizes: where the machine can, or as the address says. What nobody wants of them rests. */
function severalSizes(): boolean {
  const said = new URLSearchParams(location.search).get("simulcast");
  return said !== null ? said !== "0" : (navigator.hardwareConcurrency ?? 1) > 2;
}

export async function join(name: string): Promise<void> {
  if (phase.value !== "prejoin") return;
  phase.value = "joining";
  await Promise.race([pending, new Promise((r) => setTimeout(r, PATIENCE_MS))]);
  try {
    token = await access(name);
  } catch (err) {
    over(failed(err));
    return;
  }
  room = new Room({ room: roomName, name, token, as: token ? (storedInvite(roomName) ?? "owner").slice(-12) : "", simulcast: severalSizes(), relayOnly: hidden.value, shownOnly: true, e2ee: wantsSeal ? "require" : "allow" });
  listen(room);
  control.follow(room);
  chat.follow(room);
  security.follow(room);
  const have: Partial<Record<Source, MediaStreamTrack>> = {};
  const muted: Partial<Record<Source, boolean>> = {};
  for (const input of ["microphone", "camera"] as const) {
    const track = tracks[input].value;
    if (!track || (input === "camera" && !wanted.camera.value)) continue;
    have[input] = track;
    muted[input] = !wanted[input].value;
    watch(input, track);
  }
  try {
    await room.join(have, muted);
  } catch (err) {
    if ((phase.peek() as Phase) !== "over") over(failed(err));
    return;
  }
  phase.value = "call";
  void late(have);
}

/** A permission given after Join: publish then. */
async function late(have: Partial<Record<Source, MediaStreamTrack>>): Promise<void> {
  await pending;
  for (const input of ["microphone", "camera"] as const) {
    const track = tracks[input].value;
    if (!track || have[input] || room?.local.has(input)) continue;
    if (wanted[input].value) {
      watch(input, track);
      await room?.publish(input, track).catch(report);
    } else if (input === "camera") release("camera");
  }
}

function listen(r: Room): void {
  r.on("state", (s) => {
    roomState.value = s;
    if (s === "joined") draining.value = false;
    if (s === "lobby" && phase.value === "joining") phase.value = "lobby";
  });
  r.on("waiting", (why) => (held.value = why));
  r.on("draining", () => (draining.value = true));
  r.on("info", () => (people.value = r.participants));
  r.on("remote", (m) => (remote.value = new Map(m)));
  r.on("local", (m) => (local.value = new Map([...m].map(([k, v]) => [k, { ...v }]))));
  r.on("speaker", (s) => (speaker.value = s));
  r.on("connection", (s) => (connection.value = s));
  r.on("quality", () => qualityTick.value++);
  r.on("stats", () => statsTick.value++);
  r.on("path", (p) => (path.value = p));
  r.on("slots", (m) => (slots.value = new Map(m)));
  r.on("withheld", (m) => (withheld.value = new Map(m)));
  r.on("error", (e) => report(e));
  r.on("closed", (e) => over(e));
}

function report(err: unknown): void {
  if (err instanceof CaptureError) {
    say(problemOf(err));
    return;
  }
  const e = failed(err);
  if (e.reason === "conflict" || e.message.includes("screen")) say("screenTaken");
  else refused(e);
}

// ---- during the call

export function quality(p: Participant): Quality {
  void qualityTick.value;
  return room?.quality(p) ?? "unknown";
}

let busy: Promise<unknown> = Promise.resolve();

/** One device action after another: a double click must not open a camera twice. */
function inTurn(fn: () => Promise<unknown>): Promise<void> {
  const run = busy.then(fn).then(() => undefined, report);
  busy = run;
  return run;
}

export function toggle(input: Input): Promise<void> {
  return inTurn(() => (phase.value === "call" ? toggleInCall(input) : togglePreview(input)));
}

async function togglePreview(input: Input): Promise<void> {
  const to = !on[input].value;
  want(input, to);
  problems[input].value = null;
  if (!to && input === "camera") release("camera");
  if (to && !tracks[input].value) await (pending = open(input));
}

async function toggleInCall(input: Input): Promise<void> {
  if (!room) return;
  const to = !on[input].value;
  if (to && room.local.get(input)?.blocked) {
    say("stillBlocked");
    return;
  }
  const published = room.local.get(input);
  want(input, to);
  if (!to) {
    if (input === "camera") tracks.camera.value = null; // stopped by the room
    await room.setMuted(input, true, input === "camera" ? null : undefined);
    return;
  }
  let track = published?.media?.readyState === "live" ? published.media : null;
  if (!track) {
    track = await open(input);
    if (!track) {
      say(problems[input].value ?? "deviceFailed");
      return;
    }
    watch(input, track);
  }
  if (published) await room.setMuted(input, false, track);
  else await room.publish(input, track);
}

/** Changes the device, before or during the call. */
export function choose(input: Input, deviceId: string): Promise<void> {
  prefs.set(input, deviceId);
  return inTurn(async () => {
    const live = phase.value === "call";
    if (live ? !room?.local.get(input)?.media : !wanted[input].value) return; // used when it is opened next
    const before = tracks[input].value;
    // Some systems open a camera only once the other one is closed (phones).
    if (input === "camera" && !live) before?.stop();
    const track = await open(input, deviceId);
    if (!track) {
      say(problems[input].value ?? "deviceFailed");
      return;
    }
    watch(input, track);
    if (live) await room!.replace(input, track);
    else before?.stop();
  });
}

/** A device that is pulled out: fall back to another one, or show it as off. */
function watch(input: Input, track: MediaStreamTrack): void {
  track.addEventListener("ended", () => {
    if (tracks[input].value !== track) return;
    void inTurn(async () => {
      if (phase.value !== "call" || !room) return;
      const next = await open(input);
      if (next) {
        watch(input, next);
        await room.replace(input, next);
        return;
      }
      tracks[input].value = null;
      say(problems[input].value ?? "deviceFailed");
      await room.setMuted(input, true, null);
    });
  });
}

export function toggleScreen(): Promise<void> {
  return inTurn(async () => {
    if (!room) return;
    if (room.local.has("screen")) {
      await stopScreen();
      return;
    }
    const { video, audio } = await openScreen();
    video.addEventListener("ended", () => void inTurn(stopScreen));
    try {
      await room.publish("screen", video);
    } catch (err) {
      video.stop();
      audio?.stop();
      throw err;
    }
    if (audio) await room.publish("screenAudio", audio);
  });
}

async function stopScreen(): Promise<void> {
  await room?.unpublish("screen");
  await room?.unpublish("screenAudio");
}

export async function leave(): Promise<void> {
  await room?.leave();
  release("camera");
  release("microphone");
}

export function setLayout(to: "grid" | "speaker"): void {
  layout.value = to;
  prefs.set("layout", to);
}

export function setHidden(to: boolean): void {
  hidden.value = to;
  prefs.set("hide", to ? "1" : "0");
  room?.setRelayOnly(to);
}

export function setOutput(id: string): void {
  output.value = id;
  prefs.set("speaker", id);
}

/** Answers a moderator's question to open the microphone or the camera. */
export async function answerAsk(track: string, source: Source, yes: boolean): Promise<void> {
  control.answer(track, yes);
  if (yes && (source === "microphone" || source === "camera") && !on[source].value) await toggle(source);
}

/** The link to send: with an invitation where the room needs one and we may make it. */
export async function copyLink(role?: Role): Promise<void> {
  let link = location.origin + location.pathname + (wantsSeal || security.seal.value ? "?e2ee" : "");
  if (token) {
    try {
      const made = await invite(token, roomName, role);
      link += `#invite=${encodeURIComponent(made.invite)}`;
    } catch (err) {
      // Not ours to give: the bare address still helps those who have a token.
      if (role) {
        refused(err);
        return;
      }
    }
  }
  await copyText(link, role ? "inviteCopied" : "copied");
}

/** Whether we came by a token, with which invitations can be made. */
export function hasToken(): boolean {
  return token !== undefined;
}

/** Starts over with the preview, on a fresh page. */
export function again(): void {
  if (problem.value?.code === 401) forgetToken(roomName);
  location.reload();
}

export function currentRoom(): Room | null {
  return room;
}
