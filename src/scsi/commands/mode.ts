/** MODE SENSE and MODE SELECT (6 and 10) (SPC-4, 6.11 to 6.14). Parameters can't be saved: a reset undoes them. */
import { allocated, type CommandContext, type CommandResult, type ScsiCommand } from "../command.ts";
import { MODE_PAGES, type ModePage } from "../mode/pages.ts";
import { DEFAULT_MODES, type ModeParameters } from "../mode/parameters.ts";
import { CheckCondition, invalidCdb, invalidList, SENSE } from "../sense.ts";

const ALL_PAGES = 0x3f;
const ALL_SUBPAGES = 0xff;
const DPOFUA = 0x10;
/** WP of the device-specific parameter (SBC-3, 6.5.1). */
const WRITE_PROTECTED = 0x80;
const PAGE_CONTROL = { current: 0, changeable: 1, defaults: 2, saved: 3 } as const;
const SELECT = { pageFormat: 0x10, savePages: 0x01 } as const;
const SHORT_DESCRIPTOR_BYTES = 8;
const LONG_DESCRIPTOR_BYTES = 16;
/** All ones, as a number: as many blocks as there can be. */
const LBA_64_MAX = 2 ** 64;
const PAGE_CODE = 0x3f;
const SUBPAGE_FORMAT = 0x40;

export const modeSense6: ScsiCommand = {
  name: "MODE SENSE(6)",
  opcode: 0x1a,
  usage: "1a 08 ff ff ff 00",
  // SPC-4, table 65, has a conflict under an exclusive access. But Linux, refused this, takes it that there is no write
  // cache, and would flush nothing once it has the unit: what it is told here has to come through.
  access: "any",
  isSanitizeExempt: true,
  timeoutS: 10,
  execute(context) {
    const { cdb } = context;
    const blocks = blockDescriptor(context, false);
    const body = Buffer.concat([blocks, pages(context)]);
    const head = Buffer.from([body.length + 3, 0, specificParameter(context), blocks.length]);
    return allocated(Buffer.concat([head, body]), cdb.readUInt8(4));
  },
};

export const modeSense10: ScsiCommand = {
  name: "MODE SENSE(10)",
  opcode: 0x5a,
  usage: "5a 18 ff ff 00 00 00 ff ff 00",
  access: "any",
  isSanitizeExempt: true,
  timeoutS: 10,
  execute(context) {
    const { cdb } = context;
    const longLba = (cdb.readUInt8(1) & 0x10) !== 0;
    const blocks = blockDescriptor(context, longLba);
    const body = Buffer.concat([blocks, pages(context)]);
    const head = Buffer.alloc(8);
    head.writeUInt16BE(body.length + 6, 0);
    head.writeUInt8(specificParameter(context), 3);
    head.writeUInt8(longLba && blocks.length > 0 ? 1 : 0, 4);
    head.writeUInt16BE(blocks.length, 6);
    return allocated(Buffer.concat([head, body]), cdb.readUInt16BE(7));
  },
};

function specificParameter({ unit }: CommandContext): number {
  return DPOFUA | (unit.modes.writeProtect || unit.isMediumProtected ? WRITE_PROTECTED : 0);
}

function blockDescriptor({ cdb, device }: CommandContext, long: boolean): Buffer {
  const disableBlockDescriptors = (cdb.readUInt8(1) & 0x08) !== 0;
  if (disableBlockDescriptors) return Buffer.alloc(0);
  const blocks = device.sizeBytes / device.logicalBlockBytes;
  if (long) {
    const descriptor = Buffer.alloc(LONG_DESCRIPTOR_BYTES);
    descriptor.writeBigUInt64BE(BigInt(blocks), 0);
    descriptor.writeUInt32BE(device.logicalBlockBytes, 12);
    return descriptor;
  }
  const descriptor = Buffer.alloc(SHORT_DESCRIPTOR_BYTES);
  descriptor.writeUInt32BE(Math.min(blocks, 0xffffffff), 0);
  descriptor.writeUIntBE(device.logicalBlockBytes, 5, 3);
  return descriptor;
}

function pages({ cdb, unit }: CommandContext): Buffer {
  const pageControl = cdb.readUInt8(2) >> 6;
  const code = cdb.readUInt8(2) & PAGE_CODE;
  const subpage = cdb.readUInt8(3);
  if (pageControl === PAGE_CONTROL.saved) throw new CheckCondition(SENSE.savingParametersNotSupported);
  if (subpage !== 0 && subpage !== ALL_SUBPAGES) throw invalidCdb(3);
  const chosen = code === ALL_PAGES ? MODE_PAGES : MODE_PAGES.filter((page) => page.code === code);
  if (chosen.length === 0) throw invalidCdb(2, 5);
  return Buffer.concat(chosen.map((page) => encodePage(page, pageControl, unit.modes)));
}

function encodePage(page: ModePage, pageControl: number, modes: ModeParameters): Buffer {
  if (pageControl !== PAGE_CONTROL.changeable) {
    return page.encode(pageControl === PAGE_CONTROL.defaults ? DEFAULT_MODES : modes);
  }
  const mask = Buffer.from(page.changeable);
  page.encode(DEFAULT_MODES).copy(mask, 0, 0, 2);
  return mask;
}

export const modeSelect6: ScsiCommand = {
  name: "MODE SELECT(6)",
  opcode: 0x15,
  usage: "15 11 00 00 ff 00",
  access: "write",
  timeoutS: 10,
  execute: (context) => select(context, context.cdb.readUInt8(4), 4),
};

export const modeSelect10: ScsiCommand = {
  name: "MODE SELECT(10)",
  opcode: 0x55,
  usage: "55 11 00 00 00 00 00 ff ff 00",
  access: "write",
  timeoutS: 10,
  execute: (context) => select(context, context.cdb.readUInt16BE(7), 8),
};

/** Takes over all pages of the list, or none. */
function select(context: CommandContext, listLength: number, headBytes: number): CommandResult {
  const { cdb, dataOut, unit, nexus } = context;
  const flags = cdb.readUInt8(1);
  if ((flags & SELECT.pageFormat) === 0) throw invalidCdb(1, 4);
  if ((flags & SELECT.savePages) !== 0) throw invalidCdb(1, 0);
  if (listLength === 0) return { dataOutBytes: 0 };
  const list = dataOut.subarray(0, listLength);
  if (list.length < headBytes || list.length < listLength) {
    throw new CheckCondition(SENSE.parameterListLengthError);
  }
  const isLong = headBytes === 8 && (list.readUInt8(4) & 0x01) !== 0;
  const descriptorBytes = headBytes === 8 ? list.readUInt16BE(6) : list.readUInt8(3);
  let at = headBytes + checkBlockDescriptor(context, list, headBytes, descriptorBytes, isLong);
  let modes = unit.modes;
  while (at < list.length) {
    const page = list.subarray(at);
    if (page.length < 2) throw new CheckCondition(SENSE.parameterListLengthError);
    const length = page.readUInt8(1) + 2;
    if (page.length < length) throw new CheckCondition(SENSE.parameterListLengthError);
    modes = applyPage(page.subarray(0, length), at, modes);
    at += length;
  }
  const isSame = Object.entries(modes).every(
    ([name, value]) => unit.modes[name as keyof ModeParameters] === value,
  );
  if (!isSame) unit.setModes(modes, nexus);
  return { dataOutBytes: listLength };
}

/** The capacity and the block length can't be changed: a descriptor has to say what is so. Answers its length. */
function checkBlockDescriptor(
  { device }: CommandContext,
  list: Buffer,
  at: number,
  descriptorBytes: number,
  isLong: boolean,
): number {
  if (descriptorBytes === 0) return 0;
  const due = isLong ? LONG_DESCRIPTOR_BYTES : SHORT_DESCRIPTOR_BYTES;
  if (descriptorBytes !== due) throw invalidList(at === 8 ? 6 : 3);
  const descriptor = list.subarray(at);
  if (descriptor.length < due) throw new CheckCondition(SENSE.parameterListLengthError);
  const blocks = device.sizeBytes / device.logicalBlockBytes;
  const [toldBlocks, toldBytes] = isLong
    ? [Number(descriptor.readBigUInt64BE(0)), descriptor.readUInt32BE(12)]
    : [descriptor.readUInt32BE(0), descriptor.readUIntBE(5, 3)];
  const isSameSize =
    toldBlocks === 0 || toldBlocks === blocks || toldBlocks === (isLong ? LBA_64_MAX : 0xffffffff);
  if (!isSameSize) throw invalidList(at);
  if (toldBytes !== device.logicalBlockBytes) throw invalidList(at + (isLong ? 12 : 5));
  return due;
}

/** `at`: where the page begins in its list. */
function applyPage(told: Buffer, at: number, modes: ModeParameters): ModeParameters {
  const head = told.readUInt8(0);
  const page = MODE_PAGES.find(({ code }) => code === (head & PAGE_CODE));
  if (page === undefined || (head & SUBPAGE_FORMAT) !== 0) throw invalidList(at, 5);
  const current = page.encode(modes);
  if (told.length !== current.length) throw invalidList(at + 1);
  for (let i = 2; i < told.length; i++) {
    const wrong = (told[i]! ^ current[i]!) & ~page.changeable[i]! & 0xff;
    if (wrong !== 0) throw invalidList(at + i, Math.floor(Math.log2(wrong)));
  }
  return page.apply(told, modes);
}
