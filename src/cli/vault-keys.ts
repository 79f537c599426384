/** `sluicegate vault rekey` and `vault key`: the secrets that open the vault. */
import { readFileSync } from "node:fs";
import { stayAlive } from "../platform/clock.ts";
import { addVaultKey, exchangeKeyFile, listVaultKeys, removeVaultKey } from "../server-keys.ts";
import { ClientError } from "./failure.ts";
import { readPassphrase } from "./passphrase.ts";

interface FolderChoice {
  readonly data: string;
}

/** Exchanges the key file in the data folder. */
export function vaultRekey({ data, keepOld }: FolderChoice & { readonly keepOld?: boolean }): Promise<void> {
  return awake(async () => {
    await exchangeKeyFile(data, keepOld === true);
    const old = keepOld === true ? "the old one still opens the vault" : "the old one opens nothing any more";
    process.stdout.write(`${data}/vault.key is a new key: keep a copy elsewhere; ${old}\n`);
  });
}

/** Lists the secrets by names that tell nothing of them. */
export function vaultKeyList({ data }: FolderChoice): Promise<void> {
  return awake(async () => {
    for (const { name, type, madeAtMs, isOurs } of await listVaultKeys(data)) {
      const made = madeAtMs === undefined ? "with the vault" : new Date(madeAtMs).toISOString();
      process.stdout.write(`${name}  ${type}  made ${made}${isOurs ? "  this gateway's vault.key" : ""}\n`);
    }
  });
}

/** Lets another key file, or a passphrase, open the vault too. */
export function vaultKeyAdd(
  choice: FolderChoice & { readonly keyFile?: string; readonly passphraseFile?: string },
): Promise<void> {
  return awake(async () => {
    const { data, keyFile, passphraseFile } = choice;
    if (keyFile !== undefined && passphraseFile !== undefined)
      throw new ClientError("--key-file or --passphrase-file, not both");
    const secret =
      keyFile === undefined
        ? { passphrase: await readPassphrase(passphraseFile, true) }
        : { keyFile: readFileSync(keyFile) };
    process.stdout.write(`${await addVaultKey(data, secret)}\n`);
  });
}

/** The secret of that name does not open the vault any more. */
export function vaultKeyRemove(name: string, { data }: FolderChoice): Promise<void> {
  return awake(() => removeVaultKey(data, name));
}

async function awake(action: () => Promise<void>): Promise<void> {
  const letGo = stayAlive();
  try {
    await action();
  } finally {
    letGo();
  }
}
