/**
 * Takes what is left of deleted snapshots away: the record in the bucket, then the row. That a snapshot is deleted stands
 * in the catalog before; so it is also done when the bucket gives no answer now, or the process ends: later.
 */
import type { Catalog } from "../catalog/catalog.ts";
import type { SnapshotRow } from "../catalog/schema.ts";
import { type Clock, delay } from "../platform/clock.ts";
import type { SnapshotId, VolumeId } from "../platform/ids.ts";
import { isUnavailable } from "./errors.ts";
import type { SnapshotStore } from "./ports.ts";

export interface SnapshotRemovalsOptions {
  readonly catalog: Catalog;
  readonly store: SnapshotStore;
  readonly clock: Clock;
  /** A snapshot of this root was deleted. Never rejects. */
  readonly onNameGone: (volumeId: VolumeId, rootKey: string) => Promise<void>;
  readonly onProblem: (message: string, error: unknown) => void;
}

/** A caller does not wait longer for the bucket than that. */
const PATIENCE_MS = 10_000;
const RETRY_MS = 15_000;

export class SnapshotRemovals {
  readonly #options: SnapshotRemovalsOptions;
  readonly #going = new Map<SnapshotId, Promise<void>>();
  #cancelTimer: (() => void) | undefined;
  #closed = false;

  constructor(options: SnapshotRemovalsOptions) {
    this.#options = options;
  }

  /**
   * Takes a deleted snapshot's rest away, now or when the bucket is back; resolves when it is done, or will be. Rejects
   * where the bucket refuses it.
   */
  async take(row: SnapshotRow): Promise<void> {
    const { clock } = this.#options;
    let isWaitedFor = true;
    const done = this.#forget(row).catch((error: unknown) => {
      this.#later();
      if (isUnavailable(error)) return;
      if (isWaitedFor) throw error;
      this.#options.onProblem(`${row.id} can't be deleted yet`, error);
    });
    await Promise.race([done, delay(clock, PATIENCE_MS)]);
    isWaitedFor = false;
  }

  /** Tries all that are left. */
  async sweep(): Promise<void> {
    const { catalog, onProblem } = this.#options;
    for (const row of await catalog.deletedSnapshots()) {
      if (row.state === "pending" || this.#closed) continue;
      try {
        await this.#forget(row);
      } catch (error) {
        if (!isUnavailable(error)) onProblem(`${row.id} can't be deleted yet`, error);
        this.#later();
        if (isUnavailable(error)) return;
      }
    }
  }

  close(): void {
    this.#closed = true;
    this.#cancelTimer?.();
  }

  #forget(row: SnapshotRow): Promise<void> {
    let going = this.#going.get(row.id);
    if (going === undefined) {
      going = this.#forgetNow(row).finally(() => this.#going.delete(row.id));
      this.#going.set(row.id, going);
    }
    return going;
  }

  async #forgetNow(row: SnapshotRow): Promise<void> {
    const { catalog, store, onNameGone } = this.#options;
    await store.deleteSnapshot(row.id);
    await catalog.removeSnapshot(row.id);
    if (row.root_key !== null) await onNameGone(row.volume_id, row.root_key);
  }

  #later(): void {
    if (this.#closed || this.#cancelTimer !== undefined) return;
    this.#cancelTimer = this.#options.clock.after(RETRY_MS, () => {
      this.#cancelTimer = undefined;
      void this.sweep().catch((error: unknown) =>
        this.#options.onProblem("deleted snapshots can't be taken away now", error),
      );
    });
  }
}
