/**
 * Key slots: the master key wrapped once for each secret that opens the vault, so that secrets come and go without a
 * byte of data being written again.
 *
 * A slot's salt is random and used for one wrapping only, so the key that is derived from it meets its nonce once.
 */
import { scryptSync } from "node:crypto";
import type { Random } from "../platform/random.ts";
import { deriveKey, MASTER_KEY_BYTES, seal, unseal } from "./key-ring.ts";
import { TAG_BYTES } from "./record-codec.ts";
import { VaultError } from "./vault-error.ts";

const KEY_FILE_BYTES_MIN = 32;
const PASSPHRASE_CHARACTERS_MIN = 12;
const SALT_BYTES = 32;
const NONCE_BYTES = 12;
/** scrypt (RFC 7914): 64 MiB and some tenths of a second for each guess. */
const SCRYPT = { n: 2 ** 16, r: 8, p: 1 } as const;
/** What a slot may ask of whoever opens it: it comes out of the bucket, before anything is authenticated. */
const SCRYPT_BYTES_MAX = 512 * 1024 * 1024;
const SCRYPT_P_MAX = 16;

/** What opens a vault: either will do. */
export interface VaultSecret {
  /** The bytes of a key file: at least 32, random. */
  readonly keyFile?: Buffer;
  readonly passphrase?: string;
}

/** A slot as it stands in `vault.json`. Other types are skipped by who does not know them. */
export interface KeySlot {
  readonly type: string;
  /** Base64, 32 bytes. */
  readonly salt: string;
  /** Base64: the master key's ciphertext and tag. */
  readonly wrappedKey: string;
  /** When it was made; slots of older writers don't say. */
  readonly madeAtMs?: number;
  /** Cost of scrypt, of a slot of type `passphrase`. */
  readonly n?: number;
  readonly r?: number;
  readonly p?: number;
}

/** A slot for the one secret that is given. Throws a VaultError ("wrongKey") for one that is too weak to be a key. */
export function makeSlot(
  secret: VaultSecret,
  vaultId: Buffer,
  masterKey: Buffer,
  random: Random,
  nowMs?: number,
): KeySlot {
  const salt = random.bytes(SALT_BYTES);
  const how =
    secret.passphrase === undefined
      ? { type: "key-file", key: keyOfFile(secret.keyFile ?? Buffer.alloc(0), salt) }
      : {
          type: "passphrase",
          key: keyOfPassphrase(checkStrength(secret.passphrase), salt, SCRYPT),
          ...SCRYPT,
        };
  const { key, ...rest } = how;
  const wrapped = seal(key, Buffer.alloc(NONCE_BYTES), vaultId, masterKey);
  return {
    ...rest,
    salt: salt.toString("base64"),
    wrappedKey: wrapped.toString("base64"),
    ...(nowMs !== undefined && { madeAtMs: nowMs }),
  };
}

/** The master key, where the secret opens the slot. Throws a VaultError for a slot that is damaged. */
export function openSlot(slot: KeySlot, vaultId: Buffer, secret: VaultSecret): Buffer | undefined {
  if (slot.type !== "key-file" && slot.type !== "passphrase") return undefined;
  if (typeof slot.salt !== "string" || typeof slot.wrappedKey !== "string") throw damaged();
  const wrapped = Buffer.from(slot.wrappedKey, "base64");
  if (wrapped.length !== MASTER_KEY_BYTES + TAG_BYTES) throw damaged();
  const key = wrappingKey(slot, Buffer.from(slot.salt, "base64"), secret);
  return key && unseal(key, Buffer.alloc(NONCE_BYTES), vaultId, wrapped);
}

/** A short name by which a slot can be told from the others; it tells nothing of the secret. */
export function slotName(slot: KeySlot): string {
  return Buffer.from(String(slot.salt), "base64").subarray(0, 4).toString("hex");
}

function wrappingKey(slot: KeySlot, salt: Buffer, { keyFile, passphrase }: VaultSecret): Buffer | undefined {
  if (slot.type === "key-file") return keyFile && keyOfFile(keyFile, salt);
  const { n = 0, r = 0, p = 0 } = slot;
  const isPower = Number.isInteger(Math.log2(n)) && n > 1;
  const isGood = isPower && [r, p].every((cost) => Number.isInteger(cost) && cost > 0) && p <= SCRYPT_P_MAX;
  if (!isGood || 128 * n * r > SCRYPT_BYTES_MAX) throw damaged();
  return passphrase === undefined ? undefined : keyOfPassphrase(passphrase, salt, { n, r, p });
}

function keyOfFile(keyFile: Buffer, salt: Buffer): Buffer {
  if (keyFile.length < KEY_FILE_BYTES_MIN) {
    throw new VaultError("wrongKey", `a key file has at least ${KEY_FILE_BYTES_MIN} bytes`);
  }
  return deriveKey(keyFile, salt, "sluicegate key file v1");
}

function keyOfPassphrase(
  passphrase: string,
  salt: Buffer,
  { n, r, p }: { readonly n: number; readonly r: number; readonly p: number },
): Buffer {
  // Some keyboards make "é" of one character, others of two: they are the same passphrase.
  const bytes = Buffer.from(passphrase.normalize("NFC"), "utf8");
  return scryptSync(bytes, salt, MASTER_KEY_BYTES, { N: n, r, p, maxmem: 2 * SCRYPT_BYTES_MAX });
}

function checkStrength(passphrase: string): string {
  if ([...passphrase].length >= PASSPHRASE_CHARACTERS_MIN) return passphrase;
  throw new VaultError("wrongKey", `a passphrase has at least ${PASSPHRASE_CHARACTERS_MIN} characters`);
}

function damaged(): VaultError {
  return new VaultError("corrupt", "a key slot of vault.json is damaged");
}
