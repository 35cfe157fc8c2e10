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

const key = (room: string) => `parley.token.${room}`;
const OWNER_KEY = "parley.token";

/** The token kept for a room, or the owner's for every room. */
export function storedToken(room: string): string | undefined {
  const store = safeStorage("sessionStorage");
  return store?.getItem(key(room)) ?? store?.getItem(OWNER_KEY) ?? undefined;
}

export function storeToken(room: string | null, token: string): void {
  safeStorage("sessionStorage")?.setItem(room === null ? OWNER_KEY : key(room), token);
}

export function forgetToken(room: string): void {
  const store = safeStorage("sessionStorage");
  store?.removeItem(key(room));
  store?.removeItem(OWNER_KEY);
}

/** Exchanges an invitation or the owner's secret for an access token. */
export function exchange(kind: "invite" | "owner", secret: string, room?: string): Promise<Access> {
  return post<Access>("/auth/exchange", { [kind]: secret, room });
}

/** Makes an invitation to a room; needs the right to. */
export function invite(token: string, room: string, role = "presenter"): Promise<{ invite?: string; url?: string }> {
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
}

export async function roomStatus(room: string): Promise<RoomStatus | null> {
  try {
    const res = await fetch(`/r/${encodeURIComponent(room)}/status`, { cache: "no-store" });
    if (!res.ok || !res.headers.get("Content-Type")?.includes("json")) return null;
    return (await res.json()) as RoomStatus;
  } catch {
    return null;
  }
}
