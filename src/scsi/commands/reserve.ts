/** RESERVE(6) and RELEASE(6) (SPC-2, 7.16 and 7.21): the whole unit, until released, reset, or the session is gone. */
import type { ScsiCommand } from "../command.ts";
import { CheckCondition, ReservationConflict, SENSE } from "../sense.ts";

/** Third-party and extent reservations went out of use before iSCSI came. */
const UNSUPPORTED = 0x1f;

export const reserve6: ScsiCommand = {
  name: "RESERVE(6)",
  opcode: 0x16,
  usage: "16 1f 00 00 00 00",
  access: "any",
  isReserveExempt: true,
  timeoutS: 10,
  execute({ cdb, nexus, unit }) {
    if ((cdb.readUInt8(1) & UNSUPPORTED) !== 0) throw new CheckCondition(SENSE.invalidFieldInCdb);
    const { registrations, reservation } = unit.reservations;
    if (registrations.size > 0) {
      // CRH (SPC-4, 5.13.3): one that may use the unit anyway is told so, and nothing is reserved.
      const { initiatorPort } = nexus;
      if (!registrations.has(initiatorPort)) throw new ReservationConflict();
      if (reservation !== undefined && unit.isForbidden(nexus, "write", true))
        throw new ReservationConflict();
      return {};
    }
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
    if ((cdb.readUInt8(1) & UNSUPPORTED) !== 0) throw new CheckCondition(SENSE.invalidFieldInCdb);
    unit.release(nexus);
    return {};
  },
};
