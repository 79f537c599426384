/** A snapshot as it stands in the bucket: all that any API shows of it. */
import type { SnapshotId, VolumeId } from "../platform/ids.ts";
import { VaultError } from "./vault-error.ts";

export interface SnapshotRecord {
  readonly snapshotId: SnapshotId;
  readonly volumeId: VolumeId;
  readonly volumeArn: string;
  readonly rootKey: string;
  readonly description: string;
  readonly tags: readonly { readonly key: string; readonly value: string }[];
  readonly volumeSizeBytes: number;
  readonly startedAtMs: number;
  readonly completedAtMs: number;
  readonly fullBytes: number;
  /** What the vault only keeps: locks, shares, whose policy made it. */
  readonly marks?: object;
}

/** The record with its format version, as it is sealed. */
export function encodeSnapshot(record: SnapshotRecord): unknown {
  return { format: 1, ...record };
}

/** Checks a decoded value. Throws a VaultError where it is not a snapshot record. */
export function decodeSnapshot(key: string, value: unknown): SnapshotRecord {
  const { format, ...record } = (value ?? {}) as SnapshotRecord & { format?: unknown };
  if (format !== 1) {
    throw new VaultError("unknownFormat", `${key}: snapshot format ${String(format)} is not known here`);
  }
  const good =
    [record.snapshotId, record.volumeId, record.volumeArn, record.rootKey, record.description].every(
      (text) => typeof text === "string",
    ) &&
    Array.isArray(record.tags) &&
    record.tags.every((tag) => typeof tag?.key === "string" && typeof tag.value === "string") &&
    Number.isSafeInteger(record.volumeSizeBytes) &&
    (record.marks === undefined || (typeof record.marks === "object" && record.marks !== null));
  if (!good) throw new VaultError("corrupt", `${key} is not a snapshot record`);
  return record;
}
