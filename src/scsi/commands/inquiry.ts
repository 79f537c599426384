import { allocated, type CommandContext, type ScsiCommand } from "../command.ts";
import { invalidCdb } from "../sense.ts";
import { VPD_PAGES } from "../vpd/pages.ts";

const EVPD = 0x01;
/** Command support data, as SPC-2 had it: obsolete, and refused rather than taken for standard data. */
const CMDDT = 0x02;
const STANDARD_BYTES = 96;
/** SAM-5, SPC-4, SBC-3, iSCSI (no version claimed). */
const VERSION_DESCRIPTORS = [0x00a0, 0x0460, 0x04c0, 0x0960];

/** INQUIRY (SPC-4, 6.6): standard data and vital product data pages. */
export const inquiry: ScsiCommand = {
  name: "INQUIRY",
  opcode: 0x12,
  usage: "12 03 ff ff ff 00",
  access: "any",
  isReserveExempt: true,
  isUnattentive: true,
  isSanitizeExempt: true,
  timeoutS: 10,

  execute(context) {
    const { cdb } = context;
    const pageCode = cdb.readUInt8(2);
    const allocationLength = cdb.readUInt16BE(3);
    if ((cdb.readUInt8(1) & CMDDT) !== 0) throw invalidCdb(1, 1);
    if ((cdb.readUInt8(1) & EVPD) === 0) {
      if (pageCode !== 0) throw invalidCdb(2);
      return allocated(standardData(context), allocationLength);
    }
    const page = VPD_PAGES.get(pageCode);
    if (page === undefined) throw invalidCdb(2);
    return allocated(page(context), allocationLength);
  },
};

function standardData({ unit: { identity } }: CommandContext): Buffer {
  const data = Buffer.alloc(STANDARD_BYTES);
  data.writeUInt8(0x06, 2); // SPC-4
  data.writeUInt8(0x12, 3); // HISUP, response data format 2
  data.writeUInt8(STANDARD_BYTES - 5, 4);
  data.writeUInt8(0x18, 5); // TPGS: implicit asymmetric access; 3PC: third-party copy
  data.writeUInt8(0x10, 6); // MULTIP
  data.writeUInt8(0x02, 7); // CMDQUE
  data.write(identity.vendor.padEnd(8), 8, 8, "ascii");
  data.write(identity.product.padEnd(16), 16, 16, "ascii");
  data.write(identity.revision.padEnd(4), 32, 4, "ascii");
  for (const [i, version] of VERSION_DESCRIPTORS.entries()) data.writeUInt16BE(version, 58 + 2 * i);
  return data;
}

/** The one field of INQUIRY data for a LUN that is not there: peripheral qualifier 011b, type 1Fh. */
export function inquiryOfNoUnit(): Buffer {
  const data = Buffer.alloc(36);
  data.writeUInt8(0x7f, 0);
  data.writeUInt8(0x06, 2);
  data.writeUInt8(0x02, 3);
  data.writeUInt8(31, 4);
  return data;
}
