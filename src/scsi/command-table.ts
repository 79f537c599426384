/**
 * The dispatch table: from a CDB to the command that carries it out, and to whether it may be now. READ and WRITE are
 * carried out by way of transfer.ts.
 */
import {
  allocated,
  type CommandResult,
  type CommandTraits,
  checkControl,
  type ScsiCommand,
} from "./command.ts";
import { compareAndWrite, orWrite16, writeAtomic16 } from "./commands/atomic.ts";
import { readCapacity10, readCapacity16 } from "./commands/capacity.ts";
import { readDefectData10, readDefectData12 } from "./commands/defect-data.ts";
import { sendDiagnostic } from "./commands/diagnostic.ts";
import { extendedCopy, receiveCopyParameters, receiveCopyStatus } from "./commands/extended-copy.ts";
import { inquiry, inquiryOfNoUnit } from "./commands/inquiry.ts";
import { getLbaStatus } from "./commands/lba-status.ts";
import { logSense } from "./commands/log.ts";
import {
  reportSupportedOpcodes,
  reportTargetPortGroups,
  reportTaskManagement,
} from "./commands/maintenance.ts";
import { modeSelect6, modeSelect10, modeSense6, modeSense10 } from "./commands/mode.ts";
import { persistentReserveCommands } from "./commands/persistent-reserve.ts";
import { preFetch10, preFetch16 } from "./commands/pre-fetch.ts";
import { release6, reserve6 } from "./commands/reserve.ts";
import { sanitizeCommands } from "./commands/sanitize.ts";
import {
  lunList,
  preventAllowMediumRemoval,
  reportLuns,
  requestSense,
  startStopUnit,
  synchronizeCache10,
  synchronizeCache16,
  testUnitReady,
} from "./commands/unit.ts";
import { unmap, writeSame10, writeSame16 } from "./commands/unmap.ts";
import { verifyCommands } from "./commands/verify.ts";
import type { LogicalUnit } from "./logical-unit.ts";
import type { Nexus } from "./nexus.ts";
import { CheckCondition, encodeSense, invalidCdb, ReservationConflict, SENSE } from "./sense.ts";
import { TRANSFERS } from "./transfer.ts";

const COMMANDS: readonly ScsiCommand[] = [
  testUnitReady,
  requestSense,
  inquiry,
  modeSelect6,
  reserve6,
  release6,
  modeSense6,
  startStopUnit,
  sendDiagnostic,
  preventAllowMediumRemoval,
  readCapacity10,
  preFetch10,
  synchronizeCache10,
  readDefectData10,
  writeSame10,
  unmap,
  ...sanitizeCommands,
  logSense,
  modeSelect10,
  modeSense10,
  ...persistentReserveCommands,
  extendedCopy,
  receiveCopyStatus,
  receiveCopyParameters,
  compareAndWrite,
  orWrite16,
  ...verifyCommands,
  preFetch16,
  synchronizeCache16,
  writeSame16,
  writeAtomic16,
  readCapacity16,
  getLbaStatus,
  reportLuns,
  reportTargetPortGroups,
  reportSupportedOpcodes(() => COMMAND_TRAITS),
  reportTaskManagement,
  readDefectData12,
];

/** Everything that the unit does, in the order of the operation codes. */
export const COMMAND_TRAITS: readonly CommandTraits[] = [...COMMANDS, ...TRANSFERS].sort(
  (a, b) => keyOf(a.opcode, a.serviceAction ?? 0) - keyOf(b.opcode, b.serviceAction ?? 0),
);

/** Opcodes whose service action tells the commands apart. */
const WITH_SERVICE_ACTION = new Set(
  COMMAND_TRAITS.filter(({ serviceAction }) => serviceAction !== undefined).map(({ opcode }) => opcode),
);
const TABLE = new Map(
  COMMANDS.map((command) => [keyOf(command.opcode, command.serviceAction ?? 0), command]),
);
const TRAITS = new Map(
  COMMAND_TRAITS.map((command) => [keyOf(command.opcode, command.serviceAction ?? 0), command]),
);

function keyOf(opcode: number, serviceAction: number): number {
  return (opcode << 8) | serviceAction;
}

function keyOfCdb(cdb: Buffer): number {
  const opcode = cdb.readUInt8(0);
  return keyOf(opcode, WITH_SERVICE_ACTION.has(opcode) ? cdb.readUInt8(1) & 0x1f : 0);
}

/**
 * Throws what stands in the way of a command before it is looked at: a unit attention that has to be told first, a
 * reservation of another, a SANITIZE, write protection. Needed only where the nexus has an attention, or the unit is
 * not calm.
 */
export function admit(unit: LogicalUnit, nexus: Nexus, cdb: Buffer): void {
  const traits = TRAITS.get(keyOfCdb(cdb));
  if (traits?.isUnattentive !== true) {
    const attention = nexus.takeAttention();
    if (attention !== undefined) throw new CheckCondition(attention);
  }
  if (traits === undefined || unit.isCalm) return;
  const access = typeof traits.access === "function" ? traits.access(cdb) : traits.access;
  if (unit.isForbidden(nexus, access, traits.isReserveExempt === true)) throw new ReservationConflict();
  if (traits.isSanitizeExempt !== true && unit.sanitizer.isActive) {
    const { progress } = unit.sanitizer;
    if (progress === undefined) throw new CheckCondition(SENSE.sanitizeCommandFailed);
    throw new CheckCondition(SENSE.sanitizeInProgress, { progress });
  }
  if (traits.isWrite === true && unit.isMediumProtected) throw new CheckCondition(SENSE.writeProtected);
  if (traits.isWrite === true && unit.modes.writeProtect) {
    throw new CheckCondition(SENSE.softwareWriteProtected);
  }
}

/** Carries out any command but READ and WRITE. Rejects with a CheckCondition, a ReservationConflict or a DeviceError. */
export async function executeCommand(
  unit: LogicalUnit,
  nexus: Nexus,
  cdb: Buffer,
  dataOut: Buffer,
  signal: AbortSignal,
): Promise<CommandResult> {
  const command = TABLE.get(keyOfCdb(cdb));
  if (command === undefined) {
    // Where the opcode is known, it is the service action that is not (SPC-4, 4.2.5.2).
    if (!WITH_SERVICE_ACTION.has(cdb.readUInt8(0))) {
      throw new CheckCondition(SENSE.invalidCommandOperationCode);
    }
    throw invalidCdb(1, 4);
  }
  checkControl(cdb);
  return command.execute({ cdb, dataOut, unit, nexus, device: unit.device, signal });
}

/** What is answered for a LUN other than 0: INQUIRY, REPORT LUNS and REQUEST SENSE work, the rest does not. */
export async function executeWithoutUnit(cdb: Buffer): Promise<CommandResult> {
  const opcode = cdb.readUInt8(0);
  if (opcode === inquiry.opcode && (cdb.readUInt8(1) & 0x01) === 0) {
    return allocated(inquiryOfNoUnit(), cdb.readUInt16BE(3));
  }
  if (opcode === reportLuns.opcode) return lunList(cdb);
  if (opcode === requestSense.opcode) {
    const descriptorFormat = (cdb.readUInt8(1) & 0x01) !== 0;
    return allocated(encodeSense(SENSE.logicalUnitNotSupported, {}, descriptorFormat), cdb.readUInt8(4));
  }
  throw new CheckCondition(SENSE.logicalUnitNotSupported);
}
