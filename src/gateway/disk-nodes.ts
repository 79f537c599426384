/**
 * Where a disk sits among the others, as the API shows it (`SCSI (0:N)`). Terraform and scripts name disks by it, so it
 * stays with a disk's id for good: a new disk takes a new number, and that of one which is gone is nobody else's.
 */
import type { Catalog } from "../catalog/catalog.ts";
import { SerialQueue } from "../platform/serial-queue.ts";

const SETTING = "disk-nodes";
/** So many numbers are remembered; beyond, those of disks that are gone are forgotten. */
const REMEMBERED_MAX = 1000;

export class DiskNodes {
  readonly #catalog: Catalog;
  readonly #queue = new SerialQueue();

  constructor(catalog: Catalog) {
    this.#catalog = catalog;
  }

  /** The nodes of the disks of these ids. Those that have none yet take the next numbers, in this order. */
  of(ids: readonly string[]): Promise<ReadonlyMap<string, string>> {
    return this.#queue.run(async () => {
      const kept = await this.#catalog.setting(SETTING);
      const numbers = new Map<string, number>(kept === undefined ? [] : JSON.parse(kept));
      const fresh = ids.filter((id) => !numbers.has(id));
      let next = Math.max(-1, ...numbers.values()) + 1;
      for (const id of fresh) numbers.set(id, next++);
      if (fresh.length > 0) {
        const here = new Set(ids);
        const remembered = [...numbers].filter(([id]) => numbers.size <= REMEMBERED_MAX || here.has(id));
        await this.#catalog.setSetting(SETTING, JSON.stringify(remembered));
      }
      return new Map(ids.map((id) => [id, `SCSI (0:${numbers.get(id)})`]));
    });
  }
}
