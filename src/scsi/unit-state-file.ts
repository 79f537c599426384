/**
 * What a logical unit keeps across restarts: persistent reservations with APTPL, and a SANITIZE that has begun.
 *
 * One small file of JSON, replaced whole: `{"format": 1, "reservations": {…}, "sanitize": {…}}`. A file that is
 * damaged is an error, not an empty one: without its reservations, a node that was fenced off could write again.
 */
import {
  isAllRegistrants,
  RESERVATION_TYPE,
  type ReservationState,
  type ReservationType,
} from "./persistent-reservations.ts";

/** Where a logical unit keeps its state. `save` has made it durable when it returns, or throws. */
export interface UnitStore {
  load(): Buffer | undefined;
  save(content: Buffer): void;
}

/** A SANITIZE that has begun: it goes on after a restart, until it is done. */
export interface SanitizeOrder {
  /** What every logical block is to hold; undefined: nothing, it is unmapped. */
  readonly pattern: Buffer | undefined;
  readonly passes: number;
  /** Whether every second pass writes the pattern's complement. */
  readonly inverts: boolean;
}

export interface UnitState {
  readonly reservations: ReservationState | undefined;
  readonly sanitize: SanitizeOrder | undefined;
}

const FORMAT = 1;
/** OVERWRITE COUNT has five bits (SBC-4, 5.30.2). */
export const PASSES_MAX = 31;
const TYPES: ReadonlySet<number> = new Set(Object.values(RESERVATION_TYPE));

export function encodeUnitState(state: UnitState): Buffer {
  const { reservations, sanitize } = state;
  const json = {
    format: FORMAT,
    ...(reservations && {
      reservations: {
        registrations: [...reservations.registrations].map(([port, key]) => [port, key.toString(16)]),
        ...(reservations.reservation && { reservation: reservations.reservation }),
      },
    }),
    ...(sanitize && { sanitize: { ...sanitize, pattern: sanitize.pattern?.toString("hex") ?? null } }),
  };
  return Buffer.from(`${JSON.stringify(json)}\n`);
}

/** Throws an Error that says what is wrong with the content. */
export function decodeUnitState(content: Buffer): UnitState {
  const json = asRecord(JSON.parse(content.toString("utf8")));
  if (json.format !== FORMAT) throw new Error(`the unit's state has format ${String(json.format)}, not 1`);
  return {
    reservations: json.reservations === undefined ? undefined : readReservations(asRecord(json.reservations)),
    sanitize: json.sanitize === undefined ? undefined : readSanitize(asRecord(json.sanitize)),
  };
}

function readReservations(json: Record<string, unknown>): ReservationState {
  const registrations = new Map<string, bigint>();
  if (!Array.isArray(json.registrations)) throw new Error("the unit's registrations are not a list");
  for (const each of json.registrations as unknown[]) {
    const [port, key] = Array.isArray(each) ? (each as unknown[]) : [];
    if (typeof port !== "string" || typeof key !== "string" || !/^[0-9a-f]{1,16}$/.test(key)) {
      throw new Error("a registration of the unit is damaged");
    }
    registrations.set(port, BigInt(`0x${key}`));
  }
  if (json.reservation === undefined) return { registrations, reservation: undefined, aptpl: true };
  const { type, holder } = asRecord(json.reservation);
  if (typeof type !== "number" || !TYPES.has(type) || typeof holder !== "string") {
    throw new Error("the unit's reservation is damaged");
  }
  const reservation = { type: type as ReservationType, holder };
  if (!isAllRegistrants(reservation.type) && !registrations.has(holder)) {
    throw new Error("the holder of the unit's reservation is not registered");
  }
  return { registrations, reservation, aptpl: true };
}

function readSanitize({ pattern, passes, inverts }: Record<string, unknown>): SanitizeOrder {
  const isPattern = typeof pattern === "string" && /^([0-9a-f]{2})+$/.test(pattern);
  if ((pattern !== null && !isPattern) || typeof inverts !== "boolean") {
    throw new Error("the unit's sanitize order is damaged");
  }
  if (typeof passes !== "number" || !Number.isInteger(passes) || passes < 1 || passes > PASSES_MAX) {
    throw new Error("the unit's sanitize order is damaged");
  }
  return { pattern: isPattern ? Buffer.from(pattern, "hex") : undefined, passes, inverts };
}

function asRecord(value: unknown): Record<string, unknown> {
  if (typeof value !== "object" || value === null) throw new Error("the unit's state is damaged");
  return value as Record<string, unknown>;
}
