/** Commands about the unit as a whole (SPC-4 and SBC-3): most of them find it always ready. */
import { allocated, type ScsiCommand } from "../command.ts";
import { CheckCondition, encodeSense, SENSE } from "../sense.ts";

export const testUnitReady: ScsiCommand = {
  name: "TEST UNIT READY",
  opcode: 0x00,
  execute({ device }) {
    // A device that has stopped says so: a read of nothing throws its reason.
    device.tryRead(0, Buffer.alloc(0), 0, 0);
    return {};
  },
};

/** Sense data goes out with every status (autosense), so there is never any left to ask for. */
export const requestSense: ScsiCommand = {
  name: "REQUEST SENSE",
  opcode: 0x03,
  execute({ cdb }) {
    const descriptorFormat = (cdb.readUInt8(1) & 0x01) !== 0;
    const data = descriptorFormat ? Buffer.from([0x72, 0, 0, 0, 0, 0, 0, 0]) : encodeSense(SENSE.none);
    return allocated(data, cdb.readUInt8(4));
  },
};

/** START STOP UNIT: the unit has no power states; asking it to stop changes nothing. */
export const startStopUnit: ScsiCommand = {
  name: "START STOP UNIT",
  opcode: 0x1b,
  async execute({ cdb, device }) {
    const powerCondition = cdb.readUInt8(4) >> 4;
    const noFlush = (cdb.readUInt8(4) & 0x04) !== 0;
    const start = (cdb.readUInt8(4) & 0x01) !== 0;
    if (powerCondition === 0 && !start && !noFlush) await device.flush();
    return {};
  },
};

/** PREVENT ALLOW MEDIUM REMOVAL: there is nothing to remove. */
export const preventAllowMediumRemoval: ScsiCommand = {
  name: "PREVENT ALLOW MEDIUM REMOVAL",
  opcode: 0x1e,
  execute: () => ({}),
};

/** REPORT LUNS: LUN 0 only. */
export const reportLuns: ScsiCommand = {
  name: "REPORT LUNS",
  opcode: 0xa0,
  execute({ cdb }) {
    const selectReport = cdb.readUInt8(2);
    const allocationLength = cdb.readUInt32BE(6);
    if (selectReport > 2 || allocationLength < 16) throw new CheckCondition(SENSE.invalidFieldInCdb);
    // Select report 1: well-known logical units only, of which there are none.
    const data = Buffer.alloc(selectReport === 1 ? 8 : 16);
    data.writeUInt32BE(data.length - 8, 0);
    return allocated(data, allocationLength);
  },
};

function synchronizeCache(name: string, opcode: number, lbaOf: (cdb: Buffer) => number): ScsiCommand {
  return {
    name,
    opcode,
    /** Makes everything written so far durable, whatever the range: more than was asked for is always right. */
    async execute({ cdb, device }) {
      if (lbaOf(cdb) >= device.sizeBytes / device.logicalBlockBytes)
        throw new CheckCondition(SENSE.lbaOutOfRange);
      await device.flush();
      return {};
    },
  };
}

export const synchronizeCache10 = synchronizeCache("SYNCHRONIZE CACHE(10)", 0x35, (cdb) =>
  cdb.readUInt32BE(2),
);
export const synchronizeCache16 = synchronizeCache("SYNCHRONIZE CACHE(16)", 0x91, (cdb) =>
  Number(cdb.readBigUInt64BE(2)),
);
