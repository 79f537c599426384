/** Where the content of a volume began: with which volume, through restores and clones. */
import type { Catalog } from "../catalog/catalog.ts";
import type { VolumeRow } from "../catalog/schema.ts";
import type { VolumeId } from "../platform/ids.ts";
import { volumeOfRoot } from "../vault/keys.ts";

/** How far back it is looked for where no snapshot tells. */
const STEPS_MAX = 16;

/** The volume that this one's content began with; null: itself. */
export async function lineageOfVolume(catalog: Catalog, volume: VolumeRow): Promise<VolumeId | null> {
  let id = volume.id;
  for (let row: VolumeRow | undefined = volume, i = 0; i < STEPS_MAX; i++) {
    const known = await catalog.lineageOf(id);
    if (known !== undefined) return known;
    const source = row === undefined ? undefined : await sourceOf(catalog, row);
    if (source === undefined || source === id) break;
    id = source;
    row = await catalog.volume(id);
  }
  return id === volume.id ? null : id;
}

async function sourceOf(catalog: Catalog, row: VolumeRow): Promise<VolumeId | undefined> {
  const snapshot =
    row.source_snapshot_id === null ? undefined : await catalog.snapshot(row.source_snapshot_id);
  if (snapshot !== undefined) return snapshot.lineage_id ?? snapshot.volume_id;
  return row.parent_root_key === null ? undefined : volumeOfRoot(row.parent_root_key);
}
