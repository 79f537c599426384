/**
 * Index objects: the directories of several packs in one sealed object, so that a lost local index is rebuilt from a
 * few objects instead of all packs. Plain content, little endian:
 *
 * ```
 * u32 format (1) · u32 pack count · for each pack: pack id 16 B, u32 record count, the directory's entries (40 B each)
 * ```
 */
import { type DirectoryEntry, decodeEntries, ENTRY_BYTES, encodeEntries } from "./pack.ts";
import { VaultError } from "./vault-error.ts";

const FORMAT = 1;
const HEAD_BYTES = 8;
const PACK_HEAD_BYTES = 20;

export interface PackDirectory {
  readonly packId: string;
  readonly entries: readonly DirectoryEntry[];
}

export function encodeIndex(packs: readonly PackDirectory[]): Buffer {
  const head = Buffer.alloc(HEAD_BYTES);
  head.writeUInt32LE(FORMAT, 0);
  head.writeUInt32LE(packs.length, 4);
  const parts: Buffer[] = [head];
  for (const { packId, entries } of packs) {
    const packHead = Buffer.alloc(PACK_HEAD_BYTES);
    packHead.write(packId, 0, 16, "hex");
    packHead.writeUInt32LE(entries.length, 16);
    parts.push(packHead, encodeEntries(entries));
  }
  return Buffer.concat(parts);
}

export function decodeIndex(bytes: Buffer): PackDirectory[] {
  if (bytes.length < HEAD_BYTES) throw new VaultError("corrupt", "an index object is too short");
  if (bytes.readUInt32LE(0) !== FORMAT) {
    throw new VaultError("unknownFormat", `index format ${bytes.readUInt32LE(0)} is not known here`);
  }
  const packs: PackDirectory[] = [];
  let at = HEAD_BYTES;
  for (let i = bytes.readUInt32LE(4); i > 0; i--) {
    if (at + PACK_HEAD_BYTES > bytes.length) throw new VaultError("corrupt", "an index object is too short");
    const packId = bytes.toString("hex", at, at + 16);
    const length = bytes.readUInt32LE(at + 16) * ENTRY_BYTES;
    at += PACK_HEAD_BYTES;
    if (at + length > bytes.length) throw new VaultError("corrupt", "an index object is too short");
    packs.push({ packId, entries: decodeEntries(packId, bytes.subarray(at, at + length)) });
    at += length;
  }
  return packs;
}
