// Crockford's base 32, as ULIDs use it.
const ALPHABET = "0123456789ABCDEFGHJKMNPQRSTVWXYZ";

function random(n: number): Uint8Array {
  return crypto.getRandomValues(new Uint8Array(n));
}

/** A ULID: 48 bits of time, 80 random bits; request ids sort by age in logs. */
export function ulid(now: number = Date.now()): string {
  let time = "";
  for (let i = 0; i < 10; i++) {
    time = ALPHABET[now % 32] + time;
    now = Math.floor(now / 32);
  }
  let rest = "";
  for (const b of random(16)) rest += ALPHABET[b % 32];
  return time + rest;
}

/** A random name with a prefix, 80 bits: device, load and track ids of this client. */
export function randomId(prefix: string): string {
  let s = "";
  for (const b of random(16)) s += ALPHABET[b % 32];
  return prefix + s.toLowerCase();
}

const SLOTS = 16;

/**
 * The device id of this tab: stable over reloads and over a killed and reopened
 * tab, yet different for two tabs open at once. Slot n of this browser has one
 * id in localStorage; a tab owns the first slot whose Web Lock it can take, and
 * the browser frees the lock when the tab dies. Without Web Locks (pages over
 * plain HTTP) every tab is slot 0's device and the newest one replaces the others.
 */
export async function deviceId(store: Storage | null = safeStorage("localStorage"), locks: LockManager | undefined = globalThis.navigator?.locks): Promise<string> {
  if (!store) return randomId("dev_");
  if (!locks) return slotId(store, 0);
  for (let slot = 0; slot < SLOTS; slot++) {
    const free = await new Promise<boolean>((resolve) => {
      void locks
        .request(`parley-device-${slot}`, { ifAvailable: true }, (lock) => {
          resolve(lock !== null);
          // Held until the page goes away.
          return lock === null ? undefined : new Promise<void>(() => {});
        })
        .catch(() => resolve(slot === 0));
    });
    if (free) return slotId(store, slot);
  }
  return randomId("dev_");
}

function slotId(store: Storage, slot: number): string {
  const key = `parley.device.${slot}`;
  const known = store.getItem(key);
  if (known) return known;
  const fresh = randomId("dev_");
  store.setItem(key, fresh);
  return fresh;
}

/** localStorage or sessionStorage, or null where the browser forbids it. */
export function safeStorage(which: "localStorage" | "sessionStorage"): Storage | null {
  try {
    return globalThis[which] ?? null;
  } catch {
    return null;
  }
}
