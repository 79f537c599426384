/** LOG SENSE (SPC-4, 6.8 and 7.3): which pages there are, and that the unit has no failure to predict. */
import { allocated, type ScsiCommand } from "../command.ts";
import { invalidCdb } from "../sense.ts";

const PAGE = { supported: 0x00, informationalExceptions: 0x2f } as const;
const CODES = Object.values(PAGE);
const ALL_SUBPAGES = 0xff;
const SUBPAGE_FORMAT = 0x40;
const PAGE_CODE = 0x3f;
const HEAD_BYTES = 4;
/** PPC, which is obsolete, and SP: nothing can be saved. */
const ONLY_CHANGED = 0x02;
const SAVE = 0x01;

export const logSense: ScsiCommand = {
  name: "LOG SENSE",
  opcode: 0x4d,
  usage: "4d 03 ff ff 00 ff ff ff ff 00",
  access: "any",
  isReserveExempt: true,
  isSanitizeExempt: true,
  timeoutS: 10,
  execute({ cdb }) {
    const flags = cdb.readUInt8(1);
    if ((flags & ONLY_CHANGED) !== 0) throw invalidCdb(1, 1);
    if ((flags & SAVE) !== 0) throw invalidCdb(1, 0);
    const code = cdb.readUInt8(2) & PAGE_CODE;
    const subpage = cdb.readUInt8(3);
    const content = pageOf(code, subpage);
    if (content === undefined) throw CODES.some((each) => each === code) ? invalidCdb(3) : invalidCdb(2, 5);
    // PARAMETER POINTER: there is no parameter beyond the first.
    if (cdb.readUInt16BE(5) !== 0) throw invalidCdb(5);
    const head = Buffer.alloc(HEAD_BYTES);
    head.writeUInt8(code | (subpage === 0 ? 0 : SUBPAGE_FORMAT), 0);
    head.writeUInt8(subpage, 1);
    head.writeUInt16BE(content.length, 2);
    return allocated(Buffer.concat([head, content]), cdb.readUInt16BE(7));
  },
};

function pageOf(code: number, subpage: number): Buffer | undefined {
  if (code === PAGE.supported && subpage === 0) return Buffer.from(CODES);
  if (code === PAGE.supported && subpage === ALL_SUBPAGES) {
    return Buffer.from([PAGE.supported, 0, PAGE.supported, ALL_SUBPAGES, PAGE.informationalExceptions, 0]);
  }
  // One parameter: no additional sense code, and no temperature is known (SPC-4, 7.3.8).
  if (code === PAGE.informationalExceptions && subpage === 0)
    return Buffer.from([0, 0, 0x03, 4, 0, 0, 0xff, 0]);
  return undefined;
}
