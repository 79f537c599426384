/**
 * The secrets that open a vault: adding, removing and exchanging them, beside the running gateway or without one. Data
 * is never written again for it: the same master key is wrapped once for each secret.
 *
 * A new secret is in the bucket, and was seen to open the vault there, before an old one goes.
 */
import { join, resolve } from "node:path";
import { type ObjectStore, StoreError } from "./objects/object-store.ts";
import { systemClock } from "./platform/clock.ts";
import { systemRandom } from "./platform/random.ts";
import { systemDisk } from "./platform/system-disk.ts";
import { KEY_FILE, VAULT_JSON_COPY, withStore } from "./server-vault-access.ts";
import { slotName, type VaultSecret } from "./vault/key-slots.ts";
import { VAULT_JSON_KEY } from "./vault/keys.ts";
import { VaultError } from "./vault/vault-error.ts";
import { listSlots, parseVault, slotOf, withoutSlot, withSlot } from "./vault/vault-json.ts";

const KEY_BYTES = 32;

/** One of the secrets that open the vault. */
export interface VaultKey {
  readonly name: string;
  /** `key-file` or `passphrase`; a newer version's may be others. */
  readonly type: string;
  readonly madeAtMs?: number;
  /** It is the key file in the data folder. */
  readonly isOurs: boolean;
}

/** The secrets that open the vault of the data folder. */
export function listVaultKeys(dataDir: string): Promise<VaultKey[]> {
  return withStore(dataDir, async (store) => {
    const json = await store.get(VAULT_JSON_KEY);
    const ours = ourSlot(dataDir, json);
    return listSlots(json).map((slot) => ({
      name: slotName(slot),
      type: slot.type,
      ...(slot.madeAtMs !== undefined && { madeAtMs: slot.madeAtMs }),
      isOurs: slotName(slot) === ours,
    }));
  });
}

/** From now on the secret opens the vault too; answers the new slot's name. */
export function addVaultKey(dataDir: string, secret: VaultSecret): Promise<string> {
  return withStore(dataDir, async (store) => {
    const json = await add(store, { keyFile: ourKey(dataDir) }, secret);
    keepCopy(dataDir, json);
    return slotOf(json, secret) ?? "";
  });
}

/** From now on that secret does not open the vault any more. The one in the data folder can't be removed. */
export function removeVaultKey(dataDir: string, name: string): Promise<void> {
  return withStore(dataDir, async (store) => {
    const before = await store.get(VAULT_JSON_KEY);
    if (ourSlot(dataDir, before) === name)
      throw new VaultError("inUse", `${name} is the key file in ${dataDir}: exchange it by \`vault rekey\``);
    keepCopy(dataDir, await remove(store, before, name));
  });
}

/**
 * Exchanges the key file in the data folder for a new one. The old one does not open the vault any more, unless it is
 * to be kept. Where it breaks off, the key file that is in the folder then opens the vault.
 */
export function exchangeKeyFile(dataDir: string, keepsOld: boolean): Promise<void> {
  return withStore(dataDir, async (store) => {
    const old = { keyFile: ourKey(dataDir) };
    const keyFile = systemRandom.bytes(KEY_BYTES);
    const json = await add(store, old, { keyFile });
    keepCopy(dataDir, json);
    // Both open the vault now.
    systemDisk.replaceFile(join(resolve(dataDir), KEY_FILE), keyFile);
    const oldName = slotOf(json, old);
    if (!keepsOld && oldName !== undefined) keepCopy(dataDir, await remove(store, json, oldName));
  });
}

/** Makes a key file for a vault that another secret opens, and answers it: it opens the vault from now on. */
export async function makeKeyFile(store: ObjectStore, secret: VaultSecret): Promise<Buffer> {
  const keyFile = systemRandom.bytes(KEY_BYTES);
  await add(store, secret, { keyFile });
  return keyFile;
}

async function add(store: ObjectStore, known: VaultSecret, secret: VaultSecret): Promise<Buffer> {
  const opened = parseVault(await store.get(VAULT_JSON_KEY), known);
  const json = await replace(store, withSlot(opened, secret, systemRandom, systemClock.nowMs()));
  // It is the only copy of the way to the data: what counts is what the bucket gives back.
  const { masterKey } = parseVault(json, secret);
  if (!masterKey.equals(opened.masterKey)) throw new VaultError("corrupt", "the new key slot is damaged");
  return json;
}

function remove(store: ObjectStore, json: Buffer, name: string): Promise<Buffer> {
  return replace(store, withoutSlot(json, name));
}

/** Stores it and answers what the bucket has then. */
async function replace(store: ObjectStore, json: Buffer): Promise<Buffer> {
  await store.put(VAULT_JSON_KEY, json);
  const there = await store.get(VAULT_JSON_KEY);
  if (there.equals(json)) return there;
  throw new StoreError("unavailable", "somebody else changes the keys at this moment: look, and try again");
}

/** The gateway starts by this copy while the bucket gives no answer. */
function keepCopy(dataDir: string, json: Buffer): void {
  systemDisk.replaceFile(join(resolve(dataDir), VAULT_JSON_COPY), json);
}

function ourKey(dataDir: string): Buffer {
  const key = systemDisk.readFile(join(resolve(dataDir), KEY_FILE));
  if (key === undefined) throw new VaultError("wrongKey", `${dataDir} has no ${KEY_FILE}`);
  return key;
}

function ourSlot(dataDir: string, json: Buffer): string | undefined {
  const keyFile = systemDisk.readFile(join(resolve(dataDir), KEY_FILE));
  return keyFile && slotOf(json, { keyFile });
}
