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
