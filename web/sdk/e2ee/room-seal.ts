// What a room has to do with end-to-end encryption: its keys for the join, the
// refusal to go on where it is wanted and is not, and whose stream is whose.

import { failure, ParleyError } from "../errors";
import type { Received } from "../media";
import type { JoinResult } from "../protocol";
import type { RemoteTrack, RoomOptions } from "../room-types";
import type { Participant } from "../roster";
import { browserStore, identity, sessionKeys, type PublicKeys, type SessionKeys } from "./identity";
import { Sealing, type Message } from "./sealing";
import { supported, type Transforms, type WorkerPort } from "./transforms";
import type { SealState } from "./wire";

/** Put in by the build: the worker's file. */
declare const PARLEY_E2EE_WORKER: string | undefined;

function startWorker(): WorkerPort {
  if (typeof PARLEY_E2EE_WORKER !== "string") throw failure(501, "not-implemented", "no worker for end-to-end encryption was given");
  return new Worker(PARLEY_E2EE_WORKER, { name: "e2ee" }) as unknown as WorkerPort;
}

/** A section that carries one person after another: any member's frames pass. */
const shared = (track: string) => track.startsWith("slot:");

/** See the head of this file. Made by {@link Room}. */
export class RoomSeal {
  /** While we are in an encrypted conference. */
  sealing: Sealing | null = null;

  private keys: SessionKeys | null = null;
  private here: Participant[] = [];
  private sections: Received[] = [];
  /** Once encrypted, always: nothing that a server says later changes that. */
  private required: boolean;

  /** The worker failed: nothing is sent or shown any more. */
  onBroken: () => void = () => undefined;

  constructor(
    private readonly opts: Pick<RoomOptions, "e2ee" | "e2eeWorker" | "keyStore">,
    private readonly send: (messages: Message[]) => Promise<unknown>,
    private readonly changed: () => void,
  ) {
    this.required = opts.e2ee === "require";
  }

  get transforms(): Transforms | null {
    return this.sealing?.transforms ?? null;
  }

  /** Fresh keys for a join; null: this browser cannot. */
  async offer(): Promise<PublicKeys | null> {
    this.keys = null;
    if (!this.opts.e2eeWorker && !supported()) return null;
    try {
      this.keys = await sessionKeys(await identity(this.opts.keyStore ?? browserStore));
    } catch {
      return null; // the server says whether it can be done without
    }
    return this.keys.public;
  }

  /** Has the conference start encrypted, when that is wanted and nobody is in it yet: the first time, and when the server came back without it. */
  async start(request: (p: { e2ee: true }) => Promise<unknown>): Promise<void> {
    if (!this.required) return;
    if (!this.keys) throw failure(501, "e2ee-unsupported", "this browser cannot encrypt end to end");
    await request({ e2ee: true }).catch((err: unknown) => {
      // Not ours to start: the join tells what it is.
      if (!(err instanceof ParleyError) || ![403, 404, 409, 410].includes(err.code)) throw err;
    });
  }

  /** We are in. Throws where media would have to go in the clear and must not. */
  enter(join: JoinResult): void {
    const old = this.sealing;
    this.sealing = null;
    [this.here, this.sections] = [[], []];
    old?.close();
    if (!join.e2ee) {
      if (this.required) throw failure(403, "e2ee-missing", "the server does not encrypt this conference end to end");
      return;
    }
    if (!this.keys) throw failure(403, "e2ee-required", "this browser cannot take part in an encrypted conference");
    this.required = true;
    const worker = (this.opts.e2eeWorker ?? startWorker)();
    this.sealing = new Sealing({ conf: join.uri, keys: this.keys, worker, send: this.send });
    this.sealing.on("changed", this.changed);
    worker.onerror = () => this.onBroken();
    this.changed();
  }

  /** Sections carry other tracks. */
  arriving(list: Received[]): void {
    this.sections = list;
    this.assign();
  }

  /** The roster changed. */
  follow(here: Participant[]): void {
    this.here = here;
    this.sealing?.follow(here.flatMap((p) => (p.e2ee && !p.held ? [p.e2ee] : []))); // who is elsewhere neither sends nor hears
    this.assign();
  }

  private assign(): void {
    for (const { track, receiver } of this.sections) {
      const owner = this.here.find((p) => p.tracks.some((x) => x.id === track));
      this.sealing?.expect(receiver, shared(track) ? null : (owner?.e2ee?.key ?? ""));
    }
  }

  message(b: { from?: string; body?: string }): void {
    if (b.from && b.body) this.sealing?.letter(b.from, b.body);
  }

  /** How an arriving stream fares; none where nothing is encrypted. */
  stateOf(t: RemoteTrack): SealState {
    return this.sealing?.stateOf(t.receiver) ?? "none";
  }

  close(): void {
    this.sealing?.close();
    this.sealing = null;
  }
}
