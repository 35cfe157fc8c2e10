// Parley's TypeScript SDK: everything an application needs to hold a call.
//
//   const room = new Room({ room: "stand-up", name: "Ana" });
//   room.on("info", () => draw(room.participants));
//   room.on("remote", (tracks) => attach(tracks));
//   await room.join({ microphone, camera });
//
// Plain TypeScript, no framework, no dependency.

export * from "./admin";
export { backoff } from "./backoff";
export { Chat, type ChatEvents } from "./chat";
export * from "./commands";
export { FloorControl, Moderation, SelfControl, SidebarControl, type Ask } from "./control";
export * from "./devices";
export * from "./document";
export type { PublicKeys } from "./e2ee/identity";
export { RoomSeal } from "./e2ee/room-seal";
export { Sealing, type Sealed } from "./e2ee/sealing";
export { supported as e2eeSupported } from "./e2ee/transforms";
export type { Counts, SealState } from "./e2ee/wire";
export { Emitter } from "./emitter";
export { ParleyError } from "./errors";
export type { ConferenceEvent, ConferenceEvents, EventBase, Moved } from "./events";
export { deviceId, randomId, safeStorage, ulid } from "./ids";
export * from "./info";
export * from "./diff";
export { InputReporter, inputReport } from "./inputs";
export type { Path } from "./flow";
export { MediaSession, SIMULCAST_RIDS, type LocalSource, type MediaOptions, type Received } from "./media";
export * from "./protocol";
export { figures, grade, worst, type Figures, type Quality, type Sample } from "./quality";
export { receiverStats } from "./receiver-stats";
export { atLeast, grantable, may, mayAct } from "./rights";
export { Room } from "./room";
export type { LocalTrack, RemoteTrack, RoomEvents, RoomOptions, RoomState, SlotSource } from "./room-types";
export { hands, lobby, participants, people, type Participant, type Person, type TrackInfo, type Waiting } from "./roster";
export { Session, type SessionEvents, type SessionOptions, type SessionState } from "./session";
export { SpeakerPicker } from "./speakers";
export { CallStats, Series, StreamFigures, type ConnectionReport, type Point, type StatsReport, type StreamOutReport } from "./stats";
export * from "./tokens";
export { View, type Shown, type ViewOptions, type Withheld } from "./view";
