// Access tokens: taken from an invitation in the address bar's fragment,
// exchanged once, kept for this tab only.

import { ParleyError } from "./errors";
import { safeStorage } from "./ids";

export interface Access {
  token: string;
  room?: string;
  role?: string;
  name?: string;
}

/** What the fragment of an address carries; null if nothing of ours. */
export function readFragment(hash: string): { kind: "invite" | "owner"; secret: string } | null {
  const params = new URLSearchParams(hash.replace(/^#/, ""));
  for (const kind of ["invite", "owner"] as const) {
    const secret = params.get(kind);
    if (secret) return { kind, secret };
  }
  return null;
}

/** Removes the fragment from the address bar and the history: it is a key to the room. */
export function dropFragment(): void {
  const { pathname, search } = location;
  history.replaceState(history.state, "", pathname + search);
}

const key = (what: "token" | "invite", room: string | null) => `parley.${what}${room === null ? "" : `.${room}`}`;

/** The token kept for a room, or the owner's for every room. */
export function storedToken(room: string): string | undefined {
  const store = safeStorage("sessionStorage");
  return store?.getItem(key("token", room)) ?? store?.getItem(key("token", null)) ?? undefined;
}

/** Keeps a token for this tab; room null: for every room. */
export function storeToken(room: string | null, token: string): void {
  safeStorage("sessionStorage")?.setItem(key("token", room), token);
}

export function forgetToken(room: string): void {
  const store = safeStorage("sessionStorage");
  for (const k of [key("token", room), key("token", null), key("invite", room)]) store?.removeItem(k);
}

/** An invitation waits here until the person has given a name, for it goes into the token. */
export function storeInvite(room: string, secret: string): void {
  safeStorage("sessionStorage")?.setItem(key("invite", room), secret);
}

export function storedInvite(room: string): string | undefined {
  return safeStorage("sessionStorage")?.getItem(key("invite", room)) ?? undefined;
}

/** Exchanges an invitation or the owner's key for an access token. A guest's name is written into it. */
export function exchange(kind: "invite" | "owner", secret: string, name?: string): Promise<Access> {
  return post<Access>("/auth/exchange", { [kind]: secret, name });
}

/** Makes an invitation to a room; moderators and owners may. */
export function invite(token: string, room: string, role = "presenter"): Promise<{ invite: string; exp: number }> {
  return post("/auth/invite", { room, role }, token);
}

async function post<T>(path: string, body: unknown, token?: string): Promise<T> {
  const headers: Record<string, string> = { "Content-Type": "application/json" };
  if (token) headers["Authorization"] = `Bearer ${token}`;
  const res = await fetch(path, { method: "POST", headers, body: JSON.stringify(body), cache: "no-store" });
  const text = await res.text();
  let data: Record<string, unknown> = {};
  try {
    data = JSON.parse(text) as Record<string, unknown>;
  } catch {
    // Plain text of a proxy.
  }
  if (!res.ok) {
    const e = (data["error"] ?? data) as { reason?: string; message?: string };
    throw new ParleyError({ code: res.status, reason: typeof e.reason === "string" ? e.reason : "http", message: e.message });
  }
  return data as T;
}

/** What may be known of a room before joining. */
export interface RoomStatus {
  active?: boolean;
  locked?: boolean;
  title?: string;
  /** "none" in --dev, where a name is enough; "token" otherwise. */
  auth?: string;
  wsUrl?: string;
  userCount?: number;
  /** Media is encrypted end to end. */
  e2ee?: boolean;
}

export async function roomStatus(room: string, token?: string): Promise<RoomStatus | null> {
  try {
    const headers: Record<string, string> = token ? { Authorization: `Bearer ${token}` } : {};
    const res = await fetch(`/r/${encodeURIComponent(room)}/status`, { headers, cache: "no-store" });
    if (!res.ok || !res.headers.get("Content-Type")?.includes("json")) return null;
    return (await res.json()) as RoomStatus;
  } catch {
    return null;
  }
}
