/** Completed snapshots as rows of the catalog and as records in the bucket. */
import type { Catalog, Tag } from "../catalog/catalog.ts";
import { PLAIN_SNAPSHOT, type SnapshotRow, type VolumeRow } from "../catalog/schema.ts";
import type { SnapshotId } from "../platform/ids.ts";
import type { SnapshotRecord, SnapshotStore } from "./ports.ts";
import { marksOf, rowOfMarks } from "./snapshot-marks.ts";

export function recordOf(row: SnapshotRow, tags: readonly Tag[]): SnapshotRecord {
  return {
    snapshotId: row.id,
    volumeId: row.volume_id,
    volumeArn: row.volume_arn,
    rootKey: row.root_key ?? "",
    description: row.description,
    tags,
    volumeSizeBytes: row.volume_size_bytes,
    startedAtMs: row.started_at,
    completedAtMs: row.completed_at ?? row.started_at,
    fullBytes: row.full_bytes,
    ...marksOf(row),
  };
}

/** The row of a snapshot of the volume that is still to be made. */
export function pendingRow(
  volume: VolumeRow,
  volumeArn: string,
  id: SnapshotId,
  description: string,
): SnapshotRow {
  return {
    ...PLAIN_SNAPSHOT,
    id,
    volume_id: volume.id,
    volume_arn: volumeArn,
    epoch: 0,
    state: "pending",
    reason: null,
    description,
    volume_size_bytes: volume.size_bytes,
    started_at: 0,
    completed_at: null,
    root_key: null,
    full_bytes: 0,
    deleted: 0,
  };
}

/** The row of a snapshot that only the bucket knows of. */
function rowOfRecord(record: SnapshotRecord): SnapshotRow {
  return {
    ...PLAIN_SNAPSHOT,
    ...rowOfMarks(record.marks),
    id: record.snapshotId,
    volume_id: record.volumeId,
    volume_arn: record.volumeArn,
    epoch: 0,
    state: "completed",
    reason: null,
    description: record.description,
    volume_size_bytes: record.volumeSizeBytes,
    started_at: record.startedAtMs,
    completed_at: record.completedAtMs,
    root_key: record.rootKey,
    full_bytes: record.fullBytes,
    deleted: 0,
  };
}

/** Rows that are written in one transaction: each waits for the disk once. */
const ADOPTED_AT_ONCE = 500;

/** Takes in what only the bucket knows. What is known here is not read there: there may be ten thousand of them. */
export async function adoptSnapshots(catalog: Catalog, store: SnapshotStore): Promise<void> {
  const known = (await catalog.allSnapshots()).map(({ id }) => id);
  const records = await store.listSnapshots(known);
  for (let at = 0; at < records.length; at += ADOPTED_AT_ONCE) {
    const fresh: SnapshotRecord[] = [];
    for (const record of records.slice(at, at + ADOPTED_AT_ONCE)) {
      if ((await catalog.snapshot(record.snapshotId)) === undefined) fresh.push(record);
    }
    const tags = new Map(fresh.map((record) => [record.snapshotId, record.tags]));
    await catalog.addSnapshots(fresh.map(rowOfRecord), ({ id }) => tags.get(id) ?? []);
  }
}

/** A cut as one text. */
export function keyOfCut(volumeId: string, epoch: number): string {
  return `${volumeId} ${epoch}`;
}

/** The cut that the snapshot is of. */
export function cutOf(row: SnapshotRow): { volumeId: SnapshotRow["volume_id"]; epoch: number } {
  return { volumeId: row.volume_id, epoch: row.epoch };
}
