import { describe, expect, test, vi } from "vitest";
import { Chat } from "./chat";
import type { DeviceList } from "./devices";
import { FloorControl, Moderation, SelfControl, SidebarControl } from "./control";
import { floors, isLocked, isRecording, lobbyCount, mutedMedia, policyOf, recordingOf, selfIn, sidebars, titleOf, waitsForFloor } from "./document";
import { EXT, type ConferenceInfo } from "./info";
import { InputReporter, inputReport } from "./inputs";
import { atLeast, grantable, may, mayAct } from "./rights";
import { hands, lobby, people } from "./roster";

function recorder() {
  const sent: [string, unknown][] = [];
  const ask = async <T>(method: string, params: unknown) => {
    sent.push([method, JSON.parse(JSON.stringify(params))]);
    return {} as T;
  };
  return { sent, ask };
}

describe("typed commands", () => {
  test("each is the request of section 4.5", async () => {
    const { sent, ask } = recorder();
    const m = new Moderation(ask);
    await m.setPolicy({ lobby: true });
    await m.end(60);
    await m.end();
    await m.lock();
    await m.unlock();
    await m.admit(["part_1"], "attendee");
    await m.admit("all");
    await m.reject("all", "full");
    await m.setRole("part_1", "presenter");
    await m.expel({ part: "part_1", ban: true });
    await m.mute("trk_1");
    await m.muteMany({ medium: "audio", scope: "others" });
    await m.askToUnmute("trk_1");
    await m.liftMute("audio");
    await m.unpublish("trk_2");
    await m.lowerHand("part_1");
    await m.invite([{ uri: "sip:ana@example.net", mode: "ask" }]);
    await m.transfer({ part: "part_1", to: "x+sb1" });
    await m.removeDevice("dev_1");
    await m.startRecording();
    await m.stopRecording();
    await m.setLayout({ mode: "grid" });
    expect(sent).toEqual([
      ["conference.setPolicy", { policy: { lobby: true } }], ["conference.end", { afterS: 60 }], ["conference.end", {}], ["conference.lock", { allowReturning: true }],
      ["conference.unlock", {}], ["lobby.admit", { parts: ["part_1"], role: "attendee" }], ["lobby.admit", { all: true }], ["lobby.reject", { all: true, reason: "full" }],
      ["participant.setRole", { part: "part_1", role: "presenter" }], ["participant.expel", { part: "part_1", ban: true }], ["track.mute", { track: "trk_1" }],
      ["track.mute", { medium: "audio", scope: "others" }], ["track.unmute", { track: "trk_1" }], ["track.unmute", { medium: "audio", scope: "all" }],
      ["track.unpublish", { track: "trk_2" }], ["hand.lower", { part: "part_1" }], ["participant.invite", { targets: [{ uri: "sip:ana@example.net", mode: "ask" }] }],
      ["participant.transfer", { part: "part_1", to: "x+sb1" }], ["device.remove", { device: "dev_1" }], ["recording.start", {}], ["recording.stop", {}],
      ["layout.set", { mode: "grid", scope: "all" }],
    ]);
  });
  test("floors, sidebars and what one says of oneself", async () => {
    const { sent, ask } = recorder();
    const f = new FloorControl(ask);
    await f.request("a0", 2);
    for (const act of ["grant", "deny", "revoke", "release"] as const) await f[act]("7");
    await new SidebarControl(ask).create({ title: "Room 1", members: ["part_1"], byVal: true });
    await new SidebarControl(ask).end("x+sb1");
    const me = new SelfControl(ask);
    await me.raiseHand();
    await me.lowerHand();
    await me.declineUnmute("trk_1");
    await me.updateDevice({ label: "Laptop" });
    await me.setLayout({ mode: "speaker" });
    await me.sendChat({ text: "hi" });
    expect(sent.map(([method]) => method)).toEqual([
      "floor.request", "floor.grant", "floor.deny", "floor.revoke", "floor.release", "sidebar.create", "sidebar.end", "hand.raise", "hand.lower", "unmute.decline", "device.update",
      "layout.set", "chat.send",
    ]);
    expect(sent[1]).toEqual(["floor.grant", { request: "7" }]);
  });
});

describe("rights", () => {
  test("nobody below a moderator may touch others", () => {
    for (const role of ["observer", "attendee", "presenter"] as const) {
      for (const method of ["track.mute", "participant.expel", "lobby.admit", "conference.lock", "sidebar.create", "participant.setRole", "conference.end"]) expect([role, method, may(role, method)]).toEqual([role, method, false]);
    }
    expect(may("moderator", "lobby.admit")).toBe(true);
    expect(may(undefined, "hand.raise")).toBe(false);
    expect(may("owner", "no.such")).toBe(false);
  });
  test("policies open and close", () => {
    expect(may("attendee", "sidebar.create", { allowSidebars: true })).toBe(true);
    expect(may("attendee", "participant.invite", { allowInvite: true })).toBe(true);
    expect(may("attendee", "chat.send", { chat: false })).toBe(false);
    expect(may("presenter", "chat.send", { chat: false })).toBe(true);
    expect(may("observer", "chat.send")).toBe(false);
  });
  test("rank decides about persons", () => {
    expect(atLeast("owner", "moderator")).toBe(true);
    expect(mayAct("moderator", "owner")).toBe(false);
    expect(mayAct("moderator", "moderator")).toBe(true);
    expect(mayAct("presenter", "attendee")).toBe(false);
    expect(grantable("owner", "moderator")).toContain("owner");
    expect(grantable("moderator", "attendee")).toEqual(["presenter", "attendee", "observer"]);
    expect(grantable("moderator", "moderator")).toEqual([]);
    expect(grantable("attendee", "attendee")).toEqual([]);
  });
});

const laptop = { state: "full" as const, status: "connected", joiningInfo: { when: "2031-01-01T10:00:00Z" } };
const doc: ConferenceInfo = {
  state: "full", conferenceDescription: { displayText: "Stand-up" }, conferenceState: { locked: true },
  users: { state: "full", user: {
    ana: { state: "full", displayText: "Ana", roles: ["moderator"], ext: { [EXT]: { part: "part_1" } }, endpoint: { d1: laptop, d2: { ...laptop, joiningInfo: { when: "2031-01-01T10:00:07Z" } } } },
    bo: { state: "full", displayText: "Bo", roles: ["attendee"], ext: { [EXT]: { part: "part_2", hand: { raised: true, rank: 2 }, presence: { typing: true } } }, endpoint: { d3: { ...laptop, status: "on-hold" } } },
    cem: { state: "full", displayText: "Cem", roles: ["attendee"], ext: { [EXT]: { part: "part_3", hand: { raised: true, rank: 1 } } }, endpoint: { d4: laptop } },
    eve: { state: "full", displayText: "Eve", roles: ["lobby"], ext: { [EXT]: { part: "part_4" } }, endpoint: { d5: { ...laptop, status: "on-hold" } } },
    gone: { state: "full", displayText: "Rude", roles: ["lobby"], endpoint: { d6: { ...laptop, status: "disconnected" } } },
  } },
  sidebarsByRef: { state: "full", entry: { "x+sb2": { displayText: "Room 2" } } },
  sidebarsByVal: { state: "full", entry: { "x+sb1": { conferenceDescription: { displayText: "Room 1" }, users: { user: { bo: { displayText: "Bo", endpoint: { d3: laptop } } } } } } },
  ext: { [EXT]: {
    policy: { lobby: true }, lobbyCount: 1, muted: ["audio"], recording: { state: "running" }, self: { user: "sip:anonymous1@anonymous.invalid" },
    floors: [{ floor: "a0", requests: [{ request: "1", user: "ana", status: "granted" }, { request: "3", user: "bo", status: "accepted", queue: 2 }, { request: "2", user: "cem", status: "accepted", queue: 1 }] }],
  } },
};

describe("selectors", () => {
  test("a person with two devices is one", () => {
    const list = people(doc, { user: "ana", device: "d2" });
    expect(list.map((p) => [p.name, p.devices.length, p.self, p.role, p.held])).toEqual([
      ["Ana", 2, true, "moderator", false], ["Bo", 1, false, "attendee", true], ["Cem", 1, false, "attendee", false],
    ]);
    expect(list[1]!.presence.typing).toBe(true);
    expect(hands(list).map((p) => p.name)).toEqual(["Cem", "Bo"]);
  });
  test("the lobby is who waits, not who went", () => {
    expect(lobby(doc)).toEqual([{ user: "eve", part: "part_4", name: "Eve", since: "2031-01-01T10:00:00Z" }]);
    expect(lobby(null)).toEqual([]);
    expect(lobbyCount(doc)).toBe(1);
  });
  test("floors: holders, and the queue in order", () => {
    const [f] = floors(doc);
    expect(f!.holders.map((r) => r.user)).toEqual(["ana"]);
    expect(f!.queue.map((r) => [r.user, r.queue])).toEqual([["cem", 1], ["bo", 2]]);
    expect(waitsForFloor(doc, "cem", "microphone")).toBe(true);
    expect(waitsForFloor(doc, "ana", "microphone")).toBe(false);
    expect(waitsForFloor(doc, "cem", "camera")).toBe(false);
  });
  test("sidebars by value show who is inside", () => {
    expect(sidebars(doc).map((s) => [s.uri, s.title, s.people?.map((p) => p.name) ?? null])).toEqual([["x+sb1", "Room 1", ["Bo"]], ["x+sb2", "Room 2", null]]);
  });
  test("the rest", () => {
    expect([isLocked(doc), titleOf(doc), policyOf(doc).lobby, mutedMedia(doc), recordingOf(doc), isRecording(doc)]).toEqual([true, "Stand-up", true, ["audio"], "running", true]);
    expect(selfIn(doc, "ana")).toBe("sip:anonymous1@anonymous.invalid");
    expect([isLocked(null), titleOf(null), policyOf(null), mutedMedia(null), recordingOf(null), sidebars(null), floors(null), selfIn(null, "ana")]).toEqual([false, "", {}, [], "idle", [], [], "ana"]);
  });
});

describe("chat", () => {
  const message = (id: string, at: string) => ({ id, at, from: "u", name: "U", text: id });
  test("history and live messages, each once, in the server's order", () => {
    const chat = new Chat();
    const fresh: string[] = [];
    chat.on("messages", (m) => fresh.push(...m.fresh.map((x) => x.id)));
    chat.receive({ event: "chat.message", body: message("msg_3", "2031-01-01T10:00:03Z") });
    chat.receive({ body: { messages: [message("msg_1", "2031-01-01T10:00:01Z"), message("msg_3", "2031-01-01T10:00:03Z")] } });
    chat.receive({ event: "chat.message", body: message("msg_3", "2031-01-01T10:00:03Z") });
    expect(chat.messages.map((m) => m.id)).toEqual(["msg_1", "msg_3"]);
    expect(fresh).toEqual(["msg_3"]);
    chat.clear();
    expect(chat.messages).toEqual([]);
  });
});

describe("inputs", () => {
  const device = (deviceId: string, kind: string) => ({ deviceId, kind, label: `${kind} ${deviceId}`, groupId: "" }) as MediaDeviceInfo;
  const list: DeviceList = { microphones: [device("m1", "audioinput")], cameras: [device("c1", "videoinput")], speakers: [] };
  test("a report names what there is, and what is in use of it", () => {
    expect(inputReport(list, { audioinput: "m1", videoinput: "gone", audiooutput: undefined })).toEqual({
      inputs: [{ id: "m1", kind: "audioinput", label: "audioinput m1" }, { id: "c1", kind: "videoinput", label: "videoinput c1" }], active: { audioinput: "m1" },
    });
  });
  test("sent at the start and when something is plugged in; not when nothing changed; again after a move", async () => {
    vi.useFakeTimers();
    const sent: unknown[] = [];
    let plug = () => {};
    let now = list;
    const r = new InputReporter(() => ({}), async (p) => sent.push(p), async () => now, (fn) => ((plug = fn), () => {}));
    const settle = () => vi.advanceTimersByTimeAsync(1_000);
    r.changed();
    await settle();
    plug();
    await settle();
    expect(sent).toHaveLength(1);
    now = { ...list, speakers: [device("s1", "audiooutput")] };
    plug();
    plug();
    await settle();
    expect(sent).toHaveLength(2);
    r.restart();
    await settle();
    expect(sent).toHaveLength(3);
    r.close();
    vi.useRealTimers();
  });
});
