// The administration API under /api/v1 (docs/api.md): the conferences a server
// keeps. For owners; their access token goes into every request.

import type { Definition, Policy } from "./commands";
import { ParleyError } from "./errors";

export interface ConferenceList {
  conferences: Definition[];
  /** That match, on all pages. */
  total: number;
  offset: number;
  limit: number;
}

export interface NewConference {
  uri?: string;
  title?: string;
  /** RFC 3339. */
  startsAt?: string;
  endsAt?: string;
  policy?: Policy;
  start?: boolean;
}

/** A client of the administration API; each method is one request. */
export class AdminApi {
  constructor(private readonly token: string, private readonly base = "/api/v1") {}

  list(filter: { state?: Definition["state"][]; q?: string; offset?: number; limit?: number } = {}): Promise<ConferenceList> {
    const query = new URLSearchParams();
    if (filter.state?.length) query.set("state", filter.state.join(","));
    if (filter.q) query.set("q", filter.q);
    if (filter.offset) query.set("offset", String(filter.offset));
    if (filter.limit) query.set("limit", String(filter.limit));
    const text = query.toString();
    return this.send("GET", `/conferences${text ? `?${text}` : ""}`);
  }

  create(conf: NewConference): Promise<Definition> {
    return this.send("POST", "/conferences", conf);
  }

  change(uri: string, patch: { title?: string; startsAt?: string; endsAt?: string; policy?: Policy; banned?: string[] }): Promise<Definition> {
    return this.send("PATCH", this.path(uri), patch);
  }

  /** An ended conference is scheduled again, with its policy and bans. */
  reopen(uri: string, when: { startsAt?: string; endsAt?: string; start?: boolean } = {}): Promise<Definition> {
    return this.send("POST", `${this.path(uri)}/reopen`, when);
  }

  /** Forgets a conference; end ends it first if it is active. */
  remove(uri: string, end = false): Promise<void> {
    return this.send("DELETE", this.path(uri) + (end ? "?end=true" : ""));
  }

  /** Gives a command of the protocol from outside. */
  command<T = unknown>(uri: string, method: string, params: unknown = {}): Promise<T> {
    return this.send("POST", `${this.path(uri)}/commands/${method}`, params);
  }

  private path(uri: string): string {
    return `/conferences/${encodeURIComponent(uri)}`;
  }

  private async send<T>(method: string, path: string, body?: unknown): Promise<T> {
    const headers: Record<string, string> = { Authorization: `Bearer ${this.token}` };
    if (body !== undefined) headers["Content-Type"] = "application/json";
    const res = await fetch(this.base + path, { method, headers, body: body === undefined ? undefined : JSON.stringify(body), cache: "no-store" });
    const text = await res.text();
    let data: Record<string, unknown> = {};
    try {
      if (text) data = JSON.parse(text) as Record<string, unknown>;
    } catch {
      // Plain text of a proxy.
    }
    if (res.ok) return data as T;
    const str = (v: unknown) => (typeof v === "string" ? v : undefined);
    throw new ParleyError({
      code: typeof data["code"] === "number" ? data["code"] : res.status, reason: str(data["reason"]) ?? "http", message: str(data["message"]),
      data: (data["data"] ?? {}) as Record<string, unknown>, retryAfterMs: typeof data["retryAfterMs"] === "number" ? data["retryAfterMs"] : undefined,
    });
  }
}
