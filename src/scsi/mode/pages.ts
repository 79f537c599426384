/** Mode pages (SPC-4, 7.5; SBC-3, 6.5): how each is made of the parameters, and what of it can be changed. */
import { strict as assert } from "node:assert";
import { DEFAULT_MODES, type ModeParameters } from "./parameters.ts";

export interface ModePage {
  readonly code: number;
  encode(modes: ModeParameters): Buffer;
  /** A one for every bit that MODE SELECT may change, page code and length apart. */
  readonly changeable: Buffer;
  /** Takes over what a page of MODE SELECT says. */
  apply(page: Buffer, modes: ModeParameters): ModeParameters;
}

function fixed(page: Buffer): ModePage {
  return {
    code: page.readUInt8(0),
    encode: () => Buffer.from(page),
    changeable: Buffer.alloc(page.length),
    apply: (_, modes) => modes,
  };
}

function bytes(length: number, values: Readonly<Record<number, number>>): Buffer {
  const buffer = Buffer.alloc(length);
  for (const [offset, value] of Object.entries(values)) buffer.writeUInt8(value, Number(offset));
  return buffer;
}

/** Read-write error recovery: bad blocks are not reassigned by request (AWRE and ARRE say it is done here). */
const readWriteRecovery = fixed(bytes(12, { 0: 0x01, 1: 0x0a, 2: 0xc0 }));

const WCE = 0x04;
/** Caching: with the write cache on, what must survive loss of power needs FUA or SYNCHRONIZE CACHE. */
const caching: ModePage = {
  code: 0x08,
  encode: ({ isWriteThrough }) => bytes(20, { 0: 0x08, 1: 0x12, 2: isWriteThrough ? 0 : WCE }),
  changeable: bytes(20, { 2: WCE }),
  apply: (page, modes) => ({ ...modes, isWriteThrough: (page.readUInt8(2) & WCE) === 0 }),
};

const D_SENSE = 0x04;
const SWP = 0x08;
/** Control: commands may be reordered as SIMPLE tasks allow (queue algorithm modifier 1). */
const control: ModePage = {
  code: 0x0a,
  encode: ({ descriptorSense, writeProtect }) =>
    bytes(12, {
      0: 0x0a,
      1: 0x0a,
      2: 0x02 | (descriptorSense ? D_SENSE : 0),
      3: 0x10,
      4: writeProtect ? SWP : 0,
    }),
  changeable: bytes(12, { 2: D_SENSE, 4: SWP }),
  apply: (page, modes) => ({
    ...modes,
    descriptorSense: (page.readUInt8(2) & D_SENSE) !== 0,
    writeProtect: (page.readUInt8(4) & SWP) !== 0,
  }),
};

/** Informational exceptions control: none are reported. */
const exceptions = fixed(bytes(12, { 0: 0x1c, 1: 0x0a, 2: 0x08 }));

/** In the order of their codes, as MODE SENSE returns them. */
export const MODE_PAGES: readonly ModePage[] = [readWriteRecovery, caching, control, exceptions];

for (const { code, encode, changeable } of MODE_PAGES) {
  const page = encode(DEFAULT_MODES);
  assert(page.readUInt8(0) === code && page.readUInt8(1) === page.length - 2);
  assert(changeable.length === page.length);
}
