/** Commands about the unit as a whole (SPC-4 and SBC-3): most of them find it always ready. */
import { allocated, type CommandResult, checkRange, readLba, type ScsiCommand } from "../command.ts";
import { encodeSense, invalidCdb, SENSE } from "../sense.ts";

export const testUnitReady: ScsiCommand = {
  name: "TEST UNIT READY",
  opcode: 0x00,
  usage: "00 00 00 00 00 00",
  access: "any",
  timeoutS: 10,
  execute({ device }) {
    // A device that has stopped says so: a read of nothing throws its reason.
    device.tryRead(0, Buffer.alloc(0), 0, 0);
    return {};
  },
};

/**
 * REQUEST SENSE (SPC-4, 6.39): sense data goes out with every status (autosense), so what is left to ask for is a unit
 * attention, which is told with this, and how far a SANITIZE has come.
 */
export const requestSense: ScsiCommand = {
  name: "REQUEST SENSE",
  opcode: 0x03,
  usage: "03 01 00 00 ff 00",
  access: "any",
  isReserveExempt: true,
  isUnattentive: true,
  isSanitizeExempt: true,
  timeoutS: 10,
  execute({ cdb, nexus, unit }) {
    const descriptorFormat = (cdb.readUInt8(1) & 0x01) !== 0;
    const { progress, hasFailed } = unit.sanitizer;
    const [code, detail] =
      progress !== undefined
        ? [SENSE.sanitizeInProgress, { progress }]
        : [hasFailed ? SENSE.sanitizeCommandFailed : (nexus.takeAttention() ?? SENSE.none), {}];
    return allocated(encodeSense(code, detail, descriptorFormat), cdb.readUInt8(4));
  },
};

/** START STOP UNIT: the unit has no power states; asking it to stop changes nothing. */
export const startStopUnit: ScsiCommand = {
  name: "START STOP UNIT",
  opcode: 0x1b,
  usage: "1b 00 00 00 f5 00",
  // Starting what runs already hurts nobody (SPC-4, table 65).
  access: (cdb) => ((cdb.readUInt8(4) & 0xf1) === 0x01 ? "any" : "write"),
  timeoutS: 60,
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
  usage: "1e 00 00 00 03 00",
  access: (cdb) => ((cdb.readUInt8(4) & 0x01) === 0 ? "any" : "write"),
  timeoutS: 10,
  execute: () => ({}),
};

/** REPORT LUNS: LUN 0 only. */
export const reportLuns: ScsiCommand = {
  name: "REPORT LUNS",
  opcode: 0xa0,
  usage: "a0 00 ff 00 00 00 ff ff ff ff 00 00",
  access: "any",
  isReserveExempt: true,
  isUnattentive: true,
  isSanitizeExempt: true,
  timeoutS: 10,
  execute: ({ cdb }) => lunList(cdb),
};

/** What REPORT LUNS answers, whichever LUN it is sent to. */
export function lunList(cdb: Buffer): CommandResult {
  const selectReport = cdb.readUInt8(2);
  const allocationLength = cdb.readUInt32BE(6);
  if (selectReport > 2) throw invalidCdb(2);
  if (allocationLength < 16) throw invalidCdb(6);
  // Select report 1: well-known logical units only, of which there are none.
  const data = Buffer.alloc(selectReport === 1 ? 8 : 16);
  data.writeUInt32BE(data.length - 8, 0);
  return allocated(data, allocationLength);
}

function synchronizeCache(
  name: string,
  opcode: number,
  usage: string,
  range: (cdb: Buffer) => [lba: number, blocks: number],
): ScsiCommand {
  return {
    name,
    opcode,
    usage,
    access: "write",
    timeoutS: 60,
    /** Makes everything written so far durable, whatever the range: more than was asked for is always right. */
    async execute({ cdb, device }) {
      checkRange(device, ...range(cdb));
      await device.flush();
      return {};
    },
  };
}

export const synchronizeCache10 = synchronizeCache(
  "SYNCHRONIZE CACHE(10)",
  0x35,
  "35 00 ff ff ff ff 00 ff ff 00",
  (cdb) => [cdb.readUInt32BE(2), cdb.readUInt16BE(7)],
);
export const synchronizeCache16 = synchronizeCache(
  "SYNCHRONIZE CACHE(16)",
  0x91,
  "91 00 ff ff ff ff ff ff ff ff ff ff ff ff 00 00",
  (cdb) => [readLba(cdb, 2), cdb.readUInt32BE(10)],
);
