/**
 * Small objects (roots, snapshot records, leases, indexes) as sealed envelopes:
 *
 * ```
 *  0   8 B  magic "SLGOBJ01"
 *  8  16 B  salt, random: the object's key is derived with it, so the nonce can be zero
 * 24        AES-256-GCM ciphertext and 16-byte tag
 * ```
 * Authenticated with it: the vault's id and the object's own key, so that no object can stand in for another.
 */
import type { Random } from "../platform/random.ts";
import { type KeyRing, seal, unseal } from "./key-ring.ts";
import { VaultError } from "./vault-error.ts";

const MAGIC = Buffer.from("SLGOBJ01", "latin1");
const SALT_BYTES = 16;
const NONCE = Buffer.alloc(12);

export class ObjectSealer {
  readonly #keys: KeyRing;
  readonly #vaultId: Buffer;
  readonly #random: Random;

  constructor(keys: KeyRing, vaultId: Buffer, random: Random) {
    this.#keys = keys;
    this.#vaultId = vaultId;
    this.#random = random;
  }

  seal(objectKey: string, plain: Buffer): Buffer {
    const salt = this.#random.bytes(SALT_BYTES);
    const sealed = seal(this.#keys.objectKey(salt), NONCE, this.#associated(objectKey), plain);
    return Buffer.concat([MAGIC, salt, sealed]);
  }

  /** The plain bytes of the object; throws a VaultError of kind "corrupt" where they are not what was sealed. */
  unseal(objectKey: string, object: Buffer): Buffer {
    const head = MAGIC.length + SALT_BYTES;
    if (object.length < head || !object.subarray(0, MAGIC.length).equals(MAGIC)) {
      throw new VaultError("corrupt", `${objectKey} is not a sealed object`);
    }
    const key = this.#keys.objectKey(object.subarray(MAGIC.length, head));
    const plain = unseal(key, NONCE, this.#associated(objectKey), object.subarray(head));
    if (plain === undefined) throw new VaultError("corrupt", `${objectKey} fails its tag`);
    return plain;
  }

  sealJson(objectKey: string, value: unknown): Buffer {
    return this.seal(objectKey, Buffer.from(JSON.stringify(value), "utf8"));
  }

  /** The JSON value; its shape is for the caller to check. */
  unsealJson(objectKey: string, object: Buffer): unknown {
    const plain = this.unseal(objectKey, object).toString("utf8");
    try {
      return JSON.parse(plain);
    } catch (error) {
      throw new VaultError("corrupt", `${objectKey} holds no JSON`, { cause: error });
    }
  }

  #associated(objectKey: string): Buffer {
    return Buffer.concat([this.#vaultId, Buffer.from(objectKey, "utf8")]);
  }
}
