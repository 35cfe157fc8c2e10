// What a room gives its flow: our tracks, and what the document says of others'.

import { Flow, type FlowOptions } from "./flow";
import type { PeerRef } from "./protocol";
import type { Publisher } from "./publisher";
import type { RemoteTrack, RoomOptions, SlotSource } from "./room-types";
import type { Participant, Person, TrackInfo } from "./roster";
import type { Session } from "./session";

/** The parts of a room that matter here. */
interface Host {
  session: Session;
  opts: RoomOptions;
  publisher: () => Publisher;
  people: () => Person[];
}

const tracksOf = (people: Person[], p: PeerRef): TrackInfo[] =>
  people.filter((x) => x.part === p.part).flatMap((x) => x.devices.filter((d) => d.device === p.dev).flatMap((d) => d.tracks));

export function openFlow({ session, opts, publisher, people }: Host): Flow {
  const options: FlowOptions = {
    signal: <T>(conf: string, method: string, params: unknown) => session.request<T>(method, params, { conf }),
    sources: () => publisher().sources(),
    expected: (p) => tracksOf(people(), p).filter((t) => !t.muted).map((t) => t.id),
    silent: (id) => people().some((p) => p.devices.some((d) => d.tracks.some((t) => t.id === id && t.muted))),
    iceServers: () => session.welcome?.iceServers ?? [],
    relayOnly: () => opts.relayOnly ?? false,
    peerConnection: opts.peerConnection,
  };
  return new Flow(options);
}

/**
 * Whose picture or sound an arriving track is now. For a section that shows one
 * after another: by the server's word, else by the contributing source that the
 * packets name (RFC 3550, section 5.1).
 */
export function sourceOf(t: RemoteTrack, slots: ReadonlyMap<string, SlotSource>, here: Participant[]): string | undefined {
  const told = slots.get(t.id);
  if (told) return told.user;
  const csrc = t.id.startsWith("slot:") ? t.receiver.getContributingSources?.()[0]?.source : undefined;
  return here.find((p) => p.tracks.some((x) => x.id === t.id || (csrc !== undefined && x.srcId === csrc)))?.user;
}
