// Messages between two members, sealed so that the server, which carries them,
// reads nothing and can neither change, replay nor redirect them.
//
// Static Diffie-Hellman between the two session keys (ECDH P-256), each signed by
// its identity; HKDF-SHA-256 over it with the conference and both public keys,
// one key for each direction; AES-256-GCM with a random nonce. That is the
// authenticated mode of HPKE (RFC 9180) in purpose, not in bytes: WebCrypto has
// no HPKE, and both ends are ours.

import { concat, fromBase64, random, toBase64, utf8, type Bytes } from "./bytes";
import type { Epoch } from "./keyring";
import { hkdf } from "./sframe";

export type Letter = { type: "key"; seq: number; epoch: Epoch } | { type: "want"; seq: number };

const KEY = 1;
const WANT = 2;
const KEY_BYTES = 32;
const IV = 12;
const LABEL = "Parley E2EE envelope 1";

/** What two members have in common: a key for each direction. */
export class Pair {
  private constructor(private readonly to: CryptoKey, private readonly from: CryptoKey) {}

  static async of(conf: string, agree: CryptoKey, mine: string, theirs: string): Promise<Pair> {
    const [me, them] = [fromBase64(mine), fromBase64(theirs)];
    if (!me || !them) throw new TypeError("not a key");
    const pub = await crypto.subtle.importKey("raw", them, { name: "ECDH", namedCurve: "P-256" }, false, []);
    const shared = new Uint8Array(await crypto.subtle.deriveBits({ name: "ECDH", public: pub }, agree, 256));
    const direction = async (a: Bytes, b: Bytes, use: KeyUsage) => {
      const info = concat(utf8(`${LABEL}\0${conf}\0`), a, b);
      return crypto.subtle.importKey("raw", await hkdf("SHA-256", shared, info, 32), "AES-GCM", false, [use]);
    };
    return new Pair(await direction(me, them, "encrypt"), await direction(them, me, "decrypt"));
  }

  async seal(l: Letter): Promise<string> {
    const iv = random(IV);
    const body = await crypto.subtle.encrypt({ name: "AES-GCM", iv }, this.to, encode(l));
    return toBase64(concat(iv, new Uint8Array(body)));
  }

  /** Null: not from the other one, or not for us. */
  async open(body: string): Promise<Letter | null> {
    const b = fromBase64(body);
    if (!b || b.length <= IV) return null;
    try {
      return decode(new Uint8Array(await crypto.subtle.decrypt({ name: "AES-GCM", iv: b.subarray(0, IV) }, this.from, b.subarray(IV))));
    } catch {
      return null;
    }
  }
}

function encode(l: Letter): Bytes {
  const head = new Uint8Array(l.type === "key" ? 8 : 5);
  const v = new DataView(head.buffer);
  v.setUint8(0, l.type === "key" ? KEY : WANT);
  v.setUint32(1, l.seq);
  if (l.type === "want") return head;
  v.setUint16(5, l.epoch.generation);
  v.setUint8(7, l.epoch.step);
  return concat(head, l.epoch.key);
}

function decode(b: Bytes): Letter | null {
  if (b.length < 5) return null;
  const v = new DataView(b.buffer, b.byteOffset, b.byteLength);
  const seq = v.getUint32(1);
  if (b[0] === WANT && b.length === 5) return { type: "want", seq };
  if (b[0] !== KEY || b.length !== 8 + KEY_BYTES) return null;
  return { type: "key", seq, epoch: { generation: v.getUint16(5), step: v.getUint8(7), key: b.slice(8) } };
}
