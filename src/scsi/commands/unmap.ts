/** UNMAP and WRITE SAME (10, 16) (SBC-3, 5.28, 5.44 and 5.45). */
import { nextTurn } from "../../platform/clock.ts";
import type { BlockDevice } from "../block-device.ts";
import { checkRange, readLba, type ScsiCommand, writeDevice } from "../command.ts";
import { CheckCondition, SENSE } from "../sense.ts";
import { UNMAP_BLOCKS_MAX, UNMAP_DESCRIPTORS_MAX } from "../vpd/pages.ts";

const HEAD_BYTES = 8;
const DESCRIPTOR_BYTES = 16;
const PATTERN_BYTES_MAX = 1024 * 1024;

export const unmap: ScsiCommand = {
  name: "UNMAP",
  opcode: 0x42,
  async execute({ cdb, dataOut, device }) {
    const anchor = (cdb.readUInt8(1) & 0x01) !== 0;
    if (anchor) throw new CheckCondition(SENSE.invalidFieldInCdb);
    const listLength = Math.min(cdb.readUInt16BE(7), dataOut.length);
    if (listLength === 0) return {};
    if (listLength < HEAD_BYTES) throw new CheckCondition(SENSE.parameterListLengthError);
    const ranges = readDescriptors(dataOut.subarray(0, listLength), device);
    for (const { lba, blocks } of ranges) {
      await device.unmap(lba * device.logicalBlockBytes, blocks * device.logicalBlockBytes);
    }
    return {};
  },
};

function readDescriptors(list: Buffer, device: BlockDevice): { lba: number; blocks: number }[] {
  const end = Math.min(HEAD_BYTES + list.readUInt16BE(2), list.length);
  const ranges: { lba: number; blocks: number }[] = [];
  let total = 0;
  for (let at = HEAD_BYTES; at + DESCRIPTOR_BYTES <= end; at += DESCRIPTOR_BYTES) {
    const lba = readLba(list, at);
    const blocks = list.readUInt32BE(at + 8);
    if (blocks === 0) continue;
    checkRange(device, lba, blocks);
    total += blocks;
    ranges.push({ lba, blocks });
  }
  if (ranges.length > UNMAP_DESCRIPTORS_MAX || total > UNMAP_BLOCKS_MAX) {
    throw new CheckCondition(SENSE.invalidFieldInParameterList);
  }
  return ranges;
}

function writeSame(
  name: string,
  opcode: number,
  range: (cdb: Buffer) => [lba: number, blocks: number],
  noDataOut: (cdb: Buffer) => boolean,
): ScsiCommand {
  return {
    name,
    opcode,
    async execute({ cdb, dataOut, device }) {
      const [lba, asked] = range(cdb);
      const flags = cdb.readUInt8(1);
      const isUnmap = (flags & 0x08) !== 0;
      const anchor = (flags & 0x10) !== 0;
      if (flags >> 5 !== 0 || anchor) throw new CheckCondition(SENSE.invalidFieldInCdb);
      // No length means: to the end of the unit (WSNZ=0).
      const blocks = asked === 0 ? device.sizeBytes / device.logicalBlockBytes - lba : asked;
      checkRange(device, lba, blocks);
      if (blocks > UNMAP_BLOCKS_MAX) throw new CheckCondition(SENSE.invalidFieldInCdb);
      const blockBytes = device.logicalBlockBytes;
      const pattern = noDataOut(cdb) ? Buffer.alloc(blockBytes) : dataOut.subarray(0, blockBytes);
      if (pattern.length < blockBytes) throw new CheckCondition(SENSE.invalidFieldInCdb);
      if (isUnmap && pattern.every((byte) => byte === 0)) {
        await device.unmap(lba * blockBytes, blocks * blockBytes);
      } else {
        await repeat(device, lba * blockBytes, blocks * blockBytes, pattern);
      }
      return {};
    },
  };
}

async function repeat(device: BlockDevice, offset: number, length: number, pattern: Buffer): Promise<void> {
  const chunk = Buffer.alloc(Math.min(PATTERN_BYTES_MAX, length), pattern);
  for (let at = 0; at < length; at += chunk.length) {
    await writeDevice(device, offset + at, chunk.subarray(0, Math.min(chunk.length, length - at)));
    await nextTurn();
  }
}

export const writeSame10 = writeSame(
  "WRITE SAME(10)",
  0x41,
  (cdb) => [cdb.readUInt32BE(2), cdb.readUInt16BE(7)],
  () => false,
);

export const writeSame16 = writeSame(
  "WRITE SAME(16)",
  0x93,
  (cdb) => [readLba(cdb, 2), cdb.readUInt32BE(10)],
  (cdb) => (cdb.readUInt8(1) & 0x01) !== 0,
);
