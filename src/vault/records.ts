/** Snapshot records and copies of catalogs: small sealed objects that are replaced as a whole. */
import type { ObjectStore } from "../objects/object-store.ts";
import type { SnapshotId } from "../platform/ids.ts";
import { CATALOGS_PREFIX, catalogKey, SNAPSHOTS_PREFIX, snapshotKey } from "./keys.ts";
import type { ObjectSealer } from "./sealed-object.ts";
import { decodeSnapshot, encodeSnapshot, type SnapshotRecord } from "./snapshot-record.ts";
import { type OnProblem, tolerate } from "./tolerate.ts";
import { fromStoreError, VaultError } from "./vault-error.ts";

export class Records {
  readonly #store: ObjectStore;
  readonly #sealer: ObjectSealer;
  readonly #ownerId: string;
  readonly #onProblem: OnProblem;

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

  /** All snapshots whose records can be read; those that can't are told to `onProblem` and left out. */
  async listSnapshots(onProblem = this.#onProblem): Promise<SnapshotRecord[]> {
    const records: SnapshotRecord[] = [];
    try {
      for await (const { key } of this.#store.list(SNAPSHOTS_PREFIX)) {
        await tolerate(onProblem, key, async () => {
          records.push(decodeSnapshot(key, this.#sealer.unsealJson(key, await this.#store.get(key))));
        });
      }
    } catch (error) {
      throw fromStoreError(error, "listing the snapshots");
    }
    return records;
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
    const pins = (await this.listSnapshots(unreadable)).map(({ rootKey }) => rootKey);
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
