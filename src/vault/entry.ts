/**
 * What a map says of a block that is not all zeros: the block's name, and which records it is made of.
 *
 * Most often that is one record, the block's chunk, which has the same name: then the entry is that name. Otherwise the
 * block is an older chunk (the base) and up to four deltas over it: the entry is the block's name, the name of the base,
 * and the names of the deltas, oldest first. Whoever reads the block checks that it has its name.
 *
 * So two entries with the same name hold the same bytes, whatever records they are made of.
 *
 * As bytes, in pages and steps: u8 kind, then for kind 1 (full) the name, 20 bytes; for kind 2 (delta) u8 number of
 * deltas, name, name of the base, names of the deltas. Kind 0 is a block of zeros, which has no entry.
 */
import { strict as assert } from "node:assert";
import { NAME_BYTES } from "./key-ring.ts";
import { VaultError } from "./vault-error.ts";

/** One name, or those of the block, its base and its deltas. Shared, and never changed. */
export type Entry = Buffer;

export const ENTRY_KIND = { zero: 0, full: 1, delta: 2 } as const;
/** Deltas over one chunk. Past them the block is stored as a whole again. */
export const DELTAS_MAX = 4;
export const ENTRY_BYTES_MAX = (2 + DELTAS_MAX) * NAME_BYTES;

/** The name of the block itself. */
export function blockName(entry: Entry): Buffer {
  return entry.subarray(0, NAME_BYTES);
}

export function isDelta(entry: Entry): boolean {
  return entry.length > NAME_BYTES;
}

/** The chunk that the block is made of, alone or under deltas. */
export function baseName(entry: Entry): Buffer {
  return isDelta(entry) ? entry.subarray(NAME_BYTES, 2 * NAME_BYTES) : entry;
}

/** The deltas over the base, oldest first. */
export function deltaNames(entry: Entry): Buffer[] {
  const names: Buffer[] = [];
  for (let at = 2 * NAME_BYTES; at < entry.length; at += NAME_BYTES)
    names.push(entry.subarray(at, at + NAME_BYTES));
  return names;
}

/** Whether both are of the same bytes; undefined is a block of zeros. */
export function isSameBlock(a: Entry | undefined, b: Entry | undefined): boolean {
  if (a === undefined || b === undefined) return a === b;
  return a.compare(b, 0, NAME_BYTES, 0, NAME_BYTES) === 0;
}

/** The entry of a block that is `before` with one more delta; undefined where it has to be stored as a whole. */
export function withDelta(before: Entry, name: Buffer, delta: Buffer): Entry {
  assert(mayGrow(before));
  return Buffer.concat([name, baseName(before), ...deltaNames(before), delta]);
}

/** Whether one more delta may be put over the block. */
export function mayGrow(entry: Entry): boolean {
  return entry.length < ENTRY_BYTES_MAX;
}

/** The entry's bytes in pages and steps. */
export function encodeEntry(entry: Entry | undefined): Buffer {
  if (entry === undefined) return Buffer.from([ENTRY_KIND.zero]);
  if (!isDelta(entry)) return Buffer.concat([Buffer.from([ENTRY_KIND.full]), entry]);
  return Buffer.concat([Buffer.from([ENTRY_KIND.delta, entry.length / NAME_BYTES - 2]), entry]);
}

/**
 * Reads the entry at `at`: undefined for zeros; `end` is where the next one begins. Throws a VaultError where there is
 * none, or one of a kind that is not known here.
 */
export function decodeEntry(bytes: Buffer, at: number): { entry: Entry | undefined; end: number } {
  const kind = bytes[at];
  if (kind === ENTRY_KIND.zero) return { entry: undefined, end: at + 1 };
  let start = at + 1;
  let length = NAME_BYTES;
  if (kind === ENTRY_KIND.delta) {
    const deltas = bytes[start] ?? 0;
    if (deltas < 1 || deltas > DELTAS_MAX) throw new VaultError("corrupt", `an entry with ${deltas} deltas`);
    start += 1;
    length = (2 + deltas) * NAME_BYTES;
  } else if (kind !== undefined && kind !== ENTRY_KIND.full) {
    throw new VaultError("unknownFormat", `entry kind ${kind} is not known here`);
  }
  if (kind === undefined || start + length > bytes.length)
    throw new VaultError("corrupt", "the bytes end within an entry");
  return { entry: bytes.subarray(start, start + length), end: start + length };
}
