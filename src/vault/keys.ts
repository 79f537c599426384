/** The names of all objects under a vault's prefix. Nothing else in the project spells them. */
import type { SnapshotId, VolumeId } from "../platform/ids.ts";

export const VAULT_JSON_KEY = "vault.json";
export const PACKS_PREFIX = "packs/";
export const INDEX_PREFIX = "index/";
export const SNAPSHOTS_PREFIX = "snapshots/";
export const CATALOGS_PREFIX = "catalogs/";
export const VOLUMES_PREFIX = "volumes/";
export const LEASES_PREFIX = "leases/";
export const WRITERS_PREFIX = "gc/writers/";
export const CYCLES_PREFIX = "gc/cycles/";

const NUMBER_DIGITS = 10;

/** `packs/<xx>/<pack id>`; `packId` is 32 hexadecimal digits, `xx` its first two. */
export function packKey(packId: string): string {
  return `${PACKS_PREFIX}${packId.slice(0, 2)}/${packId}`;
}

/** The pack id in a pack's key, or undefined. */
export function packIdOf(key: string): string | undefined {
  return /^packs\/([0-9a-f]{2})\/(\1[0-9a-f]{30})$/.exec(key)?.[2];
}

export function indexKey(indexId: string): string {
  return `${INDEX_PREFIX}${indexId}`;
}

export function rootsPrefix(volumeId: VolumeId): string {
  return `volumes/${volumeId}/roots/`;
}

/** Names sort by generation, then by epoch. */
export function rootKey(volumeId: VolumeId, generation: number, epoch: number): string {
  return `${rootsPrefix(volumeId)}${padded(generation)}-${padded(epoch)}`;
}

/** Whether `key` names a root of the volume. */
export function isRootKey(volumeId: VolumeId, key: string): boolean {
  const prefix = rootsPrefix(volumeId);
  return key.startsWith(prefix) && /^\d{10}-\d{10}$/.test(key.slice(prefix.length));
}

export function snapshotKey(snapshotId: SnapshotId): string {
  return `${SNAPSHOTS_PREFIX}${snapshotId}`;
}

/** The volume whose root the key names, or undefined. */
export function volumeOfRoot(key: string): VolumeId | undefined {
  return /^volumes\/(vol-[0-9a-f]{17})\/roots\/\d{10}-\d{10}$/.exec(key)?.[1] as VolumeId | undefined;
}

/** What a gateway has told of itself; `ownerId` is its own. */
export function catalogKey(ownerId: string): string {
  return `${CATALOGS_PREFIX}${ownerId}`;
}

export function leasesPrefix(volumeId: VolumeId): string {
  return `${LEASES_PREFIX}${volumeId}/`;
}

/** The volume whose lease the key names, or undefined. */
export function volumeOfLease(key: string): VolumeId | undefined {
  return /^leases\/(vol-[0-9a-f]{17})\/\d{10}$/.exec(key)?.[1] as VolumeId | undefined;
}

export function leaseKey(volumeId: VolumeId, generation: number): string {
  return `${leasesPrefix(volumeId)}${padded(generation)}`;
}

/** That a gateway writes to the vault: the collection waits for its answers. */
export function writerKey(ownerId: string): string {
  return `${WRITERS_PREFIX}${ownerId}`;
}

/** What one cycle of the collection has come to. */
export type CyclePart = "condemned" | "verdict" | "done" | `acks/${string}`;

export function cycleKey(cycle: number, part: CyclePart): string {
  return `${CYCLES_PREFIX}${padded(cycle)}/${part}`;
}

/** The cycle and the part that a key names, or undefined. */
export function cycleOf(key: string): { readonly cycle: number; readonly part: CyclePart } | undefined {
  const match = /^gc\/cycles\/(\d{10})\/(condemned|verdict|done|acks\/[0-9A-Za-z -]+)$/.exec(key);
  return match === null ? undefined : { cycle: Number(match[1]), part: match[2] as CyclePart };
}

function padded(value: number): string {
  return String(value).padStart(NUMBER_DIGITS, "0");
}
