/** READ DEFECT DATA(10) and (12) (SBC-3, 5.17 and 5.18): no defects are known here; the lists are empty. */
import { allocated, type ScsiCommand } from "../command.ts";

const LISTS = 0x1f;

export const readDefectData10: ScsiCommand = {
  name: "READ DEFECT DATA(10)",
  opcode: 0x37,
  usage: "37 00 1f 00 00 00 00 ff ff 00",
  access: "read",
  timeoutS: 10,
  execute({ cdb }) {
    const data = Buffer.from([0, cdb.readUInt8(2) & LISTS, 0, 0]);
    return allocated(data, cdb.readUInt16BE(7));
  },
};

export const readDefectData12: ScsiCommand = {
  name: "READ DEFECT DATA(12)",
  opcode: 0xb7,
  usage: "b7 1f 00 00 00 00 ff ff ff ff 00 00",
  access: "read",
  timeoutS: 10,
  execute({ cdb }) {
    const data = Buffer.from([0, cdb.readUInt8(1) & LISTS, 0, 0, 0, 0, 0, 0]);
    return allocated(data, cdb.readUInt32BE(6));
  },
};
