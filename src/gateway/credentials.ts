/**
 * The access keys of the API: in `DATA/credentials`, an AWS shared-credentials file, so that the very file can be
 * handed to any AWS client. It is the only copy; more profiles in it are more keys.
 */
import { join } from "node:path";
import type { Disk } from "../platform/disk.ts";
import type { Random } from "../platform/random.ts";

export const CREDENTIALS_FILE = "credentials";

/** The file is there and can't be read as credentials. */
export class CredentialsError extends Error {
  override readonly name = "CredentialsError";
}

const KEY_ALPHABET = "ABCDEFGHIJKLMNOPQRSTUVWXYZ234567";
const KEY_ID_RANDOM_LENGTH = 16;
const SECRET_BYTES = 30;

export class Credentials {
  readonly #secrets: ReadonlyMap<string, string>;

  private constructor(secrets: ReadonlyMap<string, string>) {
    this.#secrets = secrets;
  }

  /** Reads the file in `dataDir`; makes one with a new key where there is none. */
  static open(dataDir: string, disk: Disk, random: Random): Credentials {
    const path = join(dataDir, CREDENTIALS_FILE);
    const content = disk.readFile(path) ?? makeFile(path, disk, random);
    const secrets = parseCredentials(content.toString("utf8"));
    if (secrets.size === 0) throw new CredentialsError(`${path} holds no access key`);
    return new Credentials(secrets);
  }

  /** The secret of an access key id, or undefined. */
  secretOf(accessKeyId: string): string | undefined {
    return this.#secrets.get(accessKeyId);
  }
}

/** Key ids and secrets of all profiles of a shared-credentials file. */
export function parseCredentials(text: string): Map<string, string> {
  const secrets = new Map<string, string>();
  let keyId: string | undefined;
  for (const line of text.split(/\r?\n/)) {
    if (/^\s*\[/.test(line)) keyId = undefined;
    const setting = /^\s*([a-z_]+)\s*=\s*(\S+)\s*$/.exec(line);
    if (setting?.[1] === "aws_access_key_id") keyId = setting[2];
    if (setting?.[1] === "aws_secret_access_key" && keyId !== undefined && setting[2] !== undefined) {
      secrets.set(keyId, setting[2]);
    }
  }
  return secrets;
}

function makeFile(path: string, disk: Disk, random: Random): Buffer {
  const letters = [...random.bytes(KEY_ID_RANDOM_LENGTH)].map((byte) => KEY_ALPHABET[byte % 32]).join("");
  const content = Buffer.from(
    `[default]\naws_access_key_id = AKIA${letters}\n` +
      `aws_secret_access_key = ${random.bytes(SECRET_BYTES).toString("base64")}\n`,
  );
  disk.replaceFile(path, content);
  return content;
}
