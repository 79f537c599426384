/**
 * Persistent reservations (SPC-4, 5.13): who is registered with which key, and what is reserved.
 *
 * The state is plain data that is replaced whole: a change is first made durable, where the initiator asked for that
 * (APTPL), and holds from then on. Registrations belong to the initiator port's name, so they outlive its sessions.
 * The target has one target port, so that ALL_TG_PT changes nothing.
 */
import type { Nexus } from "./nexus.ts";
import { CheckCondition, invalidCdb, invalidList, ReservationConflict, SENSE } from "./sense.ts";

/** Types of a persistent reservation (SPC-4, table 237). */
export const RESERVATION_TYPE = {
  writeExclusive: 1,
  exclusiveAccess: 3,
  writeExclusiveRegistrantsOnly: 5,
  exclusiveAccessRegistrantsOnly: 6,
  writeExclusiveAllRegistrants: 7,
  exclusiveAccessAllRegistrants: 8,
} as const;
export type ReservationType = (typeof RESERVATION_TYPE)[keyof typeof RESERVATION_TYPE];

/** What a command does that a reservation of another may forbid. */
export type Access = "any" | "read" | "write";

export interface Reservation {
  readonly type: ReservationType;
  /** The port that holds it; for the all-registrants types all that are registered do. */
  readonly holder: string;
}

export interface ReservationState {
  /** Initiator port → key; in the order in which they registered. */
  readonly registrations: ReadonlyMap<string, bigint>;
  readonly reservation: Reservation | undefined;
  /** Whether the state is to survive a restart of the gateway. */
  readonly aptpl: boolean;
}

/** What has to be told to whom after a change. */
export interface Notices {
  readonly preempted: ReadonlySet<string>;
  readonly released: ReadonlySet<string>;
  readonly unregistered: ReadonlySet<string>;
}

export const NO_RESERVATIONS: ReservationState = {
  registrations: new Map(),
  reservation: undefined,
  aptpl: false,
};

/** Where the parameter lists have these (SPC-4, tables 246 and 248). */
const SERVICE_ACTION_KEY_AT = 8;
const MOVE_PORTS_AT = 24;

/** Ports that may be registered at a time. */
export const REGISTRATIONS_MAX = 512;

export function isAllRegistrants(type: ReservationType): boolean {
  return (
    type === RESERVATION_TYPE.writeExclusiveAllRegistrants ||
    type === RESERVATION_TYPE.exclusiveAccessAllRegistrants
  );
}

function isForRegistrants(type: ReservationType): boolean {
  return type >= RESERVATION_TYPE.writeExclusiveRegistrantsOnly;
}

function isWriteExclusive(type: ReservationType): boolean {
  return type === 1 || type === 5 || type === 7;
}

/** Whether the port holds the reservation. */
export function holds(state: ReservationState, port: string): boolean {
  const { reservation, registrations } = state;
  if (reservation === undefined) return false;
  return isAllRegistrants(reservation.type) ? registrations.has(port) : reservation.holder === port;
}

/** Whether the reservation forbids the port that access (SPC-4, tables 65 and 66). */
export function forbids(state: ReservationState, port: string, access: Access): boolean {
  const { reservation, registrations } = state;
  if (reservation === undefined || access === "any" || holds(state, port)) return false;
  if (isForRegistrants(reservation.type) && registrations.has(port)) return false;
  return access === "write" || !isWriteExclusive(reservation.type);
}

/** A change being worked out: the state to come, and what is to be told of it. */
export class ReservationChange {
  readonly registrations: Map<string, bigint>;
  reservation: Reservation | undefined;
  aptpl: boolean;
  readonly #before: ReservationState;
  readonly #preempted = new Set<string>();
  readonly #released = new Set<string>();
  readonly #unregistered = new Set<string>();

  constructor(before: ReservationState) {
    this.#before = before;
    this.registrations = new Map(before.registrations);
    this.reservation = before.reservation;
    this.aptpl = before.aptpl;
  }

  get state(): ReservationState {
    return { registrations: this.registrations, reservation: this.reservation, aptpl: this.aptpl };
  }

  get notices(): Notices {
    return { preempted: this.#preempted, released: this.#released, unregistered: this.#unregistered };
  }

  /** Throws RESERVATION CONFLICT unless the port is registered with that key. */
  checkKey({ initiatorPort }: Nexus, key: bigint): void {
    if (this.registrations.get(initiatorPort) !== key) throw new ReservationConflict();
  }

  /** REGISTER and REGISTER AND IGNORE EXISTING KEY: a key of zero takes the registration away. */
  register(port: string, key: bigint): void {
    if (key === 0n) {
      this.#unregister(port);
      return;
    }
    if (!this.registrations.has(port) && this.registrations.size >= REGISTRATIONS_MAX) {
      throw new CheckCondition(SENSE.insufficientRegistrationResources);
    }
    this.registrations.set(port, key);
  }

  /** A holder that unregisters releases what it holds (SPC-4, 5.13.11.2). */
  #unregister(port: string): void {
    const held = this.reservation;
    const wasHolder = holds(this.state, port);
    this.registrations.delete(port);
    if (held === undefined || !wasHolder) return;
    if (isAllRegistrants(held.type) && this.registrations.size > 0) return;
    this.reservation = undefined;
    if (held.type === 5 || held.type === 6) this.#tell(this.#released, port);
  }

  /** RESERVE: by a holder with the same type it changes nothing. */
  reserve(port: string, type: ReservationType): void {
    const held = this.reservation;
    if (held === undefined) this.reservation = { type, holder: port };
    else if (!holds(this.state, port) || held.type !== type) throw new ReservationConflict();
  }

  /** RELEASE: by one that does not hold it, it changes nothing. */
  release(port: string, type: ReservationType): void {
    const held = this.reservation;
    if (held === undefined || !holds(this.state, port)) return;
    if (held.type !== type) throw new CheckCondition(SENSE.invalidReleaseOfPersistentReservation);
    this.reservation = undefined;
    if (isForRegistrants(type)) this.#tell(this.#released, port);
  }

  /** CLEAR: all registrations and the reservation go. */
  clear(port: string): void {
    this.#tell(this.#preempted, port);
    this.registrations.clear();
    this.reservation = undefined;
  }

  /** PREEMPT: the registrations with that key go, and a reservation they hold passes over (SPC-4, 5.13.11.4). */
  preempt(port: string, key: bigint, type: ReservationType): void {
    const held = this.reservation;
    const all = held !== undefined && isAllRegistrants(held.type);
    if (held !== undefined && all && key === 0n) {
      for (const other of [...this.registrations.keys()]) if (other !== port) this.#remove(other);
      this.#takeOver(port, type, held);
      return;
    }
    if (key === 0n && held !== undefined) throw invalidList(SERVICE_ACTION_KEY_AT);
    const ports = [...this.registrations].filter(([, theirs]) => theirs === key).map(([other]) => other);
    const holderKey = held === undefined || all ? undefined : this.registrations.get(held.holder);
    const isTakeOver = held !== undefined && holderKey === key;
    if (ports.length === 0) throw new ReservationConflict();
    // Who preempts itself is not told of it, and stays registered where it takes over (SPC-4, 5.13.11.2.5).
    for (const other of ports) {
      if (other !== port) this.#remove(other);
      else if (!isTakeOver) this.registrations.delete(port);
    }
    if (isTakeOver) {
      this.#takeOver(port, type, held);
      return;
    }
    // All registrants have gone with it: nobody is left to hold the reservation.
    if (all && this.registrations.size === 0) this.reservation = undefined;
  }

  /** REGISTER AND MOVE: the reservation goes to another port, registered with `key`. */
  move(from: string, to: string, key: bigint, unregister: boolean): void {
    const held = this.reservation;
    if (held === undefined) throw invalidCdb(1, 4);
    if (!holds(this.state, from) || isAllRegistrants(held.type)) throw new ReservationConflict();
    if (key === 0n) throw invalidList(SERVICE_ACTION_KEY_AT);
    if (to === from) throw invalidList(MOVE_PORTS_AT);
    this.register(to, key);
    this.reservation = { type: held.type, holder: to };
    if (unregister) this.registrations.delete(from);
  }

  #remove(port: string): void {
    this.registrations.delete(port);
    this.#unregistered.add(port);
  }

  #takeOver(port: string, type: ReservationType, held: Reservation): void {
    this.reservation = { type, holder: port };
    // Those that stay registered have other rights now (SPC-4, 5.13.11.2.4.3).
    if (held.type !== type) this.#tell(this.#released, port);
  }

  #tell(whom: Set<string>, except: string): void {
    for (const port of this.#before.registrations.keys()) {
      if (port !== except && !this.#unregistered.has(port)) whom.add(port);
    }
  }
}
