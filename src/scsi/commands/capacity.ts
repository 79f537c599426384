/** READ CAPACITY(10) and (16) (SBC-3, 5.15 and 5.16). */
import { allocated, type ScsiCommand } from "../command.ts";
import { invalidCdb } from "../sense.ts";

const LBA_32_MAX = 0xffffffff;
const LBPME_LBPRZ = 0xc0;

export const readCapacity10: ScsiCommand = {
  name: "READ CAPACITY(10)",
  opcode: 0x25,
  usage: "25 00 ff ff ff ff 00 00 01 00",
  access: "any",
  isReserveExempt: true,
  isSanitizeExempt: true,
  timeoutS: 10,
  execute({ cdb, device }) {
    const pmi = (cdb.readUInt8(8) & 0x01) !== 0;
    if (!pmi && cdb.readUInt32BE(2) !== 0) throw invalidCdb(2);
    const data = Buffer.alloc(8);
    data.writeUInt32BE(Math.min(device.sizeBytes / device.logicalBlockBytes - 1, LBA_32_MAX), 0);
    data.writeUInt32BE(device.logicalBlockBytes, 4);
    return { dataIn: data };
  },
};

export const readCapacity16: ScsiCommand = {
  name: "READ CAPACITY(16)",
  opcode: 0x9e,
  serviceAction: 0x10,
  usage: "9e 1f 00 00 00 00 00 00 00 00 ff ff ff ff 00 00",
  access: "any",
  isReserveExempt: true,
  isSanitizeExempt: true,
  timeoutS: 10,
  execute({ cdb, device }) {
    const data = Buffer.alloc(32);
    data.writeBigUInt64BE(BigInt(device.sizeBytes / device.logicalBlockBytes - 1), 0);
    data.writeUInt32BE(device.logicalBlockBytes, 8);
    data.writeUInt8(Math.log2(device.physicalBlockBytes / device.logicalBlockBytes), 13);
    data.writeUInt8(LBPME_LBPRZ, 14);
    return allocated(data, cdb.readUInt32BE(10));
  },
};
