/** UNMAP and WRITE SAME (10, 16) (SBC-3, 5.28, 5.44 and 5.45). */
import { nextTurn } from "../../platform/clock.ts";
import type { BlockDevice } from "../block-device.ts";
import {
  type CommandContext,
  checkProtect,
  checkRange,
  checkWanted,
  lengthByte,
  readLba,
  type ScsiCommand,
  STEP_BYTES,
  writeDevice,
} from "../command.ts";
import { CheckCondition, invalidCdb, invalidList, SENSE } from "../sense.ts";
import { UNMAP_BLOCKS_MAX, UNMAP_DESCRIPTORS_MAX, WRITE_SAME_BYTES_MAX } from "../vpd/pages.ts";

const HEAD_BYTES = 8;
const DESCRIPTOR_BYTES = 16;
const PBDATA_LBDATA = 0x06;

export const unmap: ScsiCommand = {
  name: "UNMAP",
  opcode: 0x42,
  usage: "42 01 00 00 00 00 00 ff ff 00",
  access: "write",
  isWrite: true,
  timeoutS: 60,
  async execute({ cdb, dataOut, device, unit, signal }) {
    const anchor = (cdb.readUInt8(1) & 0x01) !== 0;
    if (anchor) throw invalidCdb(1, 0);
    const listLength = cdb.readUInt16BE(7);
    if (listLength === 0) return { dataOutBytes: 0 };
    const list = dataOut.subarray(0, listLength);
    // A part of a list is not carried out: what is lost by an UNMAP does not come back.
    if (list.length < HEAD_BYTES || list.length < listLength)
      throw new CheckCondition(SENSE.parameterListLengthError);
    for (const { lba, blocks } of readDescriptors(list, device)) {
      const offset = lba * device.logicalBlockBytes;
      const length = blocks * device.logicalBlockBytes;
      await unit.locks.shared(offset, length, () => device.unmap(offset, length));
      checkWanted({ signal });
    }
    if (unit.modes.isWriteThrough) await device.flush();
    return { dataOutBytes: listLength };
  },
};

function readDescriptors(list: Buffer, device: BlockDevice): { lba: number; blocks: number }[] {
  const end = Math.min(HEAD_BYTES + list.readUInt16BE(2), list.length);
  if (Math.floor((end - HEAD_BYTES) / DESCRIPTOR_BYTES) > UNMAP_DESCRIPTORS_MAX) throw invalidList(2);
  const ranges: { lba: number; blocks: number }[] = [];
  let total = 0;
  for (let at = HEAD_BYTES; at + DESCRIPTOR_BYTES <= end; at += DESCRIPTOR_BYTES) {
    const lba = readLba(list, at);
    const blocks = list.readUInt32BE(at + 8);
    if (blocks === 0) continue;
    checkRange(device, lba, blocks);
    total += blocks;
    if (total > UNMAP_BLOCKS_MAX) throw invalidList(at + 8);
    ranges.push({ lba, blocks });
  }
  return ranges;
}

interface WriteSame {
  readonly name: string;
  readonly opcode: number;
  readonly usage: string;
  range(cdb: Buffer): [lba: number, blocks: number];
  /** NDOB: zeros are meant, and no Data-Out comes. */
  hasNoData(cdb: Buffer): boolean;
  /** Whether UNMAP counts for a block that is not zeros. */
  readonly unmapsAnything: boolean;
}

function writeSame({ name, opcode, usage, range, hasNoData, unmapsAnything }: WriteSame): ScsiCommand {
  return {
    name,
    opcode,
    usage,
    access: "write",
    isWrite: true,
    timeoutS: 60,
    async execute({ cdb, dataOut, device, unit, signal }) {
      checkProtect(cdb);
      const [lba, asked] = range(cdb);
      const flags = cdb.readUInt8(1);
      const isUnmap = (flags & 0x08) !== 0;
      const anchor = (flags & 0x10) !== 0;
      if (anchor) throw invalidCdb(1, 4);
      // Data that is made from the block address (SBC-2): not what other targets do with such a block any more.
      if ((flags & PBDATA_LBDATA) !== 0) throw invalidCdb(1, 2);
      // No length means: to the end of the unit (WSNZ=0).
      const blocks = asked === 0 ? device.sizeBytes / device.logicalBlockBytes - lba : asked;
      checkRange(device, lba, blocks);
      const blockBytes = device.logicalBlockBytes;
      const length = blocks * blockBytes;
      if (length > WRITE_SAME_BYTES_MAX) throw invalidCdb(lengthByte(cdb));
      const due = hasNoData(cdb) ? 0 : blockBytes;
      if (dataOut.length !== due) throw due === 0 ? invalidCdb(1, 0) : invalidCdb(lengthByte(cdb));
      const pattern = due === 0 ? Buffer.alloc(blockBytes) : dataOut;
      const offset = lba * blockBytes;
      await unit.locks.shared(offset, length, async () => {
        if (isUnmap && (unmapsAnything || pattern.every((byte) => byte === 0))) {
          await device.unmap(offset, length);
        } else await repeat({ device, signal }, offset, length, pattern);
      });
      if (unit.modes.isWriteThrough) await device.flush();
      return { dataOutBytes: due };
    },
  };
}

async function repeat(
  { device, signal }: Pick<CommandContext, "device" | "signal">,
  offset: number,
  length: number,
  pattern: Buffer,
): Promise<void> {
  const chunk = Buffer.alloc(Math.min(STEP_BYTES, length), pattern);
  for (let at = 0; at < length; at += chunk.length) {
    await writeDevice(device, offset + at, chunk, Math.min(chunk.length, length - at));
    await nextTurn();
    checkWanted({ signal });
  }
}

/** With UNMAP, the 10-byte form unmaps whatever its block holds, as initiators know it from other targets. */
export const writeSame10 = writeSame({
  name: "WRITE SAME(10)",
  opcode: 0x41,
  usage: "41 fe ff ff ff ff 00 ff ff 00",
  range: (cdb) => [cdb.readUInt32BE(2), cdb.readUInt16BE(7)],
  hasNoData: () => false,
  unmapsAnything: true,
});

/** With UNMAP, the 16-byte form writes a block that is not zeros: reads give back what was written. */
export const writeSame16 = writeSame({
  name: "WRITE SAME(16)",
  opcode: 0x93,
  usage: "93 ff ff ff ff ff ff ff ff ff ff ff ff ff 00 00",
  range: (cdb) => [readLba(cdb, 2), cdb.readUInt32BE(10)],
  hasNoData: (cdb) => (cdb.readUInt8(1) & 0x01) !== 0,
  unmapsAnything: false,
});
