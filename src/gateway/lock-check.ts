import type { Catalog } from "../catalog/catalog.ts";
import { PLAIN_SNAPSHOT, type SnapshotRow } from "../catalog/schema.ts";
import type { Clock } from "../platform/clock.ts";
import { GatewayError } from "./errors.ts";
import type { SnapshotStore } from "./ports.ts";
import { isLocked, rowOfMarks } from "./snapshot-marks.ts";

/**
 * Rejects with SnapshotLocked where the snapshot is locked: by what is known here, or by what another gateway has put into
 * the bucket.
 */
export async function checkLock(
  row: SnapshotRow,
  {
    catalog,
    store,
    clock,
  }: { readonly catalog: Catalog; readonly store: SnapshotStore; readonly clock: Clock },
): Promise<void> {
  const nowMs = clock.nowMs();
  if (isLocked(row, nowMs)) throw new GatewayError("SnapshotLocked");
  if (row.state !== "completed") return;
  // A record that is damaged tells of no lock; it can still be deleted.
  const record = await store.snapshot(row.id).catch((error: unknown) => {
    if ((error as { kind?: unknown }).kind !== "corrupt") throw error;
    return undefined;
  });
  const marks = rowOfMarks(record?.marks);
  if (!isLocked({ ...PLAIN_SNAPSHOT, ...marks }, nowMs)) return;
  await catalog.updateSnapshot(row.id, marks);
  throw new GatewayError("SnapshotLocked");
}
