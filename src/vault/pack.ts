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
import { recordCodec } from "./codec-choice.ts";
import { type KeyRing, NAME_BYTES, seal, unseal } from "./key-ring.ts";
import { type CodecKey, type RecordCodec, TAG_BYTES } from "./record-codec.ts";
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
/** What a pack begins with; with the first record that does not fit it gets room for all that it may come to. */
const FIRST_BYTES = 256 * 1024;
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
  readonly #codec: RecordCodec = recordCodec();
  readonly #vaultId: Buffer;
  readonly #id: Buffer;
  readonly #key: CodecKey;
  readonly #expectedBytes: number;
  #bytes: Buffer;
  #sizeBytes = HEADER_BYTES;

  /** `expectedBytes`: how large it may become; it can become larger. */
  constructor(keys: KeyRing, vaultId: Buffer, packId: Buffer, expectedBytes = 0) {
    this.#vaultId = vaultId;
    this.#id = packId;
    this.packId = packId.toString("hex");
    this.#key = keys.packKey(packId);
    this.#expectedBytes = expectedBytes;
    this.#bytes = Buffer.allocUnsafeSlow(FIRST_BYTES);
    this.#bytes.fill(0, 0, HEADER_BYTES);
    HEADER_MAGIC.copy(this.#bytes, 0);
    this.#bytes.writeUInt32LE(FORMAT_VERSION, 8);
    vaultId.copy(this.#bytes, 16);
    packId.copy(this.#bytes, 32);
  }

  get sizeBytes(): number {
    return this.#sizeBytes;
  }

  /**
   * Adds a record. What was encoded is decoded again, from where it stands in the pack, and compared before it counts:
   * a fault of the compressor or of the memory must not become the only copy.
   */
  add(kind: RecordKind, name: Buffer, plain: Buffer): DirectoryEntry {
    const { compression, body } = compress(this.#codec, plain);
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
    const sealed = this.#room(entry.storedBytes);
    this.#codec.seal(this.#key, nonceOf(entry.number), aad, body, sealed);
    const back = scratch(COMPARED, plain.length);
    if (!open(this.#codec, this.#key, aad, entry, sealed, back) || !back.equals(plain)) {
      throw new VaultError("corrupt", "a record did not come back as it was encoded; it was not stored");
    }
    this.#sizeBytes += sealed.length;
    this.entries.push(entry);
    return entry;
  }

  /** The next `lengthBytes` of the pack. */
  #room(lengthBytes: number): Buffer {
    const end = this.#sizeBytes + lengthBytes;
    if (end > this.#bytes.length) {
      const larger = Buffer.allocUnsafeSlow(Math.max(this.#expectedBytes, 2 * this.#bytes.length, end));
      this.#bytes.copy(larger, 0, 0, this.#sizeBytes);
      this.#bytes = larger;
    }
    return this.#bytes.subarray(this.#sizeBytes, end);
  }

  /** The whole object. Nothing can be added any more. */
  finish(): Buffer {
    const directory = seal(
      this.#key.bytes,
      nonceOf(DIRECTORY_NUMBER),
      directoryData(this.#vaultId, this.#id),
      encodeEntries(this.entries),
    );
    const end = this.#room(directory.length + FOOTER_BYTES).fill(0);
    directory.copy(end, 0);
    const footer = end.subarray(directory.length);
    footer.writeUInt32LE(this.#sizeBytes, 0);
    footer.writeUInt32LE(directory.length, 4);
    footer.writeUInt32LE(this.entries.length, 8);
    FOOTER_MAGIC.copy(footer, FOOTER_BYTES - FOOTER_MAGIC.length);
    return this.#bytes.subarray(0, this.#sizeBytes + end.length);
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
    const plain = Buffer.allocUnsafeSlow(Math.min(location.plainBytes, PLAIN_BYTES_MAX));
    this.openInto(location, name, sealed, plain);
    return plain;
  }

  /**
   * The same into a buffer of the record's size. Where it throws, what is in the buffer means nothing and must not be
   * shown to anybody.
   */
  openInto(location: RecordLocation, name: Buffer, sealed: Buffer, into: Buffer): void {
    const id = Buffer.from(location.packId, "hex");
    const aad = associatedData(this.#vaultId, id, location, name);
    if (open(recordCodec(), this.#keys.packKey(id), aad, location, sealed, into)) return;
    throw new VaultError("corrupt", `record ${location.number} of pack ${location.packId} fails its tag`);
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
      this.#keys.packKey(id).bytes,
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

/** Buffers of this thread that hold something from one line to the next: what was compressed, opened, compared. */
const scratches: Buffer[] = [];
const [COMPRESSED, OPENED, COMPARED] = [0, 1, 2];

function scratch(which: number, lengthBytes: number): Buffer {
  let bytes = scratches[which];
  if (bytes === undefined || bytes.length < lengthBytes) {
    bytes = Buffer.allocUnsafeSlow(lengthBytes);
    scratches[which] = bytes;
  }
  return bytes.subarray(0, lengthBytes);
}

function compress(codec: RecordCodec, plain: Buffer): { compression: number; body: Buffer } {
  // What does not fit in here is not worth it.
  const into = scratch(COMPRESSED, Math.ceil(plain.length * (1 - SAVING_MIN)));
  const length = codec.compress(plain, into);
  return length !== undefined && length < into.length
    ? { compression: COMPRESSION.zstd, body: into.subarray(0, length) }
    : { compression: COMPRESSION.none, body: plain };
}

/** Opens a record into a buffer of its plain size; answers whether its tag and its structure are right. */
function open(
  codec: RecordCodec,
  key: CodecKey,
  aad: Buffer,
  location: RecordLocation,
  sealed: Buffer,
  into: Buffer,
): boolean {
  const { compression, number, plainBytes } = location;
  if (sealed.length < TAG_BYTES || plainBytes > PLAIN_BYTES_MAX || into.length !== plainBytes) return false;
  const bodyBytes = sealed.length - TAG_BYTES;
  if (compression === COMPRESSION.none)
    return bodyBytes === plainBytes && codec.open(key, nonceOf(number), aad, sealed, into);
  if (compression !== COMPRESSION.zstd) return false;
  const body = scratch(OPENED, bodyBytes);
  return codec.open(key, nonceOf(number), aad, sealed, body) && codec.decompress(body, into) === plainBytes;
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
