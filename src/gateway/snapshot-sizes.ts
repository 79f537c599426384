/**
 * What a snapshot takes of the vault by itself: bytes that neither the snapshot of its volume before it nor the one after
 * it (or the volume, as it stands in the bucket) has at the same place. Deleting it gives them back, with the next
 * collection, but for what also lies at another place of the vault, or in a recovery point that has no name.
 *
 * Measured one by one, behind the answers; what was measured is kept as long as its neighbours are the same.
 */
import type { Catalog } from "../catalog/catalog.ts";
import type { SnapshotRow, VolumeRow } from "../catalog/schema.ts";
import type { Clock } from "../platform/clock.ts";
import type { VolumeId } from "../platform/ids.ts";
import { SerialQueue } from "../platform/serial-queue.ts";
import { GatewayError } from "./errors.ts";
import type { RootDifference, RootMeasures, VolumeHost } from "./ports.ts";
import type { Snapshots } from "./snapshots.ts";

export interface SnapshotSizesOptions {
  readonly catalog: Catalog;
  readonly snapshots: Snapshots;
  readonly host: VolumeHost;
  readonly measures: RootMeasures;
  readonly clock: Clock;
  readonly onProblem: (message: string, error: unknown) => void;
}

export type SnapshotSize =
  | { readonly state: "measuring" }
  | { readonly state: "unknown"; readonly reason: string }
  | {
      readonly state: "measured";
      readonly uniqueBytes: number;
      /** False where it was too much to look at all of it: then it is more. */
      readonly isWhole: boolean;
      readonly measuredAtMs: number;
      /** Volumes that stand on it: they keep all of it, whether it has a name or not. */
      readonly heldBy: readonly VolumeId[];
    };

interface Neighbours {
  readonly key: string;
  readonly before: string | undefined;
  readonly after: string | undefined;
}

interface Known {
  readonly neighbours: string;
  readonly size: SnapshotSize;
  readonly atMs: number;
}

const KEPT_MAX = 20_000;
const WAITING_MAX = 2_000;
/** What the volume itself holds changes all the time: it is not looked at again more often than this. */
const FRESH_MS = 60_000;
/** So long a failure is told before it is tried again. */
const FAILED_MS = 30_000;

export class SnapshotSizes {
  readonly #options: SnapshotSizesOptions;
  readonly #queue = new SerialQueue();
  readonly #waiting = new Set<string>();
  /** By the root; the oldest first. */
  readonly #known = new Map<string, Known>();

  constructor(options: SnapshotSizesOptions) {
    this.#options = options;
  }

  /** What is known of each; measuring what is not goes on behind it: ask again. */
  async sizes(rows: readonly SnapshotRow[]): Promise<SnapshotSize[]> {
    const { catalog, snapshots } = this.#options;
    const volumes = await catalog.volumes();
    const completed = (await snapshots.list())
      .map(({ row }) => row)
      .filter(({ state }) => state === "completed");
    const byVolume = Map.groupBy(completed, ({ volume_id }) => volume_id);
    const sizes: SnapshotSize[] = [];
    for (const row of rows) {
      const siblings = byVolume.get(row.volume_id) ?? [];
      sizes.push(await this.#size(row, siblings, volumes));
    }
    return sizes;
  }

  /** How the second snapshot differs from the first, and where: in so many equal parts of the volume. */
  async difference(first: SnapshotRow, second: SnapshotRow, parts: number): Promise<RootDifference> {
    const [before, after] = [first, second].map((row) => {
      if (row.state === "completed" && row.root_key !== null) return row.root_key;
      throw new GatewayError("SnapshotInProgress", `${row.id} is ${row.state}.`);
    });
    return this.#options.measures.differenceOf(before ?? "", after ?? "", parts);
  }

  async #size(
    row: SnapshotRow,
    siblings: readonly SnapshotRow[],
    volumes: readonly VolumeRow[],
  ): Promise<SnapshotSize> {
    const key = row.root_key;
    if (row.state !== "completed" || key === null) return { state: "unknown", reason: `It is ${row.state}.` };
    const heldBy = volumes.filter(({ parent_root_key }) => parent_root_key === key).map(({ id }) => id);
    if (heldBy.length > 0)
      return {
        ...{ state: "measured", uniqueBytes: 0, isWhole: true, heldBy },
        measuredAtMs: this.#options.clock.nowMs(),
      };
    const volume = volumes.find(({ id }) => id === row.volume_id);
    const neighbours = await this.#neighbours(key, row, siblings, volume);
    const known = this.#known.get(key);
    const ageMs = known === undefined ? 0 : this.#options.clock.nowMs() - known.atMs;
    const isFresh = ageMs < (known?.size.state === "unknown" ? FAILED_MS : FRESH_MS);
    if (known !== undefined && (isFresh || known.neighbours === textOf(neighbours))) return known.size;
    this.#measure(neighbours);
    return known?.size.state === "measured" ? known.size : { state: "measuring" };
  }

  /** The moments that it is measured against. */
  async #neighbours(
    key: string,
    row: SnapshotRow,
    siblings: readonly SnapshotRow[],
    volume: VolumeRow | undefined,
  ): Promise<Neighbours> {
    let before: SnapshotRow | undefined;
    let after: SnapshotRow | undefined;
    for (const each of siblings) {
      if (each.id === row.id) continue;
      // Of equal moments the ids decide, so that each is between others.
      const isEarlier =
        each.started_at < row.started_at || (each.started_at === row.started_at && each.id < row.id);
      if (isEarlier && (before === undefined || each.started_at >= before.started_at)) before = each;
      if (!isEarlier && (after === undefined || each.started_at < after.started_at)) after = each;
    }
    return {
      key,
      before: before?.root_key ?? volume?.parent_root_key ?? undefined,
      after: after?.root_key ?? (await this.#newest(volume)),
    };
  }

  /** The volume as it stands in the bucket now. */
  async #newest(volume: VolumeRow | undefined): Promise<string | undefined> {
    if (volume === undefined) return undefined;
    if (volume.attachment === "detached") return volume.parent_root_key ?? undefined;
    const report = await this.#options.host.report(volume.id).catch(() => undefined);
    return report?.recoveryPoint?.rootKey;
  }

  #measure(neighbours: Neighbours): void {
    const { key, before, after } = neighbours;
    if (this.#waiting.has(key) || this.#waiting.size >= WAITING_MAX) return;
    this.#waiting.add(key);
    const { measures, clock, onProblem } = this.#options;
    void this.#queue.run(async () => {
      try {
        const { storedBytes, isWhole } = await measures.uniqueOf(key, before, after);
        const measuredAtMs = clock.nowMs();
        const size = {
          state: "measured",
          uniqueBytes: storedBytes,
          isWhole,
          measuredAtMs,
          heldBy: [],
        } as const;
        this.#keep(neighbours, size);
      } catch (error) {
        // A root that was thinned out meanwhile, or a bucket that is away: the next who asks tries again.
        onProblem(`${key} can't be measured now`, error);
        const reason = error instanceof Error ? error.message : String(error);
        this.#keep(neighbours, { state: "unknown", reason });
      } finally {
        this.#waiting.delete(key);
      }
    });
  }

  #keep(neighbours: Neighbours, size: SnapshotSize): void {
    this.#known.delete(neighbours.key);
    this.#known.set(neighbours.key, {
      ...{ neighbours: textOf(neighbours), size, atMs: this.#options.clock.nowMs() },
    });
    if (this.#known.size <= KEPT_MAX) return;
    const [oldest] = this.#known.keys();
    if (oldest !== undefined) this.#known.delete(oldest);
  }
}

function textOf({ before = "", after = "" }: Neighbours): string {
  return `${before} ${after}`;
}
