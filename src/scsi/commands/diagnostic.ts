/** SEND DIAGNOSTIC (SPC-4, 6.42): the default self-test, which every disk has to have. */
import type { ScsiCommand } from "../command.ts";
import { invalidCdb } from "../sense.ts";

export const sendDiagnostic: ScsiCommand = {
  name: "SEND DIAGNOSTIC",
  opcode: 0x1d,
  usage: "1d f4 00 ff ff 00",
  access: "write",
  timeoutS: 30,
  execute({ cdb, device }) {
    const selfTestCode = cdb.readUInt8(1) >> 5;
    if (selfTestCode !== 0) throw invalidCdb(1, 7);
    // There are no diagnostic pages.
    if (cdb.readUInt16BE(3) !== 0) throw invalidCdb(3);
    // A device that has stopped says so: a read of nothing throws its reason.
    device.tryRead(0, Buffer.alloc(0), 0, 0);
    return { dataOutBytes: 0 };
  },
};
