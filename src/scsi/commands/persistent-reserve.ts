/** PERSISTENT RESERVE IN and OUT (SPC-4, 6.15 and 6.16): CDBs, parameter lists and answers. */
import { allocated, type CommandContext, type CommandResult, type ScsiCommand } from "../command.ts";
import type { LogicalUnit } from "../logical-unit.ts";
import {
  holds,
  isAllRegistrants,
  RESERVATION_TYPE,
  type ReservationChange,
  type ReservationType,
} from "../persistent-reservations.ts";
import { CheckCondition, invalidCdb, invalidList, ReservationConflict, SENSE } from "../sense.ts";
import { decodeTransportIds, encodeTransportId } from "../transport-id.ts";
import { TARGET_PORT } from "../vpd/pages.ts";

const LIST_BYTES = 24;
/** SPEC_I_PT, ALL_TG_PT and APTPL in the basic parameter list. */
const FLAGS_AT = 20;
const SPECIFY_PORTS_BIT = 3;
/** Room for the TransportIDs of as many ports as an initiator may register for others at once. */
const LIST_BYTES_MAX = 16 * 1024;
const TYPES: ReadonlySet<number> = new Set(Object.values(RESERVATION_TYPE));

function reserveIn(
  name: string,
  serviceAction: number,
  answer: (context: CommandContext) => Buffer,
): ScsiCommand {
  return {
    name: `PERSISTENT RESERVE IN, ${name}`,
    opcode: 0x5e,
    serviceAction,
    usage: "5e 1f 00 00 00 00 00 ff ff 00",
    access: "any",
    isSanitizeExempt: true,
    timeoutS: 10,
    execute: (context) => allocated(answer(context), context.cdb.readUInt16BE(7)),
  };
}

/** PRgeneration, and the length of what follows. */
function withHead({ unit }: CommandContext, body: Buffer): Buffer {
  const head = Buffer.alloc(8);
  head.writeUInt32BE(unit.generation, 0);
  head.writeUInt32BE(body.length, 4);
  return Buffer.concat([head, body]);
}

function readKeys(context: CommandContext): Buffer {
  const keys = [...context.unit.reservations.registrations.values()];
  const body = Buffer.alloc(8 * keys.length);
  for (const [i, key] of keys.entries()) body.writeBigUInt64BE(key, 8 * i);
  return withHead(context, body);
}

function readReservation(context: CommandContext): Buffer {
  const { reservation, registrations } = context.unit.reservations;
  if (reservation === undefined) return withHead(context, Buffer.alloc(0));
  const body = Buffer.alloc(16);
  const key = isAllRegistrants(reservation.type) ? 0n : (registrations.get(reservation.holder) ?? 0n);
  body.writeBigUInt64BE(key, 0);
  body.writeUInt8(reservation.type, 13);
  return withHead(context, body);
}

/** TMV, and a one for each type: all six. */
const TYPE_MASK = 0xea01;
const CAPABILITIES = { crh: 0x10, specifyPorts: 0x08, allTargetPorts: 0x04, persistThroughPowerLoss: 0x01 };
const TYPE_MASK_VALID = 0x80;
/** Persist Through Power Loss Activated. */
const PTPL_A = 0x01;

function reportCapabilities({ unit }: CommandContext): Buffer {
  const data = Buffer.alloc(8);
  data.writeUInt16BE(data.length, 0);
  const { crh, specifyPorts, allTargetPorts, persistThroughPowerLoss } = CAPABILITIES;
  data.writeUInt8(crh | specifyPorts | allTargetPorts | persistThroughPowerLoss, 2);
  data.writeUInt8(TYPE_MASK_VALID | (unit.reservations.aptpl ? PTPL_A : 0), 3);
  data.writeUInt16BE(TYPE_MASK, 4);
  return data;
}

function readFullStatus(context: CommandContext): Buffer {
  const { reservations } = context.unit;
  const parts: Buffer[] = [];
  for (const [port, key] of reservations.registrations) {
    const transportId = encodeTransportId(port);
    const head = Buffer.alloc(24);
    head.writeBigUInt64BE(key, 0);
    if (holds(reservations, port)) {
      head.writeUInt8(0x01, 12);
      head.writeUInt8(reservations.reservation?.type ?? 0, 13);
    }
    head.writeUInt16BE(TARGET_PORT, 18);
    head.writeUInt32BE(transportId.length, 20);
    parts.push(head, transportId);
  }
  return withHead(context, Buffer.concat(parts));
}

interface OutList {
  readonly key: bigint;
  readonly serviceActionKey: bigint;
  readonly specifyPorts: boolean;
  readonly aptpl: boolean;
  readonly ports: readonly string[];
}

type Out = (
  change: ReservationChange,
  context: CommandContext,
  list: OutList,
) => undefined | { readonly abort: ReadonlySet<string> };

function reserveOut(name: string, serviceAction: number, act: Out, counts: boolean): ScsiCommand {
  return {
    name: `PERSISTENT RESERVE OUT, ${name}`,
    opcode: 0x5f,
    serviceAction,
    usage: "5f 1f ff 00 00 ff ff ff ff 00",
    access: "any",
    isSanitizeExempt: true,
    timeoutS: 30,
    async execute(context) {
      const { unit } = context;
      if (unit.isReserved) throw new ReservationConflict();
      const list = readList(context, serviceAction);
      const change = unit.beginChange();
      const after = act(change, context, list);
      unit.commit(change, counts);
      if (after !== undefined) await unit.abortTasksOf(after.abort);
      return { dataOutBytes: context.cdb.readUInt32BE(5) } satisfies CommandResult;
    },
  };
}

function readList({ cdb, dataOut, unit }: CommandContext, serviceAction: number): OutList {
  const listLength = cdb.readUInt32BE(5);
  if (listLength < LIST_BYTES || listLength > LIST_BYTES_MAX || dataOut.length < listLength) {
    throw new CheckCondition(SENSE.parameterListLengthError);
  }
  const list = dataOut.subarray(0, listLength);
  const flags = list.readUInt8(FLAGS_AT);
  const specifyPorts = (flags & CAPABILITIES.specifyPorts) !== 0 && serviceAction === ACTION.register;
  if ((flags & CAPABILITIES.specifyPorts) !== 0 && !specifyPorts && serviceAction !== ACTION.move) {
    throw invalidList(FLAGS_AT, SPECIFY_PORTS_BIT);
  }
  if (!specifyPorts && serviceAction !== ACTION.move && listLength !== LIST_BYTES) {
    throw new CheckCondition(SENSE.parameterListLengthError);
  }
  return {
    key: list.readBigUInt64BE(0),
    serviceActionKey: list.readBigUInt64BE(8),
    specifyPorts,
    aptpl: (flags & CAPABILITIES.persistThroughPowerLoss) !== 0,
    ports: specifyPorts ? readPorts(list, unit) : [],
  };
}

function readPorts(list: Buffer, unit: LogicalUnit): string[] {
  if (list.length < LIST_BYTES + 4) throw new CheckCondition(SENSE.parameterListLengthError);
  const length = list.readUInt32BE(LIST_BYTES);
  const ids = list.subarray(LIST_BYTES + 4);
  if (length !== ids.length) throw new CheckCondition(SENSE.parameterListLengthError);
  return decodeTransportIds(ids, LIST_BYTES + 4, (name) => unit.portsOf(name));
}

function typeOf({ cdb }: CommandContext): ReservationType {
  const scope = cdb.readUInt8(2) >> 4;
  const type = cdb.readUInt8(2) & 0x0f;
  if (scope !== 0) throw invalidCdb(2, 7);
  if (!TYPES.has(type)) throw invalidCdb(2, 3);
  return type as ReservationType;
}

const ACTION = { register: 0, move: 7 } as const;

const register: Out = (change, { nexus }, { key, serviceActionKey, specifyPorts, ports, aptpl }) => {
  const { initiatorPort } = nexus;
  const registered = change.registrations.get(initiatorPort);
  // Without a registration there is no key yet: it has to be zero (SPC-4, table 244).
  if ((registered ?? 0n) !== key) throw new ReservationConflict();
  if (specifyPorts) {
    if (registered !== undefined) throw invalidList(FLAGS_AT, SPECIFY_PORTS_BIT);
    // All of them, or none: nobody's key is changed by another (SPC-4, table 67).
    if (ports.some((port) => change.registrations.has(port))) throw invalidList(LIST_BYTES);
    for (const port of ports) change.register(port, serviceActionKey);
  }
  change.register(initiatorPort, serviceActionKey);
  change.aptpl = aptpl;
  return undefined;
};

const registerAndIgnore: Out = (change, { nexus }, { serviceActionKey, aptpl }) => {
  change.register(nexus.initiatorPort, serviceActionKey);
  change.aptpl = aptpl;
  return undefined;
};

/** What a registered initiator does: it has to know its own key. */
function asRegistrant(act: Out): Out {
  return (change, context, list) => {
    change.checkKey(context.nexus, list.key);
    return act(change, context, list);
  };
}

/** RESERVE and RELEASE: the type that the CDB names, for the port that asks. */
function forType(action: "reserve" | "release"): Out {
  return (change, context) => {
    change[action](context.nexus.initiatorPort, typeOf(context));
    return undefined;
  };
}

const preempt: Out = (change, context, { serviceActionKey }) => {
  change.preempt(context.nexus.initiatorPort, serviceActionKey, typeOf(context));
  return undefined;
};

const preemptAndAbort: Out = (change, context, list) => {
  preempt(change, context, list);
  // Its own commands go on, this one among them.
  const others = [...change.notices.unregistered].filter((port) => port !== context.nexus.initiatorPort);
  return { abort: new Set(others) };
};

/** REGISTER AND MOVE has a list of its own (SPC-4, 6.16.4). */
const registerAndMove: Out = (change, { dataOut, cdb, nexus, unit }, { serviceActionKey }) => {
  const list = dataOut.subarray(0, cdb.readUInt32BE(5));
  const unregister = (list.readUInt8(17) & 0x02) !== 0;
  const relativePort = list.readUInt16BE(18);
  const ids = list.subarray(LIST_BYTES);
  if (list.readUInt32BE(20) !== ids.length) throw new CheckCondition(SENSE.parameterListLengthError);
  const [to, ...more] = decodeTransportIds(ids, LIST_BYTES, (name) => unit.portsOf(name));
  if (to === undefined || more.length > 0) throw invalidList(20);
  if (relativePort !== TARGET_PORT) throw invalidList(18);
  change.move(nexus.initiatorPort, to, serviceActionKey, unregister);
  change.aptpl = (list.readUInt8(17) & CAPABILITIES.persistThroughPowerLoss) !== 0;
  return undefined;
};

export const persistentReserveCommands: readonly ScsiCommand[] = [
  reserveIn("READ KEYS", 0x00, readKeys),
  reserveIn("READ RESERVATION", 0x01, readReservation),
  reserveIn("REPORT CAPABILITIES", 0x02, reportCapabilities),
  reserveIn("READ FULL STATUS", 0x03, readFullStatus),
  reserveOut("REGISTER", ACTION.register, register, true),
  reserveOut("RESERVE", 0x01, asRegistrant(forType("reserve")), false),
  reserveOut("RELEASE", 0x02, asRegistrant(forType("release")), false),
  reserveOut(
    "CLEAR",
    0x03,
    asRegistrant((change, { nexus }) => {
      change.clear(nexus.initiatorPort);
      return undefined;
    }),
    true,
  ),
  reserveOut("PREEMPT", 0x04, asRegistrant(preempt), true),
  reserveOut("PREEMPT AND ABORT", 0x05, asRegistrant(preemptAndAbort), true),
  reserveOut("REGISTER AND IGNORE EXISTING KEY", 0x06, registerAndIgnore, true),
  reserveOut("REGISTER AND MOVE", ACTION.move, asRegistrant(registerAndMove), true),
];
