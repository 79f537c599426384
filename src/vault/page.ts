/**
 * Pages: the nodes of a volume's map, a tree of fixed fan-out 256 from block number to chunk name.
 *
 * ```
 * u8 format (1) · u8 level · u16 LE entry count (256) · entries
 * ```
 * An entry is one byte of kind and what the kind needs: 0 zero (nothing follows), 1 full: a name of 20 bytes, of a
 * chunk on level 0 and of a page above. Kind 2 is kept for a full chunk with up to four deltas over it.
 *
 * A page that is all zeros is never stored: its entry is zero. Pages are named by their content, so equal parts of two
 * maps are stored once.
 */
import { NAME_BYTES } from "./key-ring.ts";
import { VaultError } from "./vault-error.ts";

export const FAN_OUT = 256;
const FORMAT = 1;
const HEAD_BYTES = 4;
export const ENTRY_KIND = { zero: 0, full: 1 } as const;

/** A page in memory; entries are set and read in place. */
export class Page {
  readonly level: number;
  readonly #kinds: Uint8Array;
  readonly #names: Buffer;

  constructor(level: number) {
    this.level = level;
    this.#kinds = new Uint8Array(FAN_OUT);
    this.#names = Buffer.alloc(FAN_OUT * NAME_BYTES);
  }

  /** The entry's name; undefined for zero. */
  name(index: number): Buffer | undefined {
    if (this.#kinds[index] !== ENTRY_KIND.full) return undefined;
    return this.#names.subarray(index * NAME_BYTES, (index + 1) * NAME_BYTES);
  }

  set(index: number, name: Buffer | undefined): void {
    this.#kinds[index] = name === undefined ? ENTRY_KIND.zero : ENTRY_KIND.full;
    if (name !== undefined) name.copy(this.#names, index * NAME_BYTES, 0, NAME_BYTES);
  }

  get isZero(): boolean {
    return this.#kinds.every((kind) => kind === ENTRY_KIND.zero);
  }

  copy(): Page {
    const page = new Page(this.level);
    page.#kinds.set(this.#kinds);
    this.#names.copy(page.#names);
    return page;
  }

  encode(): Buffer {
    const parts: Buffer[] = [Buffer.from([FORMAT, this.level, FAN_OUT & 0xff, FAN_OUT >> 8])];
    for (let i = 0; i < FAN_OUT; i++) {
      const name = this.name(i);
      parts.push(Buffer.from([this.#kinds[i] ?? 0]));
      if (name !== undefined) parts.push(name);
    }
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
      const kind = at < bytes.length ? bytes.readUInt8(at) : undefined;
      at += 1;
      if (kind === ENTRY_KIND.zero) continue;
      if (kind !== ENTRY_KIND.full || at + NAME_BYTES > bytes.length) {
        throw new VaultError(
          kind === undefined || kind === ENTRY_KIND.full ? "corrupt" : "unknownFormat",
          `entry ${i} of a page can't be read`,
        );
      }
      page.set(i, bytes.subarray(at, at + NAME_BYTES));
      at += NAME_BYTES;
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
