// What a room gives its flow: our tracks, and what the document says of others'.

import type { RoomSeal } from "./e2ee/room-seal";
import { Flow, type FlowOptions } from "./flow";
import type { PeerRef, PublishParams } from "./protocol";
import type { Publisher } from "./publisher";
import type { RemoteTrack, RoomOptions, SlotSource } from "./room-types";
import type { Participant, Person, TrackInfo } from "./roster";
import { randomId } from "./ids";
import type { Session, SessionOptions } from "./session";
import type { PublicKeys } from "./e2ee/identity";

/** The parts of a room that matter here. */
interface Host {
  session: Session;
  opts: RoomOptions;
  publisher: () => Publisher;
  people: () => Person[];
  seal: RoomSeal;
}

const tracksOf = (people: Person[], p: PeerRef): TrackInfo[] =>
  people.filter((x) => x.part === p.part).flatMap((x) => x.devices.filter((d) => d.device === p.dev).flatMap((d) => d.tracks));

export function openFlow({ session, opts, publisher, people, seal }: Host): Flow {
  const options: FlowOptions = {
    signal: <T>(conf: string, method: string, params: unknown) => session.request<T>(method, params, { conf }),
    sources: () => publisher().sources(),
    expected: (p) => tracksOf(people(), p).filter((t) => !t.muted).map((t) => t.id),
    silent: (id) => people().some((p) => p.devices.some((d) => d.tracks.some((t) => t.id === id && t.muted))),
    iceServers: () => session.welcome?.iceServers ?? [],
    relayOnly: () => opts.relayOnly ?? false,
    seal: () => seal.transforms,
    arriving: (list) => seal.arriving(list),
    peerConnection: opts.peerConnection,
  };
  return new Flow(options);
}

/** Body of conference.join. */
export function joinParams(o: RoomOptions, now: { device: string; tracks: PublishParams[]; e2ee?: PublicKeys; moved?: string }) {
  const caps = { p2p: o.p2p ?? true, relayOnly: o.relayOnly || undefined, e2ee: now.e2ee && true };
  return { ...now, load: randomId("load_"), name: o.name, kind: "browser", label: o.label, caps };
}

export function sessionOptions(o: RoomOptions): SessionOptions {
  const url = o.url ?? `${location.protocol === "https:" ? "wss" : "ws"}://${location.host}/ws`;
  return { url, token: o.token, name: o.token ? undefined : o.name, client: { name: "parley-web", version: "0.2.0" } };
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
