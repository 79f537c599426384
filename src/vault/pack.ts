/**
 * A pack: an immutable object of many sealed records, about 16 MiB.
 *
 * ```
 * header     64 B   magic "SLGPACK1", u32 format version, u32 0, vault id 16 B, pack id 16 B, 16 B zero
 * records           one behind the other: ciphertext and 16-byte tag
 * directory         sealed: one 40-byte entry a record
 * footer     32 B   u32 directory offset, u32 directory bytes, u32 record count, 12 B zero, magic "SLGPEND1"
 * ```
 * Directory entry: name 20 B, u8 kind, u8 compression, u16 0, u32 offset, u32 stored bytes, u32 plain bytes,
 * u32 record number (an index object may leave records out).
 * All integers are little endian.
 *
 * A pack's key is derived from its random id; the nonce of a record is its number. A pack id is never used for other
 * bytes (a repeated PUT sends the same buffer), so no key and nonce meet twice. With each record its vault, pack,
 * number, kind, compression, length and name are authenticated.
 */
import type { KeyObject } from "node:crypto";
import { constants as zlib, zstdCompressSync, zstdDecompressSync } from "node:zlib";
import { type KeyRing, NAME_BYTES, seal, TAG_BYTES, unseal } from "./key-ring.ts";
import { VaultError } from "./vault-error.ts";

/** What a record holds. 4 (a frame of deltas) is kept for later. */
export const RECORD_KIND = { block: 1, page: 2, delta: 3 } as const;
export type RecordKind = (typeof RECORD_KIND)[keyof typeof RECORD_KIND];

const COMPRESSION = { none: 0, zstd: 1 } as const;
const HEADER_MAGIC = Buffer.from("SLGPACK1", "latin1");
const FOOTER_MAGIC = Buffer.from("SLGPEND1", "latin1");
const FORMAT_VERSION = 1;
const HEADER_BYTES = 64;
const FOOTER_BYTES = 32;
const ENTRY_BYTES = 40;
const DIRECTORY_NUMBER = 0xffffffff;
const PLAIN_BYTES_MAX = 1024 * 1024;
const ZSTD_LEVEL = 1;
/** What a zstd frame adds at most to a record that does not compress, and the least that zlib takes as a chunk. */
const FRAME_BYTES_MAX = 8 * 1024;
const CHUNK_BYTES_MIN = 64;
/** Compression that saves less than this part is not worth its decompression. */
const SAVING_MIN = 1 / 16;

/** Where a record is and what it is: enough to fetch and open it. */
export interface RecordLocation {
  readonly packId: string;
  readonly number: number;
  readonly kind: number;
  readonly compression: number;
  readonly offsetBytes: number;
  readonly storedBytes: number;
  readonly plainBytes: number;
}

export interface DirectoryEntry extends RecordLocation {
  readonly name: Buffer;
}

/** Collects records until the pack is full. */
export class PackBuilder {
  readonly packId: string;
  readonly entries: DirectoryEntry[] = [];
  readonly #vaultId: Buffer;
  readonly #id: Buffer;
  readonly #key: KeyObject;
  readonly #parts: Buffer[];
  #sizeBytes = HEADER_BYTES;

  constructor(keys: KeyRing, vaultId: Buffer, packId: Buffer) {
    this.#vaultId = vaultId;
    this.#id = packId;
    this.packId = packId.toString("hex");
    this.#key = keys.packKey(packId);
    const header = Buffer.alloc(HEADER_BYTES);
    HEADER_MAGIC.copy(header, 0);
    header.writeUInt32LE(FORMAT_VERSION, 8);
    vaultId.copy(header, 16);
    packId.copy(header, 32);
    this.#parts = [header];
  }

  get sizeBytes(): number {
    return this.#sizeBytes;
  }

  /**
   * Adds a record. What was encoded is decoded again and compared before it counts: a fault of the compressor or of
   * the memory must not become the only copy.
   */
  add(kind: RecordKind, name: Buffer, plain: Buffer): DirectoryEntry {
    const { compression, body } = compress(plain);
    const entry: DirectoryEntry = {
      name: Buffer.from(name),
      packId: this.packId,
      number: this.entries.length,
      kind,
      compression,
      offsetBytes: this.#sizeBytes,
      storedBytes: body.length + TAG_BYTES,
      plainBytes: plain.length,
    };
    const aad = associatedData(this.#vaultId, this.#id, entry, name);
    const sealed = seal(this.#key, nonceOf(entry.number), aad, body);
    const back = open(this.#key, aad, entry, sealed);
    if (back === undefined || !back.equals(plain)) {
      throw new VaultError("corrupt", "a record did not come back as it was encoded; it was not stored");
    }
    this.#parts.push(sealed);
    this.#sizeBytes += sealed.length;
    this.entries.push(entry);
    return entry;
  }

  /** The whole object. */
  finish(): Buffer {
    const directory = seal(
      this.#key,
      nonceOf(DIRECTORY_NUMBER),
      directoryData(this.#vaultId, this.#id),
      encodeEntries(this.entries),
    );
    const footer = Buffer.alloc(FOOTER_BYTES);
    footer.writeUInt32LE(this.#sizeBytes, 0);
    footer.writeUInt32LE(directory.length, 4);
    footer.writeUInt32LE(this.entries.length, 8);
    FOOTER_MAGIC.copy(footer, FOOTER_BYTES - FOOTER_MAGIC.length);
    return Buffer.concat([...this.#parts, directory, footer]);
  }
}

/** Opens records of packs. */
export class PackReader {
  readonly #keys: KeyRing;
  readonly #vaultId: Buffer;

  constructor(keys: KeyRing, vaultId: Buffer) {
    this.#keys = keys;
    this.#vaultId = vaultId;
  }

  /** The record's plain bytes; throws a VaultError of kind "corrupt" where its tag or its structure is wrong. */
  openRecord(location: RecordLocation, name: Buffer, sealed: Buffer): Buffer {
    const id = Buffer.from(location.packId, "hex");
    const aad = associatedData(this.#vaultId, id, location, name);
    const plain = open(this.#keys.packKey(id), aad, location, sealed);
    if (plain === undefined) {
      throw new VaultError("corrupt", `record ${location.number} of pack ${location.packId} fails its tag`);
    }
    return plain;
  }

  /** The directory of a whole pack, or of its end: `tail` is the object's last bytes. */
  readDirectory(packId: string, tail: Buffer, packBytes: number): DirectoryEntry[] | { needBytes: number } {
    const footer = tail.subarray(tail.length - FOOTER_BYTES);
    if (
      tail.length < FOOTER_BYTES ||
      !footer.subarray(FOOTER_BYTES - FOOTER_MAGIC.length).equals(FOOTER_MAGIC)
    ) {
      throw new VaultError("corrupt", `pack ${packId} has no footer`);
    }
    const offset = footer.readUInt32LE(0);
    const length = footer.readUInt32LE(4);
    if (offset + length + FOOTER_BYTES !== packBytes) {
      throw new VaultError("corrupt", `the footer of pack ${packId} is damaged`);
    }
    if (tail.length < length + FOOTER_BYTES) return { needBytes: length + FOOTER_BYTES };
    const start = tail.length - FOOTER_BYTES - length;
    const id = Buffer.from(packId, "hex");
    const plain = unseal(
      this.#keys.packKey(id),
      nonceOf(DIRECTORY_NUMBER),
      directoryData(this.#vaultId, id),
      tail.subarray(start, start + length),
    );
    if (plain === undefined || plain.length !== footer.readUInt32LE(8) * ENTRY_BYTES) {
      throw new VaultError("corrupt", `the directory of pack ${packId} fails its tag`);
    }
    return decodeEntries(packId, plain);
  }
}

/** Bytes at a pack's end that most often hold the whole directory. */
export const PACK_TAIL_BYTES = 64 * 1024;

/** The entries as bytes: the same in a pack's directory and in an index object. */
export function encodeEntries(entries: readonly DirectoryEntry[]): Buffer {
  const bytes = Buffer.alloc(entries.length * ENTRY_BYTES);
  for (const [i, entry] of entries.entries()) {
    const at = i * ENTRY_BYTES;
    entry.name.copy(bytes, at, 0, NAME_BYTES);
    bytes.writeUInt8(entry.kind, at + 20);
    bytes.writeUInt8(entry.compression, at + 21);
    bytes.writeUInt32LE(entry.offsetBytes, at + 24);
    bytes.writeUInt32LE(entry.storedBytes, at + 28);
    bytes.writeUInt32LE(entry.plainBytes, at + 32);
    bytes.writeUInt32LE(entry.number, at + 36);
  }
  return bytes;
}

/** The entries of one pack, in the order of its records. */
export function decodeEntries(packId: string, bytes: Buffer): DirectoryEntry[] {
  const entries: DirectoryEntry[] = [];
  for (let at = 0; at + ENTRY_BYTES <= bytes.length; at += ENTRY_BYTES) {
    entries.push({
      name: Buffer.from(bytes.subarray(at, at + NAME_BYTES)),
      packId,
      number: bytes.readUInt32LE(at + 36),
      kind: bytes.readUInt8(at + 20),
      compression: bytes.readUInt8(at + 21),
      offsetBytes: bytes.readUInt32LE(at + 24),
      storedBytes: bytes.readUInt32LE(at + 28),
      plainBytes: bytes.readUInt32LE(at + 32),
    });
  }
  return entries;
}

export { ENTRY_BYTES };

function compress(plain: Buffer): { compression: number; body: Buffer } {
  const packed = zstdCompressSync(plain, {
    params: { [zlib.ZSTD_c_compressionLevel]: ZSTD_LEVEL },
    // Room for all of it: otherwise it comes in pieces that have to be put together.
    chunkSize: plain.length + FRAME_BYTES_MAX,
  });
  return packed.length < plain.length * (1 - SAVING_MIN)
    ? { compression: COMPRESSION.zstd, body: packed }
    : { compression: COMPRESSION.none, body: plain };
}

function open(key: KeyObject, aad: Buffer, location: RecordLocation, sealed: Buffer): Buffer | undefined {
  const body = unseal(key, nonceOf(location.number), aad, sealed);
  if (body === undefined || location.plainBytes > PLAIN_BYTES_MAX) return undefined;
  if (location.compression === COMPRESSION.none) {
    return body.length === location.plainBytes ? body : undefined;
  }
  if (location.compression !== COMPRESSION.zstd) return undefined;
  try {
    const plain = zstdDecompressSync(body, {
      maxOutputLength: location.plainBytes,
      chunkSize: Math.max(CHUNK_BYTES_MIN, location.plainBytes),
    });
    return plain.length === location.plainBytes ? plain : undefined;
  } catch {
    // Bytes that pass their tag but do not decompress were wrong when they were written; the caller names them.
    return undefined;
  }
}

function nonceOf(number: number): Buffer {
  const nonce = Buffer.alloc(12);
  nonce.writeUInt32LE(number, 0);
  return nonce;
}

function associatedData(vaultId: Buffer, packId: Buffer, location: RecordLocation, name: Buffer): Buffer {
  const fields = Buffer.alloc(10);
  fields.writeUInt32LE(location.number, 0);
  fields.writeUInt8(location.kind, 4);
  fields.writeUInt8(location.compression, 5);
  fields.writeUInt32LE(location.plainBytes, 6);
  return Buffer.concat([vaultId, packId, fields, name]);
}

function directoryData(vaultId: Buffer, packId: Buffer): Buffer {
  return Buffer.concat([vaultId, packId, Buffer.from("directory", "latin1")]);
}
