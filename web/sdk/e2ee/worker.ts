// The worker through which every encoded frame goes on its way between codec and
// network (WebRTC Encoded Transform). It fails closed: a frame that cannot be
// sealed does not leave, one that cannot be opened is not decoded.

import { openFrame, sealable, sealFrame, type FrameKind } from "./frames";
import type { Bytes } from "./bytes";
import { ReceiverRing, SenderRing } from "./keyring";
import type { Counts, FromWorker, Role, SealState, ToWorker } from "./wire";

/** The parts of RTCEncodedVideoFrame and RTCEncodedAudioFrame that matter here. */
interface EncodedFrame {
  data: ArrayBuffer;
  getMetadata(): { mimeType?: string };
}

interface ScriptTransformer {
  readable: ReadableStream<EncodedFrame>;
  writable: WritableStream<EncodedFrame>;
  options: Role;
  sendKeyFrameRequest?(): Promise<void>;
}

interface Scope {
  postMessage(m: FromWorker): void;
  onmessage: ((e: MessageEvent<ToWorker>) => void) | null;
  onrtctransform: ((e: Event & { transformer: ScriptTransformer }) => void) | null;
}

const scope = globalThis as unknown as Scope;
const own = new SenderRing();
const others = new ReceiverRing();
const counts: Counts = { sealed: 0, withheld: 0, opened: 0, dropped: 0 };

/** A receiver's transform: whose frames it takes, and what the page was told of it. */
interface Receiving {
  expected: string | null;
  state: SealState;
  from: string | null;
  bad: number;
  asked: number;
}

const receiving = new Map<number, Receiving>();
const BAD_ENOUGH = 5; // frames in a row before it is called failed: a key may be changing
const ASK_EVERY_MS = 1_000;

function receiver(id: number): Receiving {
  let r = receiving.get(id);
  if (!r) receiving.set(id, (r = { expected: "", state: "none", from: null, bad: 0, asked: 0 }));
  return r;
}

function tell(id: number, r: Receiving, state: SealState, from: string | null): void {
  if (r.state === state && r.from === from) return;
  [r.state, r.from] = [state, from];
  scope.postMessage({ t: "state", id, state, from });
}

// ---- frames

async function outgoing(kind: FrameKind, frame: EncodedFrame): Promise<boolean> {
  if (frame.data.byteLength === 0) return false;
  const sealed = sealable(kind, frame.getMetadata().mimeType) ? await sealFrame(own, kind, new Uint8Array(frame.data)) : null;
  counts[sealed ? "sealed" : "withheld"]++;
  if (sealed) frame.data = sealed.buffer;
  return sealed !== null;
}

async function incoming(id: number, kind: FrameKind, frame: EncodedFrame, wake: () => void): Promise<boolean> {
  const r = receiver(id);
  if (frame.data.byteLength === 0) return false;
  if (r.expected === "") { // the roster does not say yet whose it is
    counts.dropped++;
    tell(id, r, "waiting", null);
    return false;
  }
  const got = await openFrame(others, r.expected, kind, new Uint8Array(frame.data) as Bytes);
  if (typeof got !== "string") {
    counts.opened++;
    r.bad = 0;
    if (r.state !== "secure") wake();
    tell(id, r, "secure", got.from);
    frame.data = got.plain.buffer;
    return true;
  }
  counts.dropped++;
  if (got === "stale") return false;
  r.bad++;
  if (got === "missing") ask(r);
  if (r.bad >= BAD_ENOUGH || r.state === "none") tell(id, r, got === "missing" ? "waiting" : "failed", null);
  return false;
}

function ask(r: Receiving): void {
  if (Date.now() - r.asked < ASK_EVERY_MS) return;
  r.asked = Date.now();
  scope.postMessage({ t: "missing", of: r.expected });
}

function run(role: Role, readable: ReadableStream<EncodedFrame>, writable: WritableStream<EncodedFrame>, keyFrame: () => void): void {
  const step = (f: EncodedFrame) => (role.dir === "send" ? outgoing(role.kind, f) : incoming(role.id, role.kind, f, keyFrame));
  const through = new TransformStream<EncodedFrame, EncodedFrame>({
    async transform(frame, controller) {
      const pass = await step(frame).catch(() => false);
      if (pass) controller.enqueue(frame);
    },
  });
  readable.pipeThrough(through).pipeTo(writable).catch(() => undefined); // the connection was closed
}

// ---- the page

scope.onrtctransform = ({ transformer: t }) => {
  run(t.options, t.readable, t.writable, () => {
    // What was dropped before the first good frame is missing to the decoder.
    if (t.options.kind === "video") void t.sendKeyFrameRequest?.().catch(() => undefined);
  });
};

scope.onmessage = ({ data: m }) => {
  switch (m.t) {
    case "own":
      void own.use(m.index, m.epoch);
      break;
    case "key":
      others.add(m.from, m.index, m.epoch);
      break;
    case "member":
      others.meet(m.from, m.index);
      break;
    case "forget":
      others.forget(m.from);
      break;
    case "expect": {
      const r = receiver(m.id);
      if (r.expected === m.from) break;
      r.expected = m.from;
      r.bad = 0;
      tell(m.id, r, "none", null);
      break;
    }
    case "drop":
      receiving.delete(m.id);
      break;
    case "streams":
      run(m.role, m.readable as ReadableStream<EncodedFrame>, m.writable as WritableStream<EncodedFrame>, () => undefined);
      break;
    case "count":
      scope.postMessage({ t: "count", reply: m.reply, counts: { ...counts } });
  }
};
