import { describe, expect, test } from "vitest";
import { emptySubscriber, receive, type ConferenceInfo, type Subscriber } from "./info";

const full: ConferenceInfo = {
  entity: "sip:standup@conf.example.net", state: "full", version: 1,
  conferenceDescription: { displayText: "Morning stand-up" },
  conferenceState: { userCount: 2, active: true, locked: false },
  users: { state: "full", user: {
    "sip:ana@example.net": { state: "full", displayText: "Ana", roles: ["moderator"], endpoint: {
      "dev-ana-laptop": { state: "full", status: "connected", media: {
        m1: { type: "audio", label: "a0", srcId: "2863311531", status: "sendrecv" },
        m2: { type: "video", label: "s0", srcId: "715827883", status: "sendonly" } } } } },
    "sip:bob@example.org": { state: "full", displayText: "Bob", endpoint: {
      "sip:bob@192.0.2.7": { state: "full", status: "connected", media: {
        m1: { type: "audio", label: "a0", srcId: "1431655766", status: "sendrecv" } } } } },
  } },
};
const second: ConferenceInfo = {
  entity: "sip:standup@conf.example.net", state: "partial", version: 2,
  conferenceState: { userCount: 3, active: true, locked: false },
  users: { state: "partial", user: {
    "sip:bob@example.org": { state: "partial", endpoint: { "sip:bob@192.0.2.7": { state: "partial", status: "muted-via-focus",
      media: { m1: { type: "audio", label: "a0", srcId: "1431655766", status: "recvonly" } } } } },
    "sip:anonymous1@anonymous.invalid": { state: "full", displayText: "Guest 1", endpoint: { "dev-1": { state: "full",
      status: "connected", joiningMethod: "dialed-in",
      media: { m1: { type: "audio", label: "a0", srcId: "99887766", status: "sendrecv" } } } } },
  } },
};
const third: ConferenceInfo = {
  entity: "sip:standup@conf.example.net", state: "partial", version: 3,
  conferenceState: { userCount: 2, active: true, locked: true },
  users: { state: "partial", user: {
    "sip:ana@example.net": { state: "partial", endpoint: { "dev-ana-laptop": { state: "full", status: "connected",
      media: { m1: { type: "audio", label: "a0", srcId: "2863311531", status: "sendrecv" } } } } },
    "sip:anonymous1@anonymous.invalid": { state: "deleted" },
  } },
  sidebarsByRef: { state: "partial", entry: { "sip:standup+sb1@conf.example.net": { displayText: "Design corner" } } },
};

function feed(local: Subscriber, ...docs: ConferenceInfo[]): [Subscriber, string[]] {
  const outcomes: string[] = [];
  for (const d of docs) {
    const [next, outcome] = receive(local, d.state!, d.version!, d);
    local = next;
    outcomes.push(outcome);
  }
  return [local, outcomes];
}

describe("conference-info subscriber", () => {
  test("CI-1 full, second and third give Ana audio only, Bob muted, no guest, one sidebar, locked", () => {
    const before = JSON.stringify([full, second, third]);
    const [sub, outcomes] = feed(emptySubscriber, full, second, third);
    expect(outcomes).toEqual(["applied", "applied", "applied"]);
    const users = sub.doc!.users!.user!;
    expect(Object.keys(users["sip:ana@example.net"]!.endpoint!["dev-ana-laptop"]!.media!)).toEqual(["m1"]);
    expect(users["sip:ana@example.net"]!.displayText).toBe("Ana");
    expect(users["sip:ana@example.net"]!.roles).toEqual(["moderator"]);
    const bob = users["sip:bob@example.org"]!.endpoint!["sip:bob@192.0.2.7"]!;
    expect(bob.status).toBe("muted-via-focus");
    expect(bob.media!["m1"]!.status).toBe("recvonly");
    expect(users["sip:anonymous1@anonymous.invalid"]).toBeUndefined();
    expect(Object.keys(sub.doc!.sidebarsByRef!.entry!)).toEqual(["sip:standup+sb1@conf.example.net"]);
    expect(sub.doc!.conferenceState).toEqual({ userCount: 2, active: true, locked: true });
    expect(sub.doc!.conferenceDescription!.displayText).toBe("Morning stand-up");
    expect(JSON.stringify([full, second, third])).toBe(before); // inputs are not changed
  });

  test("CI-2 a replayed document is discarded", () => {
    const [sub] = feed(emptySubscriber, full, second, third);
    const [after, outcome] = receive(sub, "partial", 3, third);
    expect(outcome).toBe("discarded");
    expect(after).toBe(sub);
  });

  test("CI-3 a gap leaves the state untouched, asks for one refresh, and the next full one is accepted", () => {
    const [sub] = feed(emptySubscriber, full);
    const [after, outcome] = receive(sub, "partial", 3, third);
    expect(outcome).toBe("refresh");
    expect(after).toBe(sub);
    const [fresh, next] = receive(after, "full", 4, { ...full, version: 4 });
    expect(next).toBe("applied");
    expect(fresh.version).toBe(4);
  });

  test("a partial document before any full one asks for a refresh", () => {
    expect(receive(emptySubscriber, "partial", 7, second)).toEqual([emptySubscriber, "refresh"]);
  });

  test("a deleted document ends the subscription", () => {
    const [sub] = feed(emptySubscriber, full);
    expect(receive(sub, "deleted", 2, null)[1]).toBe("ended");
  });

  test("users without state means full and empties the roster of all others", () => {
    const [sub] = feed(emptySubscriber, full);
    const [after] = receive(sub, "partial", 2, { state: "partial", users: { user: { x: { state: "full" } } } });
    expect(Object.keys(after.doc!.users!.user!)).toEqual(["x"]);
  });

  test("a partial element that is unknown here is added with what it has", () => {
    const [sub] = feed(emptySubscriber, full);
    const [after] = receive(sub, "partial", 2, { state: "partial", users: { state: "partial", user: {
      new: { state: "partial", displayText: "New", endpoint: { d: { state: "partial", status: "connected" } } } } } });
    expect(after.doc!.users!.user!["new"]!.endpoint!["d"]!.status).toBe("connected");
    expect(Object.keys(after.doc!.users!.user!)).toHaveLength(3);
  });

  test("an atomic member is replaced whole", () => {
    const [sub] = feed(emptySubscriber, full);
    const [after] = receive(sub, "partial", 2, { state: "partial", conferenceState: { active: true } });
    expect(after.doc!.conferenceState).toEqual({ active: true });
  });

  test("a sidebar by value is patched like a conference", () => {
    const [sub] = feed(emptySubscriber, { ...full, sidebarsByVal: { state: "full", entry: { s: { ...full } } } });
    const [after] = receive(sub, "partial", 2, { state: "partial", sidebarsByVal: { state: "partial", entry: { s: {
      state: "partial", users: { state: "partial", user: { "sip:bob@example.org": { state: "deleted" } } } } } } });
    expect(Object.keys(after.doc!.sidebarsByVal!.entry!["s"]!.users!.user!)).toEqual(["sip:ana@example.net"]);
    expect(Object.keys(after.doc!.users!.user!)).toHaveLength(2);
  });
});
