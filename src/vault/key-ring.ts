/**
 * The vault's keys. One random master key; every other key is derived from it by HKDF-SHA-256 (RFC 5869) with an
 * info string of its own, so that no key is ever used for two purposes.
 */
import { createCipheriv, createDecipheriv, hkdfSync } from "node:crypto";
import { recordCodec } from "./codec-choice.ts";
import { RecentMap } from "./recent-map.ts";
import { CodecKey, HMAC_BYTES, TAG_BYTES } from "./record-codec.ts";

export const MASTER_KEY_BYTES = 32;
/** Chunks and pages are named by the first 160 bits of a keyed hash. */
export const NAME_BYTES = 20;
const PACK_KEYS_MAX = 256;

/** What a name names: the same bytes as a block, a page and a delta have different names. */
export type NameDomain = "block" | "page" | "delta";

export class KeyRing {
  readonly #nameKeys: Record<NameDomain, CodecKey>;
  readonly #packKeys = new RecentMap<CodecKey>(PACK_KEYS_MAX);
  readonly #packKey: Buffer;
  readonly #objectKey: Buffer;

  constructor(masterKey: Buffer) {
    this.#nameKeys = {
      block: new CodecKey(deriveKey(masterKey, Buffer.alloc(0), "sluicegate name block v1")),
      page: new CodecKey(deriveKey(masterKey, Buffer.alloc(0), "sluicegate name page v1")),
      delta: new CodecKey(deriveKey(masterKey, Buffer.alloc(0), "sluicegate name delta v1")),
    };
    this.#packKey = deriveKey(masterKey, Buffer.alloc(0), "sluicegate pack v1");
    this.#objectKey = deriveKey(masterKey, Buffer.alloc(0), "sluicegate object v1");
  }

  /** The content's name: HMAC-SHA-256, cut to 160 bits. */
  nameOf(domain: NameDomain, content: Buffer): Buffer {
    const hash = Buffer.allocUnsafe(HMAC_BYTES);
    recordCodec().hmac(this.#nameKeys[domain], content, hash);
    return hash.subarray(0, NAME_BYTES);
  }

  /** The key of one pack: used for this pack id and no other. */
  packKey(packId: Buffer): CodecKey {
    const id = packId.toString("hex");
    let key = this.#packKeys.get(id);
    if (key === undefined) {
      key = new CodecKey(deriveKey(this.#packKey, packId, "sluicegate one pack v1"));
      this.#packKeys.set(id, key);
    }
    return key;
  }

  /** The key of one sealed object: used with this salt and no other. */
  objectKey(salt: Buffer): Buffer {
    return deriveKey(this.#objectKey, salt, "sluicegate one object v1");
  }
}

/** HKDF-SHA-256 to 32 bytes. */
export function deriveKey(key: Buffer, salt: Buffer, info: string): Buffer {
  return Buffer.from(hkdfSync("sha256", key, salt, info, MASTER_KEY_BYTES));
}

/** AES-256-GCM: the ciphertext and, behind it, the 16-byte tag. A key and nonce must never meet twice. */
export function seal(key: Buffer, nonce: Buffer, associatedData: Buffer, plain: Buffer): Buffer {
  const cipher = createCipheriv("aes-256-gcm", key, nonce);
  cipher.setAAD(associatedData);
  const head = cipher.update(plain);
  cipher.final();
  return Buffer.concat([head, cipher.getAuthTag()], plain.length + TAG_BYTES);
}

/** The plain bytes, or undefined where the tag does not fit. */
export function unseal(
  key: Buffer,
  nonce: Buffer,
  associatedData: Buffer,
  sealed: Buffer,
): Buffer | undefined {
  if (sealed.length < TAG_BYTES) return undefined;
  const decipher = createDecipheriv("aes-256-gcm", key, nonce);
  decipher.setAAD(associatedData);
  decipher.setAuthTag(sealed.subarray(sealed.length - TAG_BYTES));
  const plain = decipher.update(sealed.subarray(0, sealed.length - TAG_BYTES));
  try {
    decipher.final();
  } catch {
    // `final` throws for one reason only: the tag is wrong. The caller says which bytes those were.
    return undefined;
  }
  return plain;
}
