/** The access keys of the API: made, listed, rotated, taken away; and sessions made with them. */
import { join } from "node:path";
import type { Clock } from "../platform/clock.ts";
import type { Disk } from "../platform/disk.ts";
import type { Random } from "../platform/random.ts";
import {
  type AccessKey,
  CREDENTIALS_FILE,
  CredentialsError,
  parseCredentials,
  type Role,
  replacedProfile,
  withKeys,
  withoutProfiles,
} from "./credentials.ts";
import { GatewayError } from "./errors.ts";
import { makeSession, openToken, type SessionCredentials } from "./session-token.ts";

/** Who asks. */
export interface Identity {
  /** The name of the access key. */
  readonly name: string;
  readonly role: Role;
  /** Whether temporary credentials were used, which can't make others. */
  readonly isSession: boolean;
}

/** What a claimed access key id comes to. */
export type FoundKey =
  | { readonly state: "good"; readonly secretAccessKey: string; readonly identity: Identity }
  | { readonly state: "unknown" }
  | { readonly state: "expired" };

/** A key as it is shown: without its secret. */
export interface ListedKey {
  readonly name: string;
  readonly accessKeyId: string;
  readonly role: Role;
  readonly expiresAtMs?: number;
  /** Since the process has started. */
  readonly lastUsedAtMs?: number;
}

const KEY_ALPHABET = "ABCDEFGHIJKLMNOPQRSTUVWXYZ234567";
const KEY_ID_RANDOM_LENGTH = 16;
const SECRET_BYTES = 30;
const NAME = /^[A-Za-z0-9][A-Za-z0-9._@-]{0,63}$/;
const KEYS_MAX = 100;
const SESSION_MS_DEFAULT = 3600_000;

export interface AccessKeysOptions {
  readonly dataDir: string;
  readonly disk: Disk;
  readonly random: Random;
  readonly clock: Clock;
}

export class AccessKeys {
  readonly #options: AccessKeysOptions;
  readonly #path: string;
  readonly #lastUsed = new Map<string, number>();
  #keys: ReadonlyMap<string, AccessKey> = new Map();

  private constructor(options: AccessKeysOptions) {
    this.#options = options;
    this.#path = join(options.dataDir, CREDENTIALS_FILE);
  }

  /** Reads the file in `dataDir`; makes one with a new key where there is none. Throws a CredentialsError. */
  static open(options: AccessKeysOptions): AccessKeys {
    const keys = new AccessKeys(options);
    if (options.disk.readFile(keys.#path) === undefined)
      keys.#write(withKeys("", [keys.#make("default", "admin")]));
    keys.#read();
    if (![...keys.#keys.values()].some(({ role }) => role === "admin")) {
      throw new CredentialsError(`${keys.#path} holds no access key of an administrator`);
    }
    return keys;
  }

  /** The key of that id, or of the session of that token. */
  find(accessKeyId: string, sessionToken: string | undefined): FoundKey {
    const nowMs = this.#options.clock.nowMs();
    if (sessionToken !== undefined) return this.#findSession(accessKeyId, sessionToken, nowMs);
    const key = this.#keys.get(accessKeyId);
    if (key === undefined) return { state: "unknown" };
    if (isOver(key, nowMs)) return { state: "expired" };
    const identity = { name: key.name, role: key.role, isSession: false };
    return { state: "good", secretAccessKey: key.secretAccessKey, identity };
  }

  /** Notes that a request signed with this key was accepted. */
  used(accessKeyId: string): void {
    if (this.#keys.has(accessKeyId)) this.#lastUsed.set(accessKeyId, this.#options.clock.nowMs());
  }

  /** All keys that are good for something, in the file's order. */
  list(): ListedKey[] {
    const nowMs = this.#options.clock.nowMs();
    return [...this.#keys.values()]
      .filter((key) => !isOver(key, nowMs))
      .map(({ secretAccessKey: _, ...key }) => {
        const lastUsedAtMs = this.#lastUsed.get(key.accessKeyId);
        return { ...key, ...(lastUsedAtMs !== undefined && { lastUsedAtMs }) };
      });
  }

  /** Makes a key. Throws InvalidParameters where there is one of that name. */
  create(name: string, role: Role): AccessKey {
    if (!NAME.test(name))
      throw invalid("A key's name has letters, digits, . _ @ - and at most 64 characters.");
    const text = this.#fresh();
    if (this.list().some((key) => key.name === name)) throw invalid(`There is a key ${name} already.`);
    if (this.#keys.size >= KEYS_MAX) throw invalid(`There are at most ${KEYS_MAX} keys.`);
    const key = this.#make(name, role);
    this.#write(withKeys(text, [key]));
    return key;
  }

  /** Takes a key away; its sessions end with it. The last one of an administrator can't be. */
  remove(nameOrId: string): void {
    const text = this.#fresh();
    const key = this.#named(nameOrId);
    this.#write(withoutProfiles(text, new Set([key.name])), key);
    this.#lastUsed.delete(key.accessKeyId);
  }

  /**
   * Gives the key of that name a new id and secret. The old pair is good for `keepOldMs` more; with it, and with its
   * sessions, clients go on until they have the new one.
   */
  rotate(nameOrId: string, keepOldMs: number): AccessKey {
    const text = this.#fresh();
    const key = this.#named(nameOrId);
    if (key.expiresAtMs !== undefined) throw invalid(`The key ${key.name} has been rotated already.`);
    const made = this.#make(key.name, key.role);
    const expiresAtMs = this.#options.clock.nowMs() + keepOldMs;
    const name = `${key.name}.${key.accessKeyId}`;
    const old: AccessKey[] = keepOldMs > 0 ? [{ ...key, name, expiresAtMs }] : [];
    // The profile keeps its name, so that clients which read the file go on with the new pair by themselves.
    this.#write(withKeys(replacedProfile(text, made), old));
    return made;
  }

  /** Temporary credentials with the caller's role, or a lower one. */
  createSession(
    accessKeyId: string,
    role: Role | undefined,
    durationMs = SESSION_MS_DEFAULT,
  ): SessionCredentials {
    const { clock, random } = this.#options;
    const key = this.#keys.get(accessKeyId);
    if (key === undefined) throw invalid("A session can't make another one.");
    if (role === "admin" && key.role !== "admin") throw invalid("A session has no more rights than its key.");
    return makeSession(key, role ?? key.role, clock.nowMs() + durationMs, random);
  }

  #findSession(accessKeyId: string, token: string, nowMs: number): FoundKey {
    const opened = openToken(token, (id) => this.#keys.get(id));
    if (opened === undefined || opened.accessKeyId !== accessKeyId) return { state: "unknown" };
    if (opened.expiresAtMs <= nowMs || isOver(opened.key, nowMs)) return { state: "expired" };
    const identity = { name: opened.key.name, role: opened.role, isSession: true };
    return { state: "good", secretAccessKey: opened.secretAccessKey, identity };
  }

  #named(nameOrId: string): AccessKey {
    const key = [...this.#keys.values()].find(
      ({ name, accessKeyId }) => name === nameOrId || accessKeyId === nameOrId,
    );
    if (key === undefined) throw invalid(`There is no access key ${nameOrId}.`);
    return key;
  }

  #make(name: string, role: Role): AccessKey {
    const { random } = this.#options;
    const letters = [...random.bytes(KEY_ID_RANDOM_LENGTH)].map((byte) => KEY_ALPHABET[byte % 32]).join("");
    return {
      name,
      accessKeyId: `AKIA${letters}`,
      secretAccessKey: random.bytes(SECRET_BYTES).toString("base64"),
      role,
    };
  }

  /** The file as it is now, without what is over: somebody may have edited it. */
  #fresh(): string {
    this.#read();
    const text = this.#text();
    const nowMs = this.#options.clock.nowMs();
    const over = [...this.#keys.values()].filter((key) => isOver(key, nowMs)).map(({ name }) => name);
    return over.length === 0 ? text : withoutProfiles(text, new Set(over));
  }

  #text(): string {
    return this.#options.disk.readFile(this.#path)?.toString("utf8") ?? "";
  }

  #read(): void {
    this.#keys = new Map(parseCredentials(this.#text()).map((key) => [key.accessKeyId, key]));
  }

  #write(text: string, removed?: AccessKey): void {
    const nowMs = this.#options.clock.nowMs();
    const lasting = parseCredentials(text).some(
      (key) => key.role === "admin" && key.expiresAtMs === undefined && !isOver(key, nowMs),
    );
    if (!lasting) {
      throw invalid(
        `The key ${removed?.name ?? ""} is the last one of an administrator: it can't be deleted.`,
      );
    }
    this.#options.disk.replaceFile(this.#path, Buffer.from(text, "utf8"));
    this.#read();
  }
}

function isOver(key: AccessKey, nowMs: number): boolean {
  return key.expiresAtMs !== undefined && key.expiresAtMs <= nowMs;
}

function invalid(detail: string): GatewayError {
  return new GatewayError("InvalidParameters", detail);
}
