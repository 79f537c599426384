/** Snapshot records and copies of catalogs: small sealed objects that are replaced as a whole. */
import type { ObjectStore } from "../objects/object-store.ts";
import type { SnapshotId } from "../platform/ids.ts";
import { Permits } from "../platform/permits.ts";
import { CATALOGS_PREFIX, catalogKey, SNAPSHOTS_PREFIX, snapshotKey } from "./keys.ts";
import type { ObjectSealer } from "./sealed-object.ts";
import { decodeSnapshot, encodeSnapshot, type SnapshotRecord } from "./snapshot-record.ts";
import { type OnProblem, tolerate } from "./tolerate.ts";
import { fromStoreError, VaultError } from "./vault-error.ts";

/** Records being read at a time: a bucket is far away, and there may be ten thousand. */
const READS_MAX = 16;

export class Records {
  readonly #store: ObjectStore;
  readonly #sealer: ObjectSealer;
  readonly #ownerId: string;
  readonly #onProblem: OnProblem;
  /** The roots of the snapshots that were listed last, by their keys: a snapshot's root is for ever the same. */
  #roots: ReadonlyMap<string, string> = new Map();

  constructor(store: ObjectStore, sealer: ObjectSealer, ownerId: string, onProblem: OnProblem) {
    this.#store = store;
    this.#sealer = sealer;
    this.#ownerId = ownerId;
    this.#onProblem = onProblem;
  }

  async putSnapshot(record: SnapshotRecord): Promise<void> {
    const key = snapshotKey(record.snapshotId);
    try {
      await this.#store.put(key, this.#sealer.sealJson(key, encodeSnapshot(record)));
    } catch (error) {
      throw fromStoreError(error, `writing ${key}`);
    }
  }

  async deleteSnapshot(snapshotId: SnapshotId): Promise<void> {
    try {
      await this.#store.delete([snapshotKey(snapshotId)]);
    } catch (error) {
      throw fromStoreError(error, `deleting ${snapshotKey(snapshotId)}`);
    }
  }

  /** The snapshot's record; undefined where there is none. */
  async snapshot(snapshotId: SnapshotId): Promise<SnapshotRecord | undefined> {
    const key = snapshotKey(snapshotId);
    try {
      return decodeSnapshot(key, this.#sealer.unsealJson(key, await this.#store.get(key)));
    } catch (error) {
      const fault = fromStoreError(error, `reading ${key}`);
      if (fault instanceof VaultError && fault.kind === "notFound") return undefined;
      throw fault;
    }
  }

  /**
   * All snapshots whose records can be read, but for those of `except`; those that can't are told to `onProblem` and left
   * out. By their ids.
   */
  async listSnapshots(
    onProblem = this.#onProblem,
    except: ReadonlySet<string> = new Set(),
  ): Promise<SnapshotRecord[]> {
    const keys = (await this.#snapshotKeys()).filter(
      (key) => !except.has(key.slice(SNAPSHOTS_PREFIX.length)),
    );
    return this.#readSnapshots(keys, onProblem);
  }

  async #snapshotKeys(): Promise<string[]> {
    const keys: string[] = [];
    try {
      for await (const { key } of this.#store.list(SNAPSHOTS_PREFIX)) keys.push(key);
    } catch (error) {
      throw fromStoreError(error, "listing the snapshots");
    }
    return keys;
  }

  async #readSnapshots(keys: readonly string[], onProblem: OnProblem): Promise<SnapshotRecord[]> {
    const permits = new Permits(READS_MAX);
    const read = async (key: string): Promise<SnapshotRecord[]> => {
      const records: SnapshotRecord[] = [];
      await tolerate(onProblem, key, async () => {
        records.push(decodeSnapshot(key, this.#sealer.unsealJson(key, await this.#store.get(key))));
      });
      return records;
    };
    return (await Promise.all(keys.map((key) => permits.run(() => read(key))))).flat();
  }

  /** Keeps what this gateway tells of itself, in place of what it told before. */
  async putCatalog(catalog: unknown): Promise<void> {
    const key = catalogKey(this.#ownerId);
    try {
      await this.#store.put(key, this.#sealer.sealJson(key, { format: 1, catalog }));
    } catch (error) {
      throw fromStoreError(error, `writing ${key}`);
    }
  }

  /** What all gateways have told of themselves, by their owner ids. What can't be read is told to `onProblem`. */
  async listCatalogs(
    onProblem = this.#onProblem,
  ): Promise<{ readonly ownerId: string; readonly catalog: unknown }[]> {
    const found: { ownerId: string; catalog: unknown }[] = [];
    try {
      for await (const { key } of this.#store.list(CATALOGS_PREFIX)) {
        await tolerate(onProblem, key, async () => {
          const value = this.#sealer.unsealJson(key, await this.#store.get(key));
          const { format, catalog } = (value ?? {}) as { format?: unknown; catalog?: unknown };
          if (format !== 1)
            throw new VaultError("unknownFormat", `${key}: format ${String(format)} is not known here`);
          found.push({ ownerId: key.slice(CATALOGS_PREFIX.length), catalog });
        });
      }
    } catch (error) {
      throw fromStoreError(error, "listing the catalogs");
    }
    return found;
  }

  /** Forgets what a gateway has told of itself. */
  async deleteCatalog(ownerId: string): Promise<void> {
    try {
      await this.#store.delete([catalogKey(ownerId)]);
    } catch (error) {
      throw fromStoreError(error, `deleting ${catalogKey(ownerId)}`);
    }
  }

  /**
   * Roots that a snapshot, or a volume of any gateway, needs. Snapshots first: whoever makes a volume of one tells of the
   * volume before he looks whether the snapshot is still there. Rejects where one can't be read: nobody knows what it needs.
   */
  async listPins(): Promise<string[]> {
    const unreadable = (message: string) => {
      throw new VaultError("corrupt", message);
    };
    const keys = await this.#snapshotKeys();
    const fresh = keys.filter((key) => !this.#roots.has(key));
    const read = new Map(
      (await this.#readSnapshots(fresh, unreadable)).map((record) => [
        snapshotKey(record.snapshotId),
        record.rootKey,
      ]),
    );
    const named = new Map<string, string>();
    for (const key of keys) {
      const rootKey = this.#roots.get(key) ?? read.get(key);
      if (rootKey === undefined) throw new VaultError("corrupt", `${key} is another snapshot's record`);
      named.set(key, rootKey);
    }
    this.#roots = named;
    const pins = [...named.values()];
    for (const { catalog } of await this.listCatalogs(unreadable)) {
      const { volumes } = (catalog ?? {}) as { volumes?: readonly { parent_root_key?: unknown }[] };
      for (const volume of volumes ?? [])
        if (typeof volume?.parent_root_key === "string") pins.push(volume.parent_root_key);
    }
    return pins;
  }

  /** Whether the snapshot is there now. */
  async hasSnapshot(snapshotId: SnapshotId): Promise<boolean> {
    try {
      return (await this.#store.head(snapshotKey(snapshotId))) !== undefined;
    } catch (error) {
      throw fromStoreError(error, `looking for ${snapshotKey(snapshotId)}`);
    }
  }
}
