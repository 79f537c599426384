/**
 * MAINTENANCE IN (SPC-4): REPORT TARGET PORT GROUPS (6.37), REPORT SUPPORTED OPERATION CODES (6.35) and REPORT
 * SUPPORTED TASK MANAGEMENT FUNCTIONS (6.36).
 */
import { allocated, type CommandContext, type CommandTraits, NACA, type ScsiCommand } from "../command.ts";
import { invalidCdb } from "../sense.ts";
import { TARGET_PORT, TARGET_PORT_GROUP } from "../vpd/pages.ts";

const OPCODE = 0xa3;
const ALWAYS = { access: "any", isSanitizeExempt: true, timeoutS: 10 } as const;
/** Not told to those whom an exclusive access shuts out (SPC-4, table 65). */
const TO_READERS = { ...ALWAYS, access: "read" } as const;

/** Active/optimized, and the states that are supported: just that. */
const ACCESS_STATE = { activeOptimized: 0x00, supported: 0x01 } as const;
const PARAMETER_FORMAT = { length: 0, extended: 1 } as const;

export const reportTargetPortGroups: ScsiCommand = {
  name: "REPORT TARGET PORT GROUPS",
  opcode: OPCODE,
  serviceAction: 0x0a,
  usage: "a3 ff 00 00 00 00 ff ff ff ff 00 00",
  ...ALWAYS,
  isReserveExempt: true,
  execute({ cdb }) {
    const format = cdb.readUInt8(1) >> 5;
    if (format > PARAMETER_FORMAT.extended) throw invalidCdb(1, 7);
    const group = Buffer.alloc(12);
    group.writeUInt8(ACCESS_STATE.activeOptimized, 0);
    group.writeUInt8(ACCESS_STATE.supported, 1);
    group.writeUInt16BE(TARGET_PORT_GROUP, 2);
    group.writeUInt8(1, 7);
    group.writeUInt16BE(TARGET_PORT, 10);
    const head = Buffer.alloc(format === PARAMETER_FORMAT.extended ? 8 : 4);
    head.writeUInt32BE(head.length - 4 + group.length, 0);
    if (format === PARAMETER_FORMAT.extended) head.writeUInt8(0x10, 4);
    return allocated(Buffer.concat([head, group]), cdb.readUInt32BE(6));
  },
};

/** ABORT TASK, ABORT TASK SET, CLEAR TASK SET, LOGICAL UNIT RESET; and I_T NEXUS RESET is not an iSCSI function. */
const TASK_MANAGEMENT = 0x80 | 0x40 | 0x10 | 0x08;

export const reportTaskManagement: ScsiCommand = {
  name: "REPORT SUPPORTED TASK MANAGEMENT FUNCTIONS",
  opcode: OPCODE,
  serviceAction: 0x0d,
  usage: "a3 1f 80 00 00 00 ff ff ff ff 00 00",
  ...TO_READERS,
  execute({ cdb }) {
    const isExtended = (cdb.readUInt8(2) & 0x80) !== 0;
    const data = Buffer.alloc(isExtended ? 16 : 4);
    data.writeUInt8(TASK_MANAGEMENT, 0);
    if (isExtended) data.writeUInt8(data.length - 4, 3);
    return allocated(data, cdb.readUInt32BE(6));
  },
};

const REPORTING = { all: 0, opcode: 1, serviceAction: 2, either: 3 } as const;
const RETURN_TIMEOUTS = 0x80;
const SUPPORT = { no: 1, asStandard: 3 } as const;
const TIMEOUTS_BYTES = 12;
const FLAG = { timeoutsFollow: 0x02, hasServiceAction: 0x01, timeoutsInOne: 0x80 } as const;

/** REPORT SUPPORTED OPERATION CODES of a table that it is itself a part of. */
export function reportSupportedOpcodes(table: () => readonly CommandTraits[]): ScsiCommand {
  return {
    name: "REPORT SUPPORTED OPERATION CODES",
    opcode: OPCODE,
    serviceAction: 0x0c,
    usage: "a3 1f 87 ff ff ff ff ff ff ff 00 00",
    ...TO_READERS,
    execute({ cdb }: CommandContext) {
      const withTimeouts = (cdb.readUInt8(2) & RETURN_TIMEOUTS) !== 0;
      const reporting = cdb.readUInt8(2) & 0x07;
      const allocationLength = cdb.readUInt32BE(6);
      if (reporting > REPORTING.either) throw invalidCdb(2, 2);
      const data =
        reporting === REPORTING.all
          ? allCommands(table(), withTimeouts)
          : oneCommand(table(), cdb, reporting, withTimeouts);
      return allocated(data, allocationLength);
    },
  };
}

function allCommands(table: readonly CommandTraits[], withTimeouts: boolean): Buffer {
  const parts = table.flatMap((command) => {
    const descriptor = Buffer.alloc(8);
    descriptor.writeUInt8(command.opcode, 0);
    descriptor.writeUInt16BE(command.serviceAction ?? 0, 2);
    const hasAction = command.serviceAction === undefined ? 0 : FLAG.hasServiceAction;
    descriptor.writeUInt8(hasAction | (withTimeouts ? FLAG.timeoutsFollow : 0), 5);
    descriptor.writeUInt16BE(usageOf(command).length, 6);
    return withTimeouts ? [descriptor, timeoutsOf(command)] : [descriptor];
  });
  const body = Buffer.concat(parts);
  const head = Buffer.alloc(4);
  head.writeUInt32BE(body.length, 0);
  return Buffer.concat([head, body]);
}

function oneCommand(
  table: readonly CommandTraits[],
  cdb: Buffer,
  reporting: number,
  withTimeouts: boolean,
): Buffer {
  const ofOpcode = table.filter(({ opcode }) => opcode === cdb.readUInt8(3));
  const hasActions = ofOpcode.some(({ serviceAction }) => serviceAction !== undefined);
  if (
    ofOpcode.length > 0 &&
    reporting !== REPORTING.either &&
    hasActions !== (reporting === REPORTING.serviceAction)
  ) {
    throw invalidCdb(2, 2);
  }
  const action = cdb.readUInt16BE(4);
  const command = ofOpcode.find(
    ({ serviceAction }) => (serviceAction ?? (hasActions ? -1 : action)) === action,
  );
  if (command === undefined) return Buffer.from([0, SUPPORT.no, 0, 0]);
  const usage = usageOf(command);
  const head = Buffer.alloc(4);
  head.writeUInt8(SUPPORT.asStandard | (withTimeouts ? FLAG.timeoutsInOne : 0), 1);
  head.writeUInt16BE(usage.length, 2);
  return Buffer.concat(withTimeouts ? [head, usage, timeoutsOf(command)] : [head, usage]);
}

function usageOf({ usage }: CommandTraits): Buffer {
  const map = Buffer.from(usage.replaceAll(" ", ""), "hex");
  // NACA is looked at, whatever the command.
  map.writeUInt8(map.readUInt8(map.length - 1) | NACA, map.length - 1);
  return map;
}

function timeoutsOf({ timeoutS }: CommandTraits): Buffer {
  const descriptor = Buffer.alloc(TIMEOUTS_BYTES);
  descriptor.writeUInt16BE(TIMEOUTS_BYTES - 2, 0);
  descriptor.writeUInt32BE(timeoutS ?? 0, 4);
  descriptor.writeUInt32BE(timeoutS ?? 0, 8);
  return descriptor;
}
