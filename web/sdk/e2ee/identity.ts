// Who a device is to the others: an identity key that stays with the
// installation, and a key of this session that it signs.

import { concat, fromBase64, toBase64, utf8, type Bytes } from "./bytes";

/** Public keys as they go with the join and stand in the roster. */
export interface PublicKeys {
  identity: string;
  key: string;
  sig: string;
}

/** The private side of a session. */
export interface SessionKeys {
  public: PublicKeys;
  agree: CryptoKey;
}

const CURVE = "P-256";
const ECDSA = { name: "ECDSA", namedCurve: CURVE };
const SIGN = { name: "ECDSA", hash: "SHA-256" };
const POINT = 65;
const SIGNATURE = 64;
const CONTEXT = utf8("Parley E2EE session key 1\0");

/** What is kept between visits; a store without persistence makes a new identity each time. */
export interface KeyStore {
  load(): Promise<CryptoKeyPair | undefined>;
  save(pair: CryptoKeyPair): Promise<void>;
}

/** The identity of this installation, made on first use. Its private key cannot be exported. */
export async function identity(store: KeyStore): Promise<CryptoKeyPair> {
  const kept = await store.load().catch(() => undefined);
  if (kept) return kept;
  const made = await crypto.subtle.generateKey(ECDSA, false, ["sign", "verify"]);
  await store.save(made).catch(() => undefined); // private windows of some browsers keep nothing
  // Two pages may open at once for the first time: the one kept last counts for both.
  return (await store.load().catch(() => undefined)) ?? made;
}

/** Fresh keys for one stay in one conference. */
export async function sessionKeys(id: CryptoKeyPair): Promise<SessionKeys> {
  const pair = await crypto.subtle.generateKey({ name: "ECDH", namedCurve: CURVE }, false, ["deriveBits"]);
  const [key, who] = await Promise.all([raw(pair.publicKey), raw(id.publicKey)]);
  const sig = new Uint8Array(await crypto.subtle.sign(SIGN, id.privateKey, concat(CONTEXT, key)));
  return { public: { identity: toBase64(who), key: toBase64(key), sig: toBase64(sig) }, agree: pair.privateKey };
}

async function raw(key: CryptoKey): Promise<Bytes> {
  return new Uint8Array(await crypto.subtle.exportKey("raw", key));
}

/** Whether the identity has signed the session's key. */
export async function verify(k: PublicKeys): Promise<boolean> {
  const [who, key, sig] = [fromBase64(k.identity), fromBase64(k.key), fromBase64(k.sig)];
  if (who?.length !== POINT || key?.length !== POINT || sig?.length !== SIGNATURE) return false;
  try {
    const pub = await crypto.subtle.importKey("raw", who, ECDSA, false, ["verify"]);
    return await crypto.subtle.verify(SIGN, pub, sig, concat(CONTEXT, key));
  } catch {
    return false; // no point of the curve
  }
}

const DB = "parley-e2ee";
const TABLE = "keys";

/** In IndexedDB, which can hold keys that no script can read. */
export const browserStore: KeyStore = {
  load: () => table("readonly", (t) => t.get("identity") as IDBRequest<CryptoKeyPair | undefined>),
  save: async (pair) => {
    // add, not put: what another page has just made stays.
    await table("readwrite", (t) => t.add(pair, "identity")).catch(() => undefined);
  },
};

function table<T>(mode: IDBTransactionMode, use: (t: IDBObjectStore) => IDBRequest<T>): Promise<T> {
  return new Promise((resolve, reject) => {
    const open = indexedDB.open(DB, 1);
    open.onupgradeneeded = () => open.result.createObjectStore(TABLE);
    open.onerror = () => reject(open.error);
    open.onsuccess = () => {
      const db = open.result;
      const r = use(db.transaction(TABLE, mode).objectStore(TABLE));
      r.onsuccess = () => (db.close(), resolve(r.result));
      r.onerror = () => (db.close(), reject(r.error));
    };
  });
}
