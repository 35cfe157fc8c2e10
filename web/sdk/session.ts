// One signalling session over a WebSocket that may come and go: hello/welcome,
// requests, heartbeat, resume. It knows nothing of conferences or media.

import { backoff } from "./backoff";
import { Emitter } from "./emitter";
import { failure, ParleyError } from "./errors";
import { ulid } from "./ids";
import { SUBPROTOCOL, type Goodbye, type Notify, type Response, type Welcome, type WireError } from "./protocol";

export type SessionState = "idle" | "connecting" | "open" | "reconnecting" | "closed";

export interface SessionOptions {
  /** ws: or wss: address of the server's /ws. */
  url: string;
  /** Access token; a server in --dev lets people in by name alone. */
  token?: string;
  name?: string;
  client?: { name: string; version: string };
  /** For tests. */
  webSocket?: (url: string, protocol: string) => WebSocket;
  random?: () => number;
}

export interface SessionEvents {
  state: SessionState;
  welcome: Welcome;
  /** The old session is gone for good and a new one is open: join again. */
  renewed: Welcome;
  /** The socket is back and nothing was lost (resync: full documents follow). */
  resumed: Welcome;
  notify: Notify;
  message: { method: string; from?: string; params?: unknown };
  /** The server sends us away; unless it says disconnect, we come back by ourselves. */
  goodbye: Goodbye;
  /** The session ended and will not come back by itself. */
  closed: ParleyError;
}

export interface RequestOptions {
  conf?: string;
  ttlMs?: number;
  onProvisional?: (r: Response) => void;
}

interface Pending {
  frame: Record<string, unknown>;
  ttlMs: number;
  resolve: (result: unknown) => void;
  reject: (err: ParleyError) => void;
  onProvisional?: (r: Response) => void;
  timer?: ReturnType<typeof setTimeout>;
  /** The server said 182: the wait is for people, and the clock stands still. */
  queued?: boolean;
}

const HELLO_TIMEOUT_MS = 10_000; // the server answers at once; a captive portal never does
/**
 * While coming back, a connection that has not opened after this long gets a
 * rival: packets of a dead network are sent again ever more seldom, and a fresh
 * connection is there within two seconds of the network's return.
 */
const RIVAL_MS = 1_500;
const MAX_OPENING = 3;
const DEFAULT_TTL_MS = 15_000;
const ACK_EVERY = 32; // frames; the server buffers up to 1,000 of them for a resume

// What a hello was refused with, for servers whose frame got lost with the socket.
const closeCodes: Record<number, WireError> = {
  4401: { code: 401, reason: "unauthenticated" },
  4429: { code: 429, reason: "rate" },
  4481: { code: 481, reason: "no-session" },
  4503: { code: 503, reason: "overloaded" },
  4505: { code: 505, reason: "version" },
};

type Frame = Record<string, unknown> & { kind?: string };

/** See the head of this file. Use {@link Room} unless you write a tool. */
export class Session extends Emitter<SessionEvents> {
  state: SessionState = "idle";
  welcome: Welcome | null = null;

  private socket: WebSocket | null = null;
  private resume: { session: string; token: string } | null = null;
  private lastSeq = 0;
  private acked = 0;
  private attempt = 0;
  private pending = new Map<string, Pending>();
  private retryTimer?: ReturnType<typeof setTimeout>;
  private rivalTimer?: ReturnType<typeof setTimeout>;
  private opening: WebSocket[] = []; // not open yet, oldest first
  private beatTimer?: ReturnType<typeof setInterval>;
  private helloTimer?: ReturnType<typeof setTimeout>;
  private lastHeard = 0;
  private greeted = false;
  private readonly wake = () => this.retryNow();

  constructor(private readonly opts: SessionOptions) {
    super();
  }

  /** Round trip of the last heartbeat, ms. */
  rttMs: number | null = null;

  /** Takes up a session of an earlier page load; call it before connect(). */
  resumeFrom(r: { session: string; token: string; lastSeq: number } | null): void {
    if (!r) return;
    this.resume = { session: r.session, token: r.token };
    this.lastSeq = this.acked = r.lastSeq;
  }

  /** Opens the session; resolves with the first welcome. Reconnects by itself until close(). */
  connect(): Promise<Welcome> {
    if (this.state !== "idle") throw new Error("connect() was called before");
    globalThis.addEventListener?.("online", this.wake);
    this.setState("connecting");
    return new Promise((resolve, reject) => {
      const off = [this.on("welcome", (w) => (off.forEach((f) => f()), resolve(w))), this.on("closed", (e) => (off.forEach((f) => f()), reject(e)))];
      this.open();
    });
  }

  /** Sends one request and resolves with the result of its final response. */
  request<T = unknown>(method: string, params?: unknown, opts: RequestOptions = {}): Promise<T> {
    return this.call({ kind: "request", method, conf: opts.conf, params, ttlMs: opts.ttlMs }, opts) as Promise<T>;
  }

  /** Subscribes to a package; documents and events come as "notify". */
  subscribe(conf: string, pkg: string, how: { filter?: unknown; expiresS?: number } = {}): Promise<unknown> {
    return this.call({ kind: "subscribe", conf, package: pkg, ...how }, {});
  }

  /** Sends a one-way message; lost if the socket is away, which suits what it is for. */
  message(method: string, params: unknown, conf?: string): void {
    if (this.greeted) this.send({ kind: "message", method, conf, params, ack: this.takeAck() });
  }

  /** Withdraws an open request; it ends with 487 unless it was done already. */
  cancel(id: string): Promise<unknown> {
    return this.request("request.cancel", { id });
  }

  /** Ends the session from this side. */
  close(reason = "closed"): void {
    this.finish(failure(200, reason));
  }

  /** Skips the wait before the next attempt, for instance when the network is back. */
  retryNow(): void {
    if (this.state !== "reconnecting" || this.socket) return;
    if (this.opening.length > 0) {
      clearTimeout(this.rivalTimer);
      this.knock();
      return;
    }
    clearTimeout(this.retryTimer);
    this.attempt = 0;
    this.open();
  }

  /** Cuts the socket as a network failure would; for tests. */
  cut(): void {
    this.lost();
  }

  // ---- requests

  private call(frame: Record<string, unknown>, opts: RequestOptions): Promise<unknown> {
    if (this.state === "closed" || this.state === "idle") return Promise.reject(failure(481, "no-session"));
    return new Promise((resolve, reject) => {
      const id = ulid();
      const p: Pending = { frame: { ...frame, id }, ttlMs: opts.ttlMs ?? DEFAULT_TTL_MS, resolve, reject, onProvisional: opts.onProvisional };
      this.pending.set(id, p);
      if (this.greeted) this.dispatch(id, p);
    });
  }

  private dispatch(id: string, p: Pending): void {
    clearTimeout(p.timer);
    this.send({ ...p.frame, ack: this.takeAck() });
    if (p.queued) return;
    // The server answers 408 itself at ttlMs; this is for a server that does not answer at all.
    p.timer = setTimeout(() => this.settle(id, failure(408, "timeout")), p.ttlMs + 5_000);
  }

  private settle(id: string, outcome: ParleyError | { result: unknown }): void {
    const p = this.pending.get(id);
    if (!p) return;
    clearTimeout(p.timer);
    this.pending.delete(id);
    if (outcome instanceof ParleyError) p.reject(outcome);
    else p.resolve(outcome.result);
  }

  private failAll(err: ParleyError): void {
    for (const id of [...this.pending.keys()]) this.settle(id, err);
  }

  // ---- socket

  private open(): void {
    this.greeted = false;
    this.helloTimer = setTimeout(() => this.lost(), HELLO_TIMEOUT_MS);
    this.knock();
  }

  /** Opens one connection; the first of several that opens is taken. */
  private knock(): void {
    const make = this.opts.webSocket ?? ((url, protocol) => new WebSocket(url, protocol));
    let socket: WebSocket;
    try {
      socket = make(this.opts.url, SUBPROTOCOL);
    } catch {
      this.lost();
      return;
    }
    this.opening.push(socket);
    if (this.opening.length > MAX_OPENING) abandon(this.opening.shift()!);
    socket.onopen = () => this.take(socket);
    socket.onmessage = (ev) => {
      if (socket === this.socket && typeof ev.data === "string") this.receive(ev.data);
    };
    socket.onclose = (ev) => this.closed(socket, ev.code);
    if (this.resume) this.rivalTimer = setTimeout(() => this.knock(), RIVAL_MS);
  }

  private take(socket: WebSocket): void {
    clearTimeout(this.rivalTimer);
    this.socket = socket;
    for (const other of this.opening) if (other !== socket) abandon(other);
    this.opening = [];
    this.hello();
  }

  private closed(socket: WebSocket, code: number): void {
    this.opening = this.opening.filter((s) => s !== socket);
    if (this.socket ? socket !== this.socket : this.opening.length > 0) return;
    const refused = closeCodes[code];
    if (refused && !this.greeted) this.onRefusedHello(refused);
    else if (code === 4409) this.finish(failure(410, "replaced")); // another socket took this session up
    else this.lost();
  }

  private hello(): void {
    const frame: Record<string, unknown> = { kind: "hello", versions: [1], client: this.opts.client };
    if (this.opts.token || this.opts.name) frame["auth"] = { token: this.opts.token, name: this.opts.name };
    if (this.resume) frame["resume"] = { session: this.resume.session, token: this.resume.token, lastSeq: this.lastSeq };
    this.send(frame);
  }

  private send(frame: Record<string, unknown>): void {
    if (this.socket?.readyState === 1) this.socket.send(JSON.stringify(frame));
  }

  private takeAck(): number | undefined {
    if (this.acked === this.lastSeq) return undefined;
    return (this.acked = this.lastSeq);
  }

  /** The socket is gone or silent: drop it and come back by resume. */
  private lost(): void {
    this.dropSocket();
    if (this.state === "closed") return;
    if (this.state !== "connecting") this.setState("reconnecting");
    this.retryLater();
  }

  private dropSocket(): void {
    clearTimeout(this.helloTimer);
    clearTimeout(this.retryTimer);
    clearTimeout(this.rivalTimer);
    clearInterval(this.beatTimer);
    this.greeted = false;
    for (const p of this.pending.values()) clearTimeout(p.timer); // they are sent again
    for (const socket of this.opening) abandon(socket);
    if (this.socket) abandon(this.socket);
    this.opening = [];
    this.socket = null;
  }

  private retryLater(atLeastMs = 0): void {
    const wait = Math.max(atLeastMs, backoff(this.attempt++, this.opts.random));
    this.retryTimer = setTimeout(() => this.open(), wait);
  }

  private finish(err: ParleyError): void {
    if (this.state === "closed") return;
    globalThis.removeEventListener?.("online", this.wake);
    this.dropSocket();
    this.setState("closed");
    this.failAll(err);
    this.emit("closed", err);
  }

  private setState(state: SessionState): void {
    if (this.state === state) return;
    this.state = state;
    this.emit("state", state);
  }

  // ---- frames

  private receive(text: string): void {
    let frame: Frame;
    try {
      frame = JSON.parse(text) as Frame;
    } catch {
      return;
    }
    this.lastHeard = Date.now();
    const handler = frame.kind ? this.handlers[frame.kind] : undefined;
    if (handler) handler(frame);
  }

  private readonly handlers: Record<string, (f: Frame) => void> = {
    welcome: (f) => this.onWelcome(f as unknown as Welcome),
    response: (f) => this.onResponse(f as unknown as Response),
    error: (f) => this.onRefusedHello((f["error"] ?? f) as WireError),
    notify: (f) => this.ordered(f, () => this.emit("notify", f as unknown as Notify)),
    message: (f) => this.ordered(f, () => this.emit("message", f as never)),
    ping: (f) => this.send({ kind: "pong", t: f["t"], ack: this.takeAck() }),
    pong: (f) => {
      if (typeof f["t"] === "number") this.rttMs = Math.max(0, Date.now() - f["t"]);
    },
    goodbye: (f) => this.onGoodbye(f as unknown as Goodbye),
  };

  /** Drops what a resume replayed twice, and keeps count for ack. */
  private ordered(f: Frame, deliver: () => void): void {
    const seq = f["seq"];
    if (typeof seq === "number" && seq > 0) {
      if (seq <= this.lastSeq) return;
      this.lastSeq = seq;
    }
    deliver();
    if (this.lastSeq - this.acked >= ACK_EVERY) this.send({ kind: "ack", ack: this.takeAck() });
  }

  private onWelcome(w: Welcome): void {
    clearTimeout(this.helloTimer);
    const again = this.welcome !== null;
    const renewed = again && !w.resumed;
    this.welcome = w;
    this.resume = { session: w.session, token: w.resumeToken };
    this.attempt = 0;
    this.greeted = true;
    if (!w.resumed || w.resync) this.lastSeq = this.acked = w.seq ?? 0;
    this.startHeartbeat(w.heartbeatMs || 4_000);
    if (renewed) this.failAll(failure(481, "session-lost"));
    else for (const [id, p] of this.pending) this.dispatch(id, p);
    this.setState("open");
    if (renewed) this.emit("renewed", w);
    else if (again) this.emit("resumed", w);
    this.emit("welcome", w);
  }

  private startHeartbeat(everyMs: number): void {
    clearInterval(this.beatTimer);
    this.lastHeard = Date.now();
    this.beatTimer = setInterval(() => {
      // Two missed beats: the socket is dead even if the system has not noticed.
      if (Date.now() - this.lastHeard > 2.5 * everyMs) this.lost();
      else this.send({ kind: "ping", t: Date.now(), ack: this.takeAck() });
    }, everyMs);
  }

  private onResponse(r: Response): void {
    if (!this.greeted) {
      if (r.error) this.onRefusedHello(r.error);
      return;
    }
    if (typeof r.seq === "number" && r.seq > this.lastSeq) this.lastSeq = r.seq;
    if (!r.final && r.code < 200) {
      this.onProvisional(r);
      return;
    }
    this.settle(r.id, r.error ? new ParleyError({ ...r.error, code: r.error.code || r.code }) : { result: r.result });
  }

  private onProvisional(r: Response): void {
    const p = this.pending.get(r.id);
    if (!p) return;
    if (r.code === 182) {
      p.queued = true;
      clearTimeout(p.timer);
    }
    p.onProvisional?.(r);
  }

  /** An answer to hello that is no welcome: the session to resume is unknown, or we are not let in. */
  private onRefusedHello(e: WireError): void {
    if (this.resume && (e.code === 481 || e.code === 404 || e.code === 410)) {
      this.resume = null;
      this.dropSocket();
      this.open();
      return;
    }
    if (e.code === 503 || e.code === 429) {
      this.dropSocket();
      if (this.state !== "connecting") this.setState("reconnecting");
      this.retryLater(e.retryAfterMs);
      return;
    }
    this.finish(new ParleyError(e));
  }

  private onGoodbye(g: Goodbye): void {
    this.emit("goodbye", g);
    if (g.action === "disconnect") {
      this.finish(failure(g.reason === "unauthenticated" ? 401 : 410, g.reason));
      return;
    }
    if (g.action === "reconnect") this.resume = null;
    this.dropSocket();
    this.setState("reconnecting");
    this.retryLater(g.afterMs ?? 0);
  }
}

/** Closes a socket that nobody listens to any more. */
function abandon(socket: WebSocket): void {
  socket.onopen = socket.onmessage = socket.onclose = null;
  try {
    socket.close();
  } catch {
    // It was never open.
  }
}
