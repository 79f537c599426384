/**
 * `DATA/credentials`: the access keys of the API, as an AWS shared-credentials file, so that the very file can be handed
 * to any AWS client. A profile is a key and its name. Two settings are this gateway's own, which AWS clients pass over:
 *
 *     [backup-monitor]
 *     aws_access_key_id = AKIA…
 *     aws_secret_access_key = …
 *     sluicegate_role = read-only
 *     sluicegate_expires = 2026-12-01T00:00:00.000Z
 */

export const CREDENTIALS_FILE = "credentials";

/** What a key may do: everything, or only what changes nothing. */
export type Role = "admin" | "read-only";

/** One access key. */
export interface AccessKey {
  /** The profile's name in the file. */
  readonly name: string;
  readonly accessKeyId: string;
  readonly secretAccessKey: string;
  readonly role: Role;
  /** From then on the key is good for nothing. */
  readonly expiresAtMs?: number;
}

/** The file is there and can't be read as credentials. */
export class CredentialsError extends Error {
  override readonly name = "CredentialsError";
}

const HEADER = /^\s*\[\s*([^\]]*?)\s*\]/;
const SETTING = /^\s*([A-Za-z_]+)\s*=\s*(\S+)\s*$/;

/** The keys of all profiles that have one. Throws a CredentialsError for a role or a time that can't be understood. */
export function parseCredentials(text: string): AccessKey[] {
  return sections(text).flatMap(({ name = "", lines }) => {
    const settings = new Map(
      lines.flatMap((line) => {
        const [, setting, value] = SETTING.exec(line) ?? [];
        return setting === undefined || value === undefined ? [] : [[setting.toLowerCase(), value] as const];
      }),
    );
    const accessKeyId = settings.get("aws_access_key_id");
    const secretAccessKey = settings.get("aws_secret_access_key");
    if (accessKeyId === undefined || secretAccessKey === undefined) return [];
    const role = settings.get("sluicegate_role") ?? "admin";
    // Who mistypes a role must not get the highest one.
    if (role !== "admin" && role !== "read-only") {
      throw new CredentialsError(`the profile ${name} has the role "${role}": admin or read-only`);
    }
    const expires = settings.get("sluicegate_expires");
    const expiresAtMs = expires === undefined ? undefined : Date.parse(expires);
    if (Number.isNaN(expiresAtMs)) {
      throw new CredentialsError(`the profile ${name} expires at "${expires}", which is no time`);
    }
    return [{ name, accessKeyId, secretAccessKey, role, ...(expiresAtMs !== undefined && { expiresAtMs }) }];
  });
}

/** The file's text with these keys besides. */
export function withKeys(text: string, keys: readonly AccessKey[]): string {
  if (keys.length === 0) return text;
  const before = text.trimEnd();
  return (before === "" ? "" : `${before}\n\n`) + keys.map(profileOf).join("\n");
}

/** The file's text with this key in place of the one in the profile of its name. */
export function replacedProfile(text: string, key: AccessKey): string {
  const lines = sections(text).flatMap(({ name, lines }) =>
    name === key.name ? profileOf(key).split("\n") : lines,
  );
  return lines.join("\n");
}

/** The file's text without the profiles of these names; all others as they stand. */
export function withoutProfiles(text: string, names: ReadonlySet<string>): string {
  const kept = sections(text).filter(({ name }) => name === undefined || !names.has(name));
  return kept.flatMap(({ lines }) => lines).join("\n");
}

function profileOf({ name, accessKeyId, secretAccessKey, role, expiresAtMs }: AccessKey): string {
  return [
    `[${name}]`,
    `aws_access_key_id = ${accessKeyId}`,
    `aws_secret_access_key = ${secretAccessKey}`,
    ...(role === "admin" ? [] : [`sluicegate_role = ${role}`]),
    ...(expiresAtMs === undefined ? [] : [`sluicegate_expires = ${new Date(expiresAtMs).toISOString()}`]),
    "",
  ].join("\n");
}

interface Section {
  /** Undefined: what stands before the first profile. */
  readonly name: string | undefined;
  /** With the header. */
  readonly lines: string[];
}

function sections(text: string): Section[] {
  const found: Section[] = [{ name: undefined, lines: [] }];
  for (const line of text.split(/\r?\n/)) {
    const name = HEADER.exec(line)?.[1];
    if (name !== undefined) found.push({ name, lines: [] });
    found.at(-1)?.lines.push(line);
  }
  return found;
}
