/**
 * `vault.json`: the one object in clear. It says that this is a vault, of which format, and holds the master key
 * wrapped once for each key slot.
 */
import { type ObjectStore, StoreError } from "../objects/object-store.ts";
import type { Random } from "../platform/random.ts";
import { deriveKey, MASTER_KEY_BYTES, seal, unseal } from "./key-ring.ts";
import { VAULT_JSON_KEY } from "./keys.ts";
import { fromStoreError, VaultError } from "./vault-error.ts";

export const FORMAT_VERSION = 1;
const VAULT_ID_BYTES = 16;
const KEY_FILE_BYTES_MIN = 32;
const NONCE_BYTES = 12;

interface KeySlot {
  /** `key-file`: wrapped by a key derived from the bytes of a key file. Other types are skipped. */
  readonly type: string;
  readonly salt: string;
  readonly wrappedKey: string;
}

interface VaultJson {
  readonly format: "sluicegate-vault";
  readonly formatVersion: number;
  readonly vaultId: string;
  readonly keySlots: readonly KeySlot[];
  readonly defaults: { readonly blockBytes: number; readonly packBytes: number };
}

/** The vault's identity and its unwrapped master key. */
export interface OpenedVault {
  readonly vaultId: Buffer;
  readonly masterKey: Buffer;
  /** The object as it stands in the bucket: for a local copy. */
  readonly json: Buffer;
}

/**
 * Opens the vault, and makes a new one where the store is empty. Of two makers at once the second opens the first's.
 *
 * With `knownVaultId` (this gateway has been at a vault before) it opens that one or none: a store that was mistyped,
 * emptied or exchanged must not pass for a new beginning.
 */
export async function openOrCreateVault(
  store: ObjectStore,
  keyFile: Buffer,
  random: Random,
  defaults: VaultJson["defaults"],
  knownVaultId: string | undefined,
): Promise<OpenedVault> {
  try {
    const found = await readIfThere(store);
    if (found !== undefined) {
      const opened = parseVault(found, keyFile);
      const vaultId = opened.vaultId.toString("hex");
      if (knownVaultId === undefined || knownVaultId === vaultId) return opened;
      throw new VaultError(
        "wrongVault",
        `${store.name} is vault ${vaultId}, not this gateway's ${knownVaultId}`,
      );
    }
    if (knownVaultId !== undefined) {
      throw new VaultError(
        "wrongVault",
        `${store.name} has no vault.json; this gateway's vault is ${knownVaultId}`,
      );
    }
    for await (const { key } of store.list("")) {
      // Another gateway has made it just now.
      if (key === VAULT_JSON_KEY) return parseVault(await store.get(key), keyFile);
      throw new VaultError("wrongVault", `${store.name} has no vault.json but is not empty: it holds ${key}`);
    }
    await store.put(VAULT_JSON_KEY, makeVault(keyFile, random, defaults), { ifAbsent: true });
    return parseVault(await store.get(VAULT_JSON_KEY), keyFile);
  } catch (error) {
    throw fromStoreError(error, `opening the vault at ${store.name}`);
  }
}

/** Reads a `vault.json`. Throws a VaultError for a wrong key, an unknown format or damage. */
export function parseVault(json: Buffer, keyFile: Buffer): OpenedVault {
  const vault = parseJson(json);
  const vaultId = Buffer.from(vault.vaultId, "hex");
  if (vaultId.length !== VAULT_ID_BYTES) throw new VaultError("corrupt", "vault.json has no vault id");
  for (const slot of vault.keySlots) {
    if (slot.type !== "key-file") continue;
    if (typeof slot.salt !== "string" || typeof slot.wrappedKey !== "string") {
      throw new VaultError("corrupt", "a key slot of vault.json is damaged");
    }
    const wrapped = Buffer.from(slot.wrappedKey, "base64");
    const key = wrappingKey(keyFile, Buffer.from(slot.salt, "base64"));
    const masterKey = unseal(key, Buffer.alloc(NONCE_BYTES), vaultId, wrapped);
    if (masterKey?.length === MASTER_KEY_BYTES) return { vaultId, masterKey, json };
  }
  throw new VaultError("wrongKey", "the key file does not open this vault");
}

function parseJson(json: Buffer): VaultJson {
  let value: Partial<VaultJson>;
  try {
    value = JSON.parse(json.toString("utf8")) as Partial<VaultJson>;
  } catch (error) {
    throw new VaultError("corrupt", "vault.json is damaged", { cause: error });
  }
  if (value?.format !== "sluicegate-vault")
    throw new VaultError("unknownFormat", "vault.json is not a vault's");
  if (value.formatVersion !== FORMAT_VERSION) {
    throw new VaultError("unknownFormat", `vault format ${String(value.formatVersion)} is not known here`);
  }
  const slots = value.keySlots;
  const good =
    typeof value.vaultId === "string" &&
    Array.isArray(slots) &&
    // Slots of types that are not known here may hold other fields.
    slots.every((slot) => typeof slot?.type === "string");
  if (!good) throw new VaultError("corrupt", "vault.json is damaged");
  return value as VaultJson;
}

function makeVault(keyFile: Buffer, random: Random, defaults: VaultJson["defaults"]): Buffer {
  const vaultId = random.bytes(VAULT_ID_BYTES);
  const salt = random.bytes(MASTER_KEY_BYTES);
  // The salt is used for this one wrapping, so its key meets the nonce once.
  const wrapped = seal(
    wrappingKey(keyFile, salt),
    Buffer.alloc(NONCE_BYTES),
    vaultId,
    random.bytes(MASTER_KEY_BYTES),
  );
  const vault: VaultJson = {
    format: "sluicegate-vault",
    formatVersion: FORMAT_VERSION,
    vaultId: vaultId.toString("hex"),
    keySlots: [{ type: "key-file", salt: salt.toString("base64"), wrappedKey: wrapped.toString("base64") }],
    defaults,
  };
  return Buffer.from(`${JSON.stringify(vault, undefined, 2)}\n`);
}

function wrappingKey(keyFile: Buffer, salt: Buffer): Buffer {
  if (keyFile.length < KEY_FILE_BYTES_MIN) {
    throw new VaultError("wrongKey", `a key file has at least ${KEY_FILE_BYTES_MIN} bytes`);
  }
  return deriveKey(keyFile, salt, "sluicegate key file v1");
}

async function readIfThere(store: ObjectStore): Promise<Buffer | undefined> {
  try {
    return await store.get(VAULT_JSON_KEY);
  } catch (error) {
    if (error instanceof StoreError && error.kind === "notFound") return undefined;
    throw error;
  }
}
