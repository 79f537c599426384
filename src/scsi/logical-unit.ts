/** The dispatch table: from a CDB to the command that carries it out. READ and WRITE go by transfer.ts. */
import type { BlockDevice } from "./block-device.ts";
import type { CommandResult, ScsiCommand, UnitIdentity } from "./command.ts";
import { getLbaStatus, readCapacity10, readCapacity16 } from "./commands/capacity.ts";
import { inquiry, inquiryOfNoUnit } from "./commands/inquiry.ts";
import { modeSense6, modeSense10 } from "./commands/mode-sense.ts";
import {
  preventAllowMediumRemoval,
  reportLuns,
  requestSense,
  startStopUnit,
  synchronizeCache10,
  synchronizeCache16,
  testUnitReady,
} from "./commands/unit.ts";
import { unmap, writeSame10, writeSame16 } from "./commands/unmap.ts";
import { compareAndWrite, verify10, verify12, verify16 } from "./commands/verify.ts";
import { CheckCondition, SENSE } from "./sense.ts";

const COMMANDS: readonly ScsiCommand[] = [
  testUnitReady,
  requestSense,
  inquiry,
  modeSense6,
  startStopUnit,
  preventAllowMediumRemoval,
  readCapacity10,
  verify10,
  synchronizeCache10,
  writeSame10,
  unmap,
  modeSense10,
  compareAndWrite,
  verify16,
  synchronizeCache16,
  writeSame16,
  readCapacity16,
  getLbaStatus,
  reportLuns,
  verify12,
];

/** Opcodes whose service action tells the commands apart. */
const WITH_SERVICE_ACTION = new Set(
  COMMANDS.filter((command) => command.serviceAction !== undefined).map((command) => command.opcode),
);
const TABLE = new Map(
  COMMANDS.map((command) => [keyOf(command.opcode, command.serviceAction ?? 0), command]),
);

function keyOf(opcode: number, serviceAction: number): number {
  return (opcode << 8) | serviceAction;
}

/** Carries out any command but READ and WRITE. Throws or rejects with a CheckCondition or a DeviceError. */
export async function executeCommand(
  cdb: Buffer,
  dataOut: Buffer,
  device: BlockDevice,
  identity: UnitIdentity,
): Promise<CommandResult> {
  const opcode = cdb.readUInt8(0);
  const serviceAction = WITH_SERVICE_ACTION.has(opcode) ? cdb.readUInt8(1) & 0x1f : 0;
  const command = TABLE.get(keyOf(opcode, serviceAction));
  if (command === undefined) throw new CheckCondition(SENSE.invalidCommandOperationCode);
  return command.execute({ cdb, dataOut, device, identity });
}

/** What is answered for a LUN other than 0: INQUIRY, REPORT LUNS and REQUEST SENSE work, the rest does not. */
export async function executeWithoutUnit(cdb: Buffer): Promise<CommandResult> {
  const opcode = cdb.readUInt8(0);
  if (opcode === inquiry.opcode && (cdb.readUInt8(1) & 0x01) === 0) {
    return { dataIn: inquiryOfNoUnit().subarray(0, cdb.readUInt16BE(3)) };
  }
  throw new CheckCondition(SENSE.logicalUnitNotSupported);
}
