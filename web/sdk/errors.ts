import type { WireError } from "./protocol";

/** A refusal by the server or a failure of this client, with a stable reason token. */
export class ParleyError extends Error {
  readonly code: number;
  readonly reason: string;
  readonly data: Record<string, unknown>;
  readonly retryAfterMs: number;

  constructor(e: WireError) {
    super(e.message || e.reason || `code ${e.code}`);
    this.name = "ParleyError";
    this.code = e.code;
    this.reason = e.reason;
    this.data = e.data ?? {};
    this.retryAfterMs = e.retryAfterMs ?? 0;
  }
}

export function failure(code: number, reason: string, message?: string): ParleyError {
  return new ParleyError({ code, reason, message });
}

const CONNECT_MS = 20_000; // a first connection that takes longer is told, not waited for

/** Rejects with 408 what takes longer than a person waits. */
export function inTime<T>(work: Promise<T>): Promise<T> {
  let timer: ReturnType<typeof setTimeout>;
  const late = new Promise<never>((_, reject) => (timer = setTimeout(() => reject(failure(408, "timeout")), CONNECT_MS)));
  return Promise.race([work, late]).finally(() => clearTimeout(timer));
}

export function asError(err: unknown): ParleyError {
  return err instanceof ParleyError ? err : failure(500, "failed", String((err as Error)?.message ?? err));
}
