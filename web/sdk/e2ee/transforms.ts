// Puts the worker between codec and network, on every sender and receiver of a
// connection before anything flows through it.

import type { FrameKind } from "./frames";
import type { Role, ToWorker } from "./wire";

/** What of a Worker is used; tests have their own. */
export interface WorkerPort {
  postMessage(m: ToWorker, transfer?: Transferable[]): void;
  onmessage: ((e: MessageEvent) => void) | null;
  onerror?: ((e: ErrorEvent) => void) | null;
  terminate(): void;
}

/** Not in every browser's types. */
interface ScriptTransform {
  new (worker: WorkerPort, options: Role): unknown;
}

interface Transformable {
  transform?: unknown;
  createEncodedStreams?: () => { readable: ReadableStream; writable: WritableStream };
}

const scriptTransform = (): ScriptTransform | undefined => (globalThis as unknown as { RTCRtpScriptTransform?: ScriptTransform }).RTCRtpScriptTransform;

const legacy = (): boolean => typeof (globalThis.RTCRtpSender?.prototype as Transformable | undefined)?.createEncodedStreams === "function";

/** Whether this browser can take part in encrypted calls. */
export function supported(): boolean {
  return typeof Worker === "function" && !!globalThis.crypto?.subtle && (scriptTransform() !== undefined || legacy());
}

/** The transforms of one call. */
export class Transforms {
  private readonly ids = new WeakMap<object, number>();
  private last = 0;

  constructor(private readonly worker: WorkerPort) {}

  config(c: RTCConfiguration): RTCConfiguration {
    return scriptTransform() ? c : ({ ...c, encodedInsertableStreams: true } as RTCConfiguration);
  }

  sender(s: RTCRtpSender, kind: FrameKind): void {
    this.put(s, { id: ++this.last, dir: "send", kind });
  }

  receiver(r: RTCRtpReceiver, kind: FrameKind): void {
    this.ids.set(r, ++this.last);
    this.put(r, { id: this.last, dir: "receive", kind });
  }

  /** The number of a receiver; undefined: it has no transform. */
  idOf(r: RTCRtpReceiver): number | undefined {
    return this.ids.get(r);
  }

  private put(end: RTCRtpSender | RTCRtpReceiver, role: Role): void {
    const t = end as Transformable;
    const Script = scriptTransform();
    if (Script) {
      t.transform = new Script(this.worker, role);
      return;
    }
    const { readable, writable } = t.createEncodedStreams!();
    this.worker.postMessage({ t: "streams", role, readable, writable }, [readable, writable] as unknown as Transferable[]);
  }
}

/** Only what frames are sealed for is offered: VP8 and Opus, with retransmission. RED would hide frames in frames. */
export function preferSealed(t: RTCRtpTransceiver, kind: FrameKind): void {
  const codecs = globalThis.RTCRtpReceiver?.getCapabilities?.(kind)?.codecs;
  if (!codecs || !t.setCodecPreferences) return;
  const wanted = kind === "audio" ? ["audio/opus"] : ["video/vp8", "video/rtx", "video/flexfec-03"];
  const rank = (c: { mimeType: string }) => wanted.indexOf(c.mimeType.toLowerCase());
  t.setCodecPreferences(codecs.filter((c) => rank(c) >= 0).sort((a, b) => rank(a) - rank(b)));
}
