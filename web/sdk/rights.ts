// Who may do what, as section 4.5 of the protocol says. The server decides; this
// is for showing only the controls that would work.

import type { Policy } from "./commands";
import type { Role } from "./protocol";

const rank: Record<Role, number> = { lobby: 1, observer: 2, attendee: 3, presenter: 4, moderator: 5, owner: 6 };

/** Whether role r includes the rights of want. */
export function atLeast(r: Role | undefined, want: Role): boolean {
  return r !== undefined && (rank[r] ?? 0) >= rank[want];
}

/** Lowest role for a command given for others or the whole conference. */
const lowest: Record<string, Role> = {
  "conference.end": "moderator", "conference.lock": "moderator", "conference.unlock": "moderator", "conference.setPolicy": "moderator", "conference.setTopology": "moderator",
  "track.mute": "moderator", "track.unmute": "moderator", "participant.expel": "moderator", "participant.setRole": "moderator",
  "participant.transfer": "moderator", "participant.invite": "moderator", "lobby.admit": "moderator", "lobby.reject": "moderator",
  "hand.lower": "moderator", "floor.grant": "moderator", "floor.deny": "moderator", "floor.revoke": "moderator",
  "sidebar.create": "moderator", "sidebar.end": "moderator", "layout.set": "moderator", "recording.start": "moderator", "recording.stop": "moderator",
  "device.remove": "moderator", "hand.raise": "observer", "floor.request": "attendee", "chat.send": "attendee",
};

/** Whether a role may give a command for others; its own person and devices are always its own. */
export function may(role: Role | undefined, method: string, policy: Policy = {}): boolean {
  if (method === "sidebar.create" && policy.allowSidebars) return atLeast(role, "attendee");
  if (method === "participant.invite" && policy.allowInvite) return atLeast(role, "attendee");
  if (method === "chat.send" && policy.chat === false) return atLeast(role, "presenter");
  const want = lowest[method];
  return want !== undefined && atLeast(role, want);
}

/** Whether one of role r may put out or mute one of role target: nobody above oneself. */
export function mayAct(r: Role | undefined, target: Role | undefined): boolean {
  return atLeast(r, "moderator") && atLeast(r, target ?? "attendee");
}

/** Roles that one of role r may give to one of role target; empty: none. */
export function grantable(r: Role | undefined, target: Role | undefined): Role[] {
  if (r === "owner") return ["owner", "moderator", "presenter", "attendee", "observer"];
  if (r === "moderator" && !atLeast(target, "moderator")) return ["presenter", "attendee", "observer"];
  return [];
}
