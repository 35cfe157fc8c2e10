// Typed commands of conference control (section 4.5 of the protocol). Each method
// is one request; a refusal rejects with a ParleyError that carries code and
// reason. Whether it may be given is the server's decision: see rights.ts for
// what to show.

import type {
  ChatParams, ChatReceipt, DeviceParams, Done, ExpelParams, FloorStatus, HandResult, InviteResult, InviteTarget, LayoutParams, LobbyResult, MuteMany, Policy, RecordingParams,
  SidebarCreate, SidebarResult, TransferParams, TransferResult,
} from "./commands";
import type { Role, Topology } from "./protocol";

/** Sends a request within the conference. */
export type Ask = <T>(method: string, params: unknown) => Promise<T>;

/** Commands of a moderator about persons and the whole conference. */
export class Moderation {
  constructor(private readonly ask: Ask) {}

  setPolicy(policy: Policy, title?: string): Promise<Done> {
    return this.ask("conference.setPolicy", { policy, title });
  }

  /**
   * Chooses how media flows: for all, for a person or for one device of theirs;
   * "" takes such a choice back. Refusals: 503 codec-missing tells in data what to
   * install; what the standards advise against needs allowDiscouraged.
   */
  setTopology(topology: Topology | "", of: { part?: string; dev?: string; allowDiscouraged?: boolean } = {}): Promise<unknown> {
    return this.ask("conference.setTopology", { topology, ...of });
  }

  /** Ends the conference for all, at once or after some seconds. */
  end(afterS = 0, reason?: string): Promise<Done> {
    return this.ask("conference.end", { afterS: afterS || undefined, reason });
  }

  /** Nobody else gets in; with allowReturning those who were here may come back. */
  lock(allowReturning = true): Promise<Done> {
    return this.ask("conference.lock", { allowReturning });
  }

  unlock(): Promise<Done> {
    return this.ask("conference.unlock", {});
  }

  /** Lets people in from the lobby: some, or all of them. */
  admit(parts: string[] | "all", role?: Role): Promise<LobbyResult> {
    return this.ask("lobby.admit", parts === "all" ? { all: true, role } : { parts, role });
  }

  reject(parts: string[] | "all", reason?: string): Promise<LobbyResult> {
    return this.ask("lobby.reject", parts === "all" ? { all: true, reason } : { parts, reason });
  }

  setRole(part: string, role: Role): Promise<Done> {
    return this.ask("participant.setRole", { part, role });
  }

  expel(params: ExpelParams): Promise<Done> {
    return this.ask("participant.expel", params);
  }

  /** Silences one track. It stays so until a moderator allows it and its owner opens it. */
  mute(track: string): Promise<Done> {
    return this.ask("track.mute", { track });
  }

  /** Silences a medium of one participant, of all, or of all but oneself. */
  muteMany(params: MuteMany): Promise<Done> {
    return this.ask("track.mute", params);
  }

  /** Lifts a moderator's mute and asks the owner to open the track: nobody else can. */
  askToUnmute(track: string): Promise<Done> {
    return this.ask("track.unmute", { track });
  }

  /** Ends what muteMany of scope all or others began: new tracks need not start muted. */
  liftMute(medium: "audio" | "video", scope: "all" | "others" = "all"): Promise<Done> {
    return this.ask("track.unmute", { medium, scope });
  }

  /** Ends a publication of somebody, for instance a shared screen. */
  unpublish(track: string): Promise<Done> {
    return this.ask("track.unpublish", { track });
  }

  /** Takes down the hand of another participant. */
  lowerHand(part: string): Promise<Done> {
    return this.ask("hand.lower", { part });
  }

  invite(targets: InviteTarget[], timeoutS?: number): Promise<InviteResult> {
    return this.ask("participant.invite", { targets, timeoutS });
  }

  /** Moves a participant, or one device, to another conference or a sidebar. */
  transfer(params: TransferParams): Promise<TransferResult> {
    return this.ask("participant.transfer", params);
  }

  /** Removes a device of somebody. */
  removeDevice(device: string): Promise<Done> {
    return this.ask("device.remove", { device });
  }

  startRecording(params: RecordingParams = {}): Promise<unknown> {
    return this.ask("recording.start", params);
  }

  stopRecording(): Promise<unknown> {
    return this.ask("recording.stop", {});
  }

  /** The layout that everybody gets. */
  setLayout(params: Omit<LayoutParams, "scope">): Promise<Done> {
    return this.ask("layout.set", { ...params, scope: "all" });
  }
}

/** Floors: the right to use a medium, given by a chair or in order of asking (RFC 8855). */
export class FloorControl {
  constructor(private readonly ask: Ask) {}

  request(floor: string, priority?: number, beneficiary?: string): Promise<FloorStatus> {
    return this.ask("floor.request", { floor, priority, beneficiary });
  }

  grant(request: string): Promise<FloorStatus> {
    return this.ask("floor.grant", { request });
  }

  deny(request: string, reason?: string): Promise<FloorStatus> {
    return this.ask("floor.deny", { request, reason });
  }

  revoke(request: string, reason?: string): Promise<FloorStatus> {
    return this.ask("floor.revoke", { request, reason });
  }

  /** Gives a floor back, or takes a request back. */
  release(request: string): Promise<FloorStatus> {
    return this.ask("floor.release", { request });
  }
}

/** Sidebars, which people call breakout rooms. */
export class SidebarControl {
  constructor(private readonly ask: Ask) {}

  create(params: SidebarCreate): Promise<SidebarResult> {
    return this.ask("sidebar.create", params);
  }

  end(sidebar: string): Promise<Done> {
    return this.ask("sidebar.end", { sidebar });
  }
}

/** What everybody may say of themselves. */
export class SelfControl {
  constructor(private readonly ask: Ask) {}

  raiseHand(): Promise<HandResult> {
    return this.ask("hand.raise", {});
  }

  lowerHand(): Promise<Done> {
    return this.ask("hand.lower", {});
  }

  /** Says no to unmute.requested. */
  declineUnmute(track: string): Promise<Done> {
    return this.ask("unmute.decline", { track });
  }

  updateDevice(params: DeviceParams): Promise<Done> {
    return this.ask("device.update", params);
  }

  setLayout(params: Omit<LayoutParams, "scope">): Promise<Done> {
    return this.ask("layout.set", { ...params, scope: "self" });
  }

  sendChat(params: ChatParams): Promise<ChatReceipt> {
    return this.ask("chat.send", params);
  }
}
