/** RESERVE(6) and RELEASE(6) (SPC-2, 7.16 and 7.21): the whole unit, until released, reset, or the session is gone. */
import type { ScsiCommand } from "../command.ts";
import type { LogicalUnit } from "../logical-unit.ts";
import type { Nexus } from "../nexus.ts";
import { invalidCdb, ReservationConflict } from "../sense.ts";

/** Third-party and extent reservations went out of use before iSCSI came. */
const UNSUPPORTED = 0x1f;

/**
 * Where there are persistent registrations, RESERVE and RELEASE change nothing (CRH; SPC-4, 5.13.3): whom the persistent
 * reservation lets write is told that all is well, everybody else is refused (SPC-2, 5.5.1). One that is registered
 * where nothing is reserved is refused as well: it would take the unit for its own.
 */
function isCompatible(unit: LogicalUnit, nexus: Nexus): boolean {
  const { registrations, reservation } = unit.reservations;
  if (registrations.size === 0) return false;
  const isRegistered = registrations.has(nexus.initiatorPort);
  if (reservation === undefined || !isRegistered || unit.isForbidden(nexus, "write", true)) {
    throw new ReservationConflict();
  }
  return true;
}

export const reserve6: ScsiCommand = {
  name: "RESERVE(6)",
  opcode: 0x16,
  usage: "16 1f 00 00 00 00",
  access: "any",
  isReserveExempt: true,
  timeoutS: 10,
  execute({ cdb, nexus, unit }) {
    if ((cdb.readUInt8(1) & UNSUPPORTED) !== 0) throw invalidCdb(1, 4);
    if (isCompatible(unit, nexus)) return {};
    if (!unit.reserve(nexus)) throw new ReservationConflict();
    return {};
  },
};

export const release6: ScsiCommand = {
  name: "RELEASE(6)",
  opcode: 0x17,
  usage: "17 1f 00 00 00 00",
  access: "any",
  isReserveExempt: true,
  timeoutS: 10,
  execute({ cdb, nexus, unit }) {
    if ((cdb.readUInt8(1) & UNSUPPORTED) !== 0) throw invalidCdb(1, 4);
    if (isCompatible(unit, nexus)) return {};
    unit.release(nexus);
    return {};
  },
};
