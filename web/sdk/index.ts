// Parley's TypeScript SDK: everything an application needs to hold a call.
//
//   const room = new Room({ room: "stand-up", name: "Ana" });
//   room.on("info", () => draw(room.participants));
//   room.on("remote", (tracks) => attach(tracks));
//   await room.join({ microphone, camera });
//
// Plain TypeScript, no framework, no dependency.

export { backoff } from "./backoff";
export * from "./devices";
export { Emitter } from "./emitter";
export { ParleyError } from "./errors";
export { deviceId, randomId, safeStorage, ulid } from "./ids";
export * from "./info";
export { MediaSession, SIMULCAST_RIDS, type LocalSource, type MediaOptions, type Received } from "./media";
export * from "./protocol";
export { figures, grade, worst, type Figures, type Quality, type Sample } from "./quality";
export { Room, type LocalTrack, type RemoteTrack, type RoomEvents, type RoomOptions, type RoomState } from "./room";
export { participants, type Participant, type TrackInfo } from "./roster";
export { Session, type SessionEvents, type SessionOptions, type SessionState } from "./session";
export { SpeakerPicker } from "./speakers";
export * from "./tokens";
