// Options, states and events of a room.

import type { KeyStore } from "./e2ee/identity";
import type { WorkerPort } from "./e2ee/transforms";
import type { ParleyError } from "./errors";
import type { ConferenceEvent } from "./events";
import type { ConferenceInfo } from "./info";
import type { Path } from "./flow";
import type { LegState, Role, Source } from "./protocol";
import type { Session } from "./session";
import type { Withheld } from "./view";

/**
 * lobby: waiting to be let in. moving: on the way to another conference or a
 * sidebar, or back. reconnecting: the signalling is lost and tries to return.
 */
export type RoomState = "idle" | "joining" | "lobby" | "joined" | "moving" | "reconnecting" | "left";

export interface RoomOptions {
  /** Name of the room as in /r/{conference}. */
  room: string;
  /** What others see. */
  name: string;
  token?: string;
  /**
   * Who the token stands for, in any words of the caller's. A session of an
   * earlier page load is taken up only when this is the same.
   */
  as?: string;
  /** Address of /ws; default: the page's own host. */
  url?: string;
  /** Send the camera in three sizes. Default false. */
  simulcast?: boolean;
  /** Receive only pictures that show() tells of, in the size it tells. Default: all, in full. */
  shownOnly?: boolean;
  /** Cameras to receive at a time, those of who spoke last; 0, the default: as many as the conference allows. */
  lastN?: number;
  /** Take part in sessions straight between people. Default true. */
  p2p?: boolean;
  /** Tell nobody the own address: between people, media then goes by the server's relay. */
  relayOnly?: boolean;
  /**
   * require: start the conference encrypted end to end where it does not run yet,
   * and send nothing where it is not. Default "allow": as the conference is.
   */
  e2ee?: "allow" | "require";
  /** Starts the worker that encrypts; default: the built file on the page's host. */
  e2eeWorker?: () => WorkerPort;
  /** Where this installation keeps its identity key; default: IndexedDB. */
  keyStore?: KeyStore;
  /** Name of this device for people. */
  label?: string;
  /** Tell the server which inputs this device has. Default true. */
  reportInputs?: boolean;
  /** For tests. */
  session?: Session;
  device?: string;
  peerConnection?: (config: RTCConfiguration) => RTCPeerConnection;
}

/** A track of another participant as it arrives. */
export interface RemoteTrack {
  id: string;
  media: MediaStreamTrack;
  receiver: RTCRtpReceiver;
  /** The connection it comes by. */
  pc: RTCPeerConnection;
  /** Straight from the other device, not by the server. */
  direct: boolean;
}

/** Whose picture or sound a shared section carries now. */
export interface SlotSource {
  track?: string;
  user?: string;
  device?: string;
}

/** A track of ours. */
export interface LocalTrack {
  source: Source;
  /** The server's id; empty until announced. */
  id: string;
  cid: string;
  media: MediaStreamTrack | null;
  muted: boolean;
  /** A moderator silenced it; it cannot be opened before one allows it. */
  blocked: boolean;
}

export interface RoomEvents {
  state: RoomState;
  /** We wait to be let in: for a decision ("lobby"), or for somebody who may decide ("waiting-for-moderator"). */
  waiting: string;
  /** The document changed: participants, lock, title. */
  info: ConferenceInfo;
  /** Arriving tracks changed. */
  remote: ReadonlyMap<string, RemoteTrack>;
  /** Our own tracks changed. */
  local: ReadonlyMap<Source, LocalTrack>;
  /** Track id of the active speaker's microphone, or null. */
  speaker: string | null;
  quality: void;
  /** New figures of how media flow, while they are watched. */
  stats: void;
  /** Our role changed. */
  role: Role;
  /** A moderator silenced a track of ours, or allows it again. */
  blocked: { source: Source; blocked: boolean; by?: string };
  /** A moderator asks us to open a track: answer by setMuted or declineUnmute. */
  unmuteRequested: { source: Source; track: string; by?: string };
  /** We are in another conference or sidebar now, or back. */
  moved: { conf: string; home: boolean; title: string };
  /** The conference ends at this time (ms since 1970); null: it does not. */
  ending: number | null;
  /** The server is going away, for instance to restart; the room comes back by itself. */
  draining: string;
  /** How media flows for us: another topology, other peers. */
  leg: LegState;
  /** The way that media takes now. */
  path: Path;
  /** What sections that show one after another show now, by their name (slot:1 …). */
  slots: ReadonlyMap<string, SlotSource>;
  /** End-to-end encryption: members, the safety number, or how a stream fares. */
  seal: void;
  /** Pictures that the server does not send now, and why: see View.withheld. */
  withheld: ReadonlyMap<string, Withheld>;
  /** State of the media connection. */
  connection: RTCPeerConnectionState;
  /** Something failed that does not end the room. */
  error: ParleyError;
  /** The room is over for us. */
  closed: ParleyError;
  /** Every event of the conference package. */
  event: ConferenceEvent;
}
