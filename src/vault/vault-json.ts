/**
 * `vault.json`: the one object in clear. It says that this is a vault, of which format, and holds the master key
 * wrapped once for each key slot.
 */
import { TRIAL_PREFIX } from "../objects/conditional.ts";
import { type ObjectStore, StoreError } from "../objects/object-store.ts";
import type { Random } from "../platform/random.ts";
import { MASTER_KEY_BYTES } from "./key-ring.ts";
import { type KeySlot, makeSlot, openSlot, slotName, type VaultSecret } from "./key-slots.ts";
import { VAULT_JSON_KEY } from "./keys.ts";
import { fromStoreError, VaultError } from "./vault-error.ts";

export const FORMAT_VERSION = 1;
const VAULT_ID_BYTES = 16;
const KEY_SLOTS_MAX = 32;

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
  secret: VaultSecret,
  random: Random,
  defaults: VaultJson["defaults"],
  knownVaultId: string | undefined,
): Promise<OpenedVault> {
  try {
    const found = await readIfThere(store);
    if (found !== undefined) {
      const opened = parseVault(found, secret);
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
      // Somebody tries the bucket out, or was killed while he did.
      if (key.startsWith(TRIAL_PREFIX)) continue;
      // Another gateway has made it just now.
      if (key === VAULT_JSON_KEY) return parseVault(await store.get(key), secret);
      throw new VaultError("wrongVault", `${store.name} has no vault.json but is not empty: it holds ${key}`);
    }
    await store.put(VAULT_JSON_KEY, makeVault(secret, random, defaults), { ifAbsent: true });
    return parseVault(await store.get(VAULT_JSON_KEY), secret);
  } catch (error) {
    throw fromStoreError(error, `opening the vault at ${store.name}`);
  }
}

/** Reads a `vault.json`. Throws a VaultError for a wrong key, an unknown format or damage. */
export function parseVault(json: Buffer, secret: VaultSecret): OpenedVault {
  const vault = parseJson(json);
  const vaultId = vaultIdOf(vault);
  for (const slot of vault.keySlots) {
    const masterKey = openSlot(slot, vaultId, secret);
    if (masterKey !== undefined) return { vaultId, masterKey, json };
  }
  const what = secret.passphrase === undefined ? "key file" : "passphrase";
  throw new VaultError("wrongKey", `the ${what} does not open this vault`);
}

/** The vault's key slots. Throws a VaultError for an unknown format or damage. */
export function listSlots(json: Buffer): readonly KeySlot[] {
  return parseJson(json).keySlots;
}

/** `vault.json` with one more slot. `opened` is the vault as it was opened: its master key is what is wrapped. */
export function withSlot(opened: OpenedVault, secret: VaultSecret, random: Random, nowMs: number): Buffer {
  const vault = parseJson(opened.json);
  if (vault.keySlots.length >= KEY_SLOTS_MAX) {
    throw new VaultError("inUse", `a vault has at most ${KEY_SLOTS_MAX} key slots: remove one first`);
  }
  const slot = makeSlot(secret, opened.vaultId, opened.masterKey, random, nowMs);
  return encodeVault({ ...vault, keySlots: [...vault.keySlots, slot] });
}

/** `vault.json` without the slot of that name. The last one stays: nobody could open the vault again. */
export function withoutSlot(json: Buffer, name: string): Buffer {
  const vault = parseJson(json);
  const keySlots = vault.keySlots.filter((slot) => slotName(slot) !== name);
  if (keySlots.length === vault.keySlots.length) {
    throw new VaultError("notFound", `the vault has no key slot ${name}`);
  }
  if (keySlots.length === 0) throw new VaultError("inUse", "the last key slot can't be removed");
  return encodeVault({ ...vault, keySlots });
}

/** The name of the slot that the secret opens; undefined where there is none. */
export function slotOf(json: Buffer, secret: VaultSecret): string | undefined {
  const vault = parseJson(json);
  const slot = vault.keySlots.find((each) => openSlot(each, vaultIdOf(vault), secret) !== undefined);
  return slot && slotName(slot);
}

function vaultIdOf(vault: VaultJson): Buffer {
  const vaultId = Buffer.from(vault.vaultId, "hex");
  if (vaultId.length !== VAULT_ID_BYTES) throw new VaultError("corrupt", "vault.json has no vault id");
  return vaultId;
}

function encodeVault(vault: VaultJson): Buffer {
  return Buffer.from(`${JSON.stringify(vault, undefined, 2)}\n`);
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
    const words = `the vault has format ${String(value.formatVersion)}, and this version knows ${FORMAT_VERSION}`;
    throw new VaultError("unknownFormat", `${words}: use the version that made it, or a newer one`);
  }
  const slots = value.keySlots;
  const good =
    typeof value.vaultId === "string" &&
    Array.isArray(slots) &&
    slots.length <= KEY_SLOTS_MAX &&
    // Slots of types that are not known here may hold other fields.
    slots.every((slot) => typeof slot?.type === "string");
  if (!good) throw new VaultError("corrupt", "vault.json is damaged");
  return value as VaultJson;
}

function makeVault(secret: VaultSecret, random: Random, defaults: VaultJson["defaults"]): Buffer {
  const vaultId = random.bytes(VAULT_ID_BYTES);
  return encodeVault({
    format: "sluicegate-vault",
    formatVersion: FORMAT_VERSION,
    vaultId: vaultId.toString("hex"),
    keySlots: [makeSlot(secret, vaultId, random.bytes(MASTER_KEY_BYTES), random)],
    defaults,
  });
}

async function readIfThere(store: ObjectStore): Promise<Buffer | undefined> {
  try {
    return await store.get(VAULT_JSON_KEY);
  } catch (error) {
    if (error instanceof StoreError && error.kind === "notFound") return undefined;
    throw error;
  }
}
