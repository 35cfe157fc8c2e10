// window.__parley: what tests and curious people may read. It changes nothing.

import { receiverStats } from "../sdk";
import { persons } from "./control";
import { connection, currentRoom, people, phase, roomState } from "./call";

interface Stat {
  type: string;
  [k: string]: unknown;
}

async function stats(): Promise<unknown> {
  const room = currentRoom();
  const pcs = room?.flow.connections ?? [];
  if (!room || pcs.length === 0) return null;
  const inbound: unknown[] = [];
  for (const track of room.remote.values()) {
    const report = (await receiverStats(track.receiver, track.pc)) as unknown as Stat[];
    for (const s of report) if (s.type === "inbound-rtp") inbound.push({ track: track.id, direct: track.direct, ...describe(s, report), ended: track.media.readyState });
  }
  const outbound: unknown[] = [];
  for (const pc of pcs) {
    const all = [...(await pc.getStats()).values()] as Stat[];
    for (const s of all) if (s.type === "outbound-rtp") outbound.push(describe(s, all));
  }
  return { phase: phase.value, state: roomState.value, connection: connection.value, figures: room.figures, rttMs: room.session.rttMs, inbound, outbound };
}

const fields = [
  "kind", "mid", "packetsReceived", "packetsSent", "packetsLost", "bytesReceived", "bytesSent", "framesDecoded", "framesEncoded", "keyFramesDecoded",
  "frameWidth", "frameHeight", "framesPerSecond", "totalAudioEnergy", "audioLevel", "jitter", "nackCount", "pliCount", "freezeCount", "rid", "targetBitrate",
];

function describe(s: Stat, report: Stat[]): Record<string, unknown> {
  const out: Record<string, unknown> = {};
  for (const f of fields) if (s[f] !== undefined) out[f] = s[f];
  const codec = report.find((c) => c.type === "codec" && c["id"] === s["codecId"]);
  if (codec) out["codec"] = codec["mimeType"];
  return out;
}

Object.defineProperty(window, "__parley", {
  value: Object.freeze({
    stats,
    participants: () => structuredClone(people.value.filter((p) => !p.held)),
    people: () => structuredClone(persons.value),
    self: () => structuredClone(currentRoom()?.self ?? null),
    /** How media flows: the server's word, the way it takes now, and the connections there are. */
    flow: () => {
      const f = currentRoom()?.flow;
      return f ? { manner: f.leg.manner, topology: f.leg.topology, path: f.currentPath(), server: f.server?.pc.connectionState ?? null, peers: f.links.map((l) => l.pc.connectionState), remote: [...f.remote.keys()] } : null;
    },
    /** End-to-end encryption: the safety number, our key's place, the members' keys, and frames so far; null where there is none. */
    seal: async () => {
      const room = currentRoom();
      const s = room?.seal.sealing;
      return s ? { number: s.number, place: s.place, self: s.self, members: s.members, counts: await s.counts(), states: [...room!.remote.values()].map((x) => ({ track: x.id, kind: x.media.kind, state: room!.seal.stateOf(x) })) } : null;
    },
    state: () => ({ phase: phase.value, room: roomState.value, connection: connection.value }),
    document: () => structuredClone(currentRoom()?.info ?? null),
  }),
});
