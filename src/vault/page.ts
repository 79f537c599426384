/**
 * Pages: the nodes of a volume's map, a tree of fixed fan-out 256 from block number to the records of its content.
 *
 * ```
 * u8 format (1) · u8 level · u16 LE entry count (256) · entries (entry.ts)
 * ```
 * On level 0 an entry is that of a block; above, it is the name of a page, of kind full.
 *
 * A page that is all zeros is never stored: its entry is zero. Pages are named by their content, so equal parts of two
 * maps are stored once.
 */
import { blockName, decodeEntry, type Entry, encodeEntry, isDelta } from "./entry.ts";
import { NAME_BYTES } from "./key-ring.ts";
import { VaultError } from "./vault-error.ts";

export const FAN_OUT = 256;
const FORMAT = 1;
const HEAD_BYTES = 4;
/** What an entry with deltas takes beside its bytes. */
const LONG_ENTRY_BYTES = 200;

/** A page in memory; entries are set and read in place. */
export class Page {
  readonly level: number;
  readonly #isSet: Uint8Array;
  readonly #names: Buffer;
  /** Entries with deltas, which are few in most pages. */
  readonly #long = new Map<number, Entry>();

  constructor(level: number) {
    this.level = level;
    this.#isSet = new Uint8Array(FAN_OUT);
    this.#names = Buffer.alloc(FAN_OUT * NAME_BYTES);
  }

  /** The entry; undefined for zero. It is shared and must not be changed. */
  entry(index: number): Entry | undefined {
    return this.#long.get(index) ?? this.name(index);
  }

  /** The entry's name: that of a block, or of a page; undefined for zero. */
  name(index: number): Buffer | undefined {
    if (this.#isSet[index] === 0) return undefined;
    return this.#names.subarray(index * NAME_BYTES, (index + 1) * NAME_BYTES);
  }

  set(index: number, entry: Entry | undefined): void {
    this.#isSet[index] = entry === undefined ? 0 : 1;
    this.#long.delete(index);
    if (entry === undefined) return;
    blockName(entry).copy(this.#names, index * NAME_BYTES);
    if (isDelta(entry)) this.#long.set(index, Buffer.from(entry));
  }

  get isZero(): boolean {
    return this.#isSet.every((set) => set === 0);
  }

  /** About what it takes in memory. */
  get memoryBytes(): number {
    return FAN_OUT * (NAME_BYTES + 1) + this.#long.size * LONG_ENTRY_BYTES;
  }

  copy(): Page {
    const page = new Page(this.level);
    page.#isSet.set(this.#isSet);
    this.#names.copy(page.#names);
    for (const [index, entry] of this.#long) page.#long.set(index, entry);
    return page;
  }

  encode(): Buffer {
    const parts: Buffer[] = [Buffer.from([FORMAT, this.level, FAN_OUT & 0xff, FAN_OUT >> 8])];
    for (let i = 0; i < FAN_OUT; i++) parts.push(encodeEntry(this.entry(i)));
    return Buffer.concat(parts);
  }

  /** Reads a page. Throws a VaultError for anything that is not one. */
  static decode(bytes: Buffer): Page {
    if (bytes.length < HEAD_BYTES) throw new VaultError("corrupt", "a page is too short");
    if (bytes.readUInt8(0) !== FORMAT) {
      throw new VaultError("unknownFormat", `page format ${bytes.readUInt8(0)} is not known here`);
    }
    const page = new Page(bytes.readUInt8(1));
    const count = bytes.readUInt16LE(2);
    if (count !== FAN_OUT) throw new VaultError("corrupt", `a page of ${count} entries`);
    let at = HEAD_BYTES;
    for (let i = 0; i < FAN_OUT; i++) {
      const { entry, end } = decodeEntry(bytes, at);
      if (entry !== undefined && page.level > 0 && isDelta(entry))
        throw new VaultError("corrupt", `entry ${i} of a page of level ${page.level} has deltas`);
      page.set(i, entry);
      at = end;
    }
    if (at !== bytes.length) throw new VaultError("corrupt", "a page is too long");
    return page;
  }
}

/** Levels of pages that a volume of so many blocks needs: at least one. */
export function levelsFor(blockCount: number): number {
  let levels = 1;
  while (FAN_OUT ** levels < blockCount) levels += 1;
  return levels;
}
