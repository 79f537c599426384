/** MODE SENSE(6) and (10) (SPC-4, 6.13 and 6.14). No page can be changed yet. */
import { allocated, type CommandContext, type ScsiCommand } from "../command.ts";
import { CheckCondition, SENSE } from "../sense.ts";

const ALL_PAGES = 0x3f;
const DPOFUA = 0x10;

/** Caching (08h): the write cache is on, so what must survive loss of power needs FUA or SYNCHRONIZE CACHE. */
const CACHING = Buffer.concat([Buffer.from([0x08, 0x12, 0x04]), Buffer.alloc(17)]);
/** Control (0Ah): commands may be reordered as SIMPLE tasks allow (queue algorithm modifier 1). */
const CONTROL = Buffer.concat([Buffer.from([0x0a, 0x0a, 0x02, 0x10]), Buffer.alloc(8)]);
/** Informational exceptions control (1Ch): none are reported. */
const EXCEPTIONS = Buffer.concat([Buffer.from([0x1c, 0x0a, 0x08]), Buffer.alloc(9)]);
const READ_WRITE_RECOVERY = Buffer.concat([Buffer.from([0x01, 0x0a, 0xc0]), Buffer.alloc(9)]);

const PAGES = new Map([
  [0x01, READ_WRITE_RECOVERY],
  [0x08, CACHING],
  [0x0a, CONTROL],
  [0x1c, EXCEPTIONS],
]);

const PAGE_CONTROL = { current: 0, changeable: 1, defaults: 2, saved: 3 } as const;

export const modeSense6: ScsiCommand = {
  name: "MODE SENSE(6)",
  opcode: 0x1a,
  execute(context) {
    const { cdb } = context;
    const blocks = blockDescriptor(context, false);
    const body = Buffer.concat([blocks, pages(cdb)]);
    const data = Buffer.concat([Buffer.from([body.length + 3, 0, DPOFUA, blocks.length]), body]);
    return allocated(data, cdb.readUInt8(4));
  },
};

export const modeSense10: ScsiCommand = {
  name: "MODE SENSE(10)",
  opcode: 0x5a,
  execute(context) {
    const { cdb } = context;
    const longLba = (cdb.readUInt8(1) & 0x10) !== 0;
    const blocks = blockDescriptor(context, longLba);
    const body = Buffer.concat([blocks, pages(cdb)]);
    const head = Buffer.alloc(8);
    head.writeUInt16BE(body.length + 6, 0);
    head.writeUInt8(DPOFUA, 3);
    head.writeUInt8(longLba && blocks.length > 0 ? 1 : 0, 4);
    head.writeUInt16BE(blocks.length, 6);
    return allocated(Buffer.concat([head, body]), cdb.readUInt16BE(7));
  },
};

function blockDescriptor({ cdb, device }: CommandContext, long: boolean): Buffer {
  const disableBlockDescriptors = (cdb.readUInt8(1) & 0x08) !== 0;
  if (disableBlockDescriptors) return Buffer.alloc(0);
  const blocks = device.sizeBytes / device.logicalBlockBytes;
  if (long) {
    const descriptor = Buffer.alloc(16);
    descriptor.writeBigUInt64BE(BigInt(blocks), 0);
    descriptor.writeUInt32BE(device.logicalBlockBytes, 12);
    return descriptor;
  }
  const descriptor = Buffer.alloc(8);
  descriptor.writeUInt32BE(Math.min(blocks, 0xffffffff), 0);
  descriptor.writeUIntBE(device.logicalBlockBytes, 5, 3);
  return descriptor;
}

function pages(cdb: Buffer): Buffer {
  const control = cdb.readUInt8(2) >> 6;
  const code = cdb.readUInt8(2) & 0x3f;
  const subpage = cdb.readUInt8(3);
  // SAVING PARAMETERS NOT SUPPORTED has a code of its own; no initiator in the field asks for saved values.
  if (control === PAGE_CONTROL.saved) throw new CheckCondition({ key: 0x5, asc: 0x39, ascq: 0x00 });
  if (subpage !== 0 && subpage !== 0xff) throw new CheckCondition(SENSE.invalidFieldInCdb);
  const chosen = code === ALL_PAGES ? [...PAGES.values()] : [PAGES.get(code)];
  const parts = chosen.map((page) => {
    if (page === undefined) throw new CheckCondition(SENSE.invalidFieldInCdb);
    if (control !== PAGE_CONTROL.changeable) return page;
    return Buffer.concat([page.subarray(0, 2), Buffer.alloc(page.length - 2)]);
  });
  return Buffer.concat(parts);
}
