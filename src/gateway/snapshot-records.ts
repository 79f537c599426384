/** Completed snapshots as rows of the catalog and as records in the bucket. */
import type { Tag } from "../catalog/catalog.ts";
import { PLAIN_SNAPSHOT, type SnapshotRow } from "../catalog/schema.ts";
import type { SnapshotRecord } from "./ports.ts";
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

/** The row of a snapshot that only the bucket knows of. */
export function rowOfRecord(record: SnapshotRecord): SnapshotRow {
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
