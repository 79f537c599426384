/**
 * A bucket as a folder: `file:///dir`. Every object is a file; it appears whole or not at all, and is on stable
 * storage, name and all, when `put` resolves.
 */
import { randomUUID } from "node:crypto";
import { type Dirent, promises as fs } from "node:fs";
import { dirname, join } from "node:path";
import { compareKeys } from "./memory.ts";
import {
  type ByteRange,
  type ObjectInfo,
  type ObjectStore,
  type PutOptions,
  StoreError,
} from "./object-store.ts";

const TEMPORARY_MARK = ".tmp-";
/** Tells this folder from any other that may stand in its place one day, such as an empty mount point. No object. */
const ID_FILE = ".store-id";
const FILE_MODE = 0o600;
const FOLDER_MODE = 0o700;

export class DirectoryStore implements ObjectStore {
  readonly name: string;
  readonly #root: string;
  readonly #id: string | undefined;
  /** Device and inode of the folder: while they stay what they were, the folder is the same. */
  #place: string;
  /** Folders that are durable themselves, with all those above them: whoever made them. */
  readonly #durable = new Set<string>();

  private constructor(root: string, id: string | undefined, place: string) {
    this.#root = root;
    this.#id = id;
    this.#place = place;
    this.name = `file://${root}`;
  }

  /** Opens the folder, which is made if it is not there, and sweeps up what crashed writers left. */
  static async open(root: string): Promise<DirectoryStore> {
    const made = await fs.mkdir(root, { recursive: true, mode: FOLDER_MODE });
    const store = new DirectoryStore(root, await readOrMakeId(root), (await placeOf(root)) ?? "");
    if (made !== undefined) await store.#syncUpTo(dirname(root), dirname(made));
    await store.#sweep(root);
    return store;
  }

  /**
   * Throws where the folder is gone or another is in its place: a disk that was unmounted leaves an empty mount point
   * behind, which is not an empty bucket. When it is back, all goes on.
   */
  async #checkPlace(): Promise<void> {
    const place = await placeOf(this.#root);
    if (place === this.#place) return;
    if (place !== undefined && this.#id !== undefined && (await readId(this.#root)) === this.#id) {
      this.#place = place;
      return;
    }
    throw new StoreError("unavailable", `${this.#root} is not there, or not the same folder: is it mounted?`);
  }

  async put(key: string, body: Buffer, options: PutOptions = {}): Promise<"created" | "exists"> {
    return this.#guarded(key, async () => {
      const path = this.#path(key);
      const folder = dirname(path);
      const made = await fs.mkdir(folder, { recursive: true, mode: FOLDER_MODE });
      if (made !== undefined) this.#durable.delete(folder);
      let isCreated = true;
      const temporary = join(folder, `${TEMPORARY_MARK}${randomUUID()}`);
      try {
        await writeDurably(temporary, body);
        if (options.ifAbsent === true) {
          // Unlike a rename, a link never replaces: of several writers exactly one gets the name.
          isCreated = await linkIfAbsent(temporary, path);
        } else {
          await fs.rename(temporary, path);
        }
      } finally {
        await fs.rm(temporary, { force: true });
      }
      // Also what is there already: who made it, or its folder, may have died before that was durable.
      await syncFolder(folder);
      if (!this.#durable.has(folder)) {
        await this.#syncUpTo(dirname(folder), this.#root);
        this.#durable.add(folder);
      }
      return isCreated ? "created" : "exists";
    });
  }

  async get(key: string, range?: ByteRange): Promise<Buffer> {
    return this.#guarded(key, async () => {
      if (range === undefined) return fs.readFile(this.#path(key));
      const file = await fs.open(this.#path(key), "r");
      try {
        const bytes = Buffer.alloc(range.lengthBytes);
        let done = 0;
        while (done < bytes.length) {
          const { bytesRead } = await file.read(bytes, done, bytes.length - done, range.offsetBytes + done);
          if (bytesRead === 0) throw new StoreError("invalid", `${key} ends before the range does`);
          done += bytesRead;
        }
        return bytes;
      } finally {
        await file.close();
      }
    });
  }

  async head(key: string): Promise<ObjectInfo | undefined> {
    return this.#guarded(key, async () => {
      try {
        const stat = await fs.stat(this.#path(key));
        return stat.isFile() ? { key, sizeBytes: stat.size } : undefined;
      } catch (error) {
        if (isMissing(error)) return undefined;
        throw error;
      }
    });
  }

  async *list(prefix: string): AsyncIterable<ObjectInfo> {
    const slash = prefix.lastIndexOf("/");
    await this.#checkPlace();
    yield* this.#walk(prefix.slice(0, slash + 1), prefix);
    // A list is complete or an error: what was found missing on the way may be the folder itself.
    await this.#checkPlace();
  }

  async delete(keys: readonly string[]): Promise<void> {
    for (const key of keys) {
      await this.#guarded(key, async () => {
        await fs.rm(this.#path(key), { force: true });
        await syncFolder(dirname(this.#path(key))).catch((error: unknown) => {
          if (!isMissing(error)) throw error;
        });
      });
    }
  }

  async close(): Promise<void> {}

  async *#walk(folder: string, prefix: string): AsyncIterable<ObjectInfo> {
    let items: Dirent[];
    try {
      items = await fs.readdir(join(this.#root, folder), { withFileTypes: true });
    } catch (error) {
      if (isMissing(error)) return;
      throw asStoreError(error, folder);
    }
    // A folder sorts as the keys in it do: with its slash.
    const names = items
      .filter(({ name }) => !name.startsWith(TEMPORARY_MARK) && name !== ID_FILE)
      .map((item) => ({ item, key: folder + item.name + (item.isDirectory() ? "/" : "") }))
      .sort((a, b) => compareKeys(a.key, b.key));
    for (const { item, key } of names) {
      if (item.isDirectory()) {
        if (key.startsWith(prefix) || prefix.startsWith(key)) yield* this.#walk(key, prefix);
      } else if (key.startsWith(prefix)) {
        const info = await this.head(key);
        if (info !== undefined) yield info;
      }
    }
  }

  async #sweep(folder: string): Promise<void> {
    for (const item of await fs.readdir(folder, { withFileTypes: true })) {
      const path = join(folder, item.name);
      if (item.isDirectory()) await this.#sweep(path);
      else if (item.name.startsWith(TEMPORARY_MARK)) await fs.rm(path, { force: true });
    }
  }

  async #syncUpTo(folder: string, top: string): Promise<void> {
    for (let at = folder; at.startsWith(top); at = dirname(at)) {
      await syncFolder(at);
      if (at === top || at === dirname(at)) return;
    }
  }

  #path(key: string): string {
    const parts = key.split("/");
    const good =
      /^[\x21-\x7e]+$/.test(key) &&
      parts.every((part) => part !== "" && part !== "." && part !== "..") &&
      key !== ID_FILE;
    if (!good) throw new StoreError("invalid", `"${key}" is not a key`);
    return join(this.#root, ...parts);
  }

  async #guarded<T>(key: string, action: () => Promise<T>): Promise<T> {
    try {
      await this.#checkPlace();
      const result = await action();
      // What was done in another folder was not done.
      await this.#checkPlace();
      return result;
    } catch (error) {
      // Nor is an object missing because all of them are.
      if (isMissing(error)) await this.#checkPlace();
      throw asStoreError(error, key);
    }
  }
}

async function placeOf(root: string): Promise<string | undefined> {
  try {
    const { dev, ino } = await fs.stat(root, { bigint: true });
    return `${dev} ${ino}`;
  } catch (error) {
    if (isMissing(error)) return undefined;
    throw error;
  }
}

async function readId(root: string): Promise<string | undefined> {
  try {
    return await fs.readFile(join(root, ID_FILE), "utf8");
  } catch (error) {
    if (isMissing(error)) return undefined;
    throw error;
  }
}

/** The folder's id, made if it has none; undefined where nothing can be written there. */
async function readOrMakeId(root: string): Promise<string | undefined> {
  const there = await readId(root);
  if (there !== undefined) return there;
  const temporary = join(root, `${TEMPORARY_MARK}${randomUUID()}`);
  try {
    await writeDurably(temporary, Buffer.from(`${randomUUID()}\n`));
    // Of two that open it at once both get the id of the first.
    await linkIfAbsent(temporary, join(root, ID_FILE));
    await syncFolder(root);
  } catch (error) {
    if (asStoreError(error, ID_FILE).kind !== "denied") throw error;
    return undefined;
  } finally {
    await fs.rm(temporary, { force: true });
  }
  return readId(root);
}

function asStoreError(error: unknown, key: string): StoreError {
  if (error instanceof StoreError) return error;
  const message = `${key}: ${error instanceof Error ? error.message : String(error)}`;
  if (isMissing(error)) return new StoreError("notFound", message, { cause: error });
  const code = (error as NodeJS.ErrnoException).code;
  const kind = code === "EACCES" || code === "EPERM" || code === "EROFS" ? "denied" : "unavailable";
  return new StoreError(kind, message, { cause: error });
}

function isMissing(error: unknown): boolean {
  const code = (error as NodeJS.ErrnoException | null)?.code;
  return code === "ENOENT" || code === "ENOTDIR";
}

async function writeDurably(path: string, body: Buffer): Promise<void> {
  const file = await fs.open(path, "wx", FILE_MODE);
  try {
    await file.writeFile(body);
    await file.sync();
  } finally {
    await file.close();
  }
}

async function linkIfAbsent(from: string, to: string): Promise<boolean> {
  try {
    await fs.link(from, to);
    return true;
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === "EEXIST") return false;
    throw error;
  }
}

async function syncFolder(path: string): Promise<void> {
  const folder = await fs.open(path, "r");
  try {
    await folder.sync();
  } finally {
    await folder.close();
  }
}
