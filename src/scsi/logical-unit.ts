/**
 * A logical unit: its device, and everything that it remembers between commands: who is there, mode parameters,
 * reservations, ranges that are held, a SANITIZE under way, copies that were made.
 */
import type { Clock } from "../platform/clock.ts";
import type { BlockDevice } from "./block-device.ts";
import { CopyResults } from "./copy-results.ts";
import { DEFAULT_MODES, type ModeParameters } from "./mode/parameters.ts";
import type { Nexus } from "./nexus.ts";
import {
  type Access,
  forbids,
  NO_RESERVATIONS,
  ReservationChange,
  type ReservationState,
} from "./persistent-reservations.ts";
import { RangeLocks } from "./range-locks.ts";
import { Sanitizer } from "./sanitizer.ts";
import { SENSE, type SenseCode } from "./sense.ts";
import { decodeUnitState, encodeUnitState, type UnitStore } from "./unit-state-file.ts";

/** What never changes about a logical unit, whatever restarts. */
export interface UnitIdentity {
  readonly serialNumber: string;
  readonly naa: bigint;
  readonly vendor: string;
  readonly product: string;
  readonly revision: string;
  /** SCSI name string of the target device: its iSCSI name. */
  readonly targetName: string;
}

/** What WRITE ATOMIC needs beyond a device: all of a write, or nothing, also after a crash. */
export interface AtomicJournal {
  /** `write` makes the write, and makes it durable; it is durable as a whole when this resolves. */
  run(offsetBytes: number, data: Buffer, lengthBytes: number, write: () => Promise<void>): Promise<void>;
}

export interface LogicalUnitOptions {
  readonly device: BlockDevice;
  readonly identity: UnitIdentity;
  readonly clock: Clock;
  /** Where reservations and the like outlive the process; without one, they do not. */
  readonly store?: UnitStore;
  /** Without one, an atomic write is one only as long as the process lives. */
  readonly journal?: AtomicJournal;
  /**
   * The unit was there before this process was: it has been powered on again, and each initiator port is told so when it
   * comes for the first time (SAM-5, 6.3.1).
   */
  readonly isPoweredOnAgain?: boolean;
  /** The units that the initiator may use as the other end of a copy, this one included. */
  readonly unitsOf: (initiatorName: string) => Iterable<LogicalUnit>;
}

/** Initiator ports that were told; who comes after so many others is not told. */
const TOLD_MAX = 4096;

export class LogicalUnit {
  readonly device: BlockDevice;
  readonly identity: UnitIdentity;
  readonly locks = new RangeLocks();
  readonly copies = new CopyResults();
  readonly sanitizer: Sanitizer;
  readonly unitsOf: LogicalUnitOptions["unitsOf"];
  readonly journal: AtomicJournal | undefined;
  readonly #store: UnitStore | undefined;
  readonly #nexuses = new Set<Nexus>();
  /** Initiator ports that know that the unit was powered on again; undefined: it was not. */
  readonly #told: Set<string> | undefined;
  #modes: ModeParameters = DEFAULT_MODES;
  #reservations: ReservationState = NO_RESERVATIONS;
  /** PRgeneration (SPC-4, 6.15.2): counts changes since the unit was powered on. */
  #generation = 0;
  #reservedBy: Nexus | undefined;
  #isCalm = true;

  /** Throws where the stored state is damaged. */
  constructor(options: LogicalUnitOptions) {
    this.device = options.device;
    this.identity = options.identity;
    this.unitsOf = options.unitsOf;
    this.journal = options.journal;
    this.#store = options.store;
    this.#told = options.isPoweredOnAgain === true ? new Set() : undefined;
    this.sanitizer = new Sanitizer(this.device, this.locks, options.clock, () => this.#changed());
    const content = options.store?.load();
    if (content === undefined) {
      this.#settle();
      return;
    }
    const { reservations, sanitize } = decodeUnitState(content);
    if (reservations !== undefined) this.#reservations = reservations;
    if (sanitize !== undefined) this.sanitizer.resume(sanitize);
    this.#settle();
  }

  /** Nothing of the unit's state stands in the way of a READ or a WRITE: the hot path asks nothing more. */
  get isCalm(): boolean {
    return this.#isCalm;
  }

  /** Whether the medium can't be written, whatever the mode parameters say. */
  get isMediumProtected(): boolean {
    return this.device.isWriteProtected === true;
  }

  get modes(): ModeParameters {
    return this.#modes;
  }

  get reservations(): ReservationState {
    return this.#reservations;
  }

  get generation(): number {
    return this.#generation;
  }

  /** An initiator has logged in. */
  attach(nexus: Nexus): void {
    this.#nexuses.add(nexus);
    const told = this.#told;
    if (told === undefined || told.has(nexus.initiatorPort) || told.size >= TOLD_MAX) return;
    told.add(nexus.initiatorPort);
    nexus.attend(SENSE.powerOnOccurred);
  }

  /** I_T nexus loss: a RESERVE(6) ends with it; registrations stay. */
  detach(nexus: Nexus): void {
    this.#nexuses.delete(nexus);
    if (nexus.isWaiting(SENSE.powerOnOccurred)) this.#told?.delete(nexus.initiatorPort);
    if (this.#reservedBy !== nexus) return;
    this.#reservedBy = undefined;
    this.#settle();
  }

  /** Those by which that initiator is logged in here. */
  nexusesOf(initiatorName: string): Nexus[] {
    return [...this.#nexuses].filter((nexus) => nexus.initiatorName === initiatorName);
  }

  /** The ports by which the initiator of that name, in lower case, is logged in here. */
  portsOf(initiatorName: string): ReadonlySet<string> {
    const ports = new Set<string>();
    for (const nexus of this.#nexuses) {
      if (nexus.initiatorName.toLowerCase() === initiatorName) ports.add(nexus.initiatorPort);
    }
    return ports;
  }

  /** Tells all initiators that are there, but for `except`. */
  attendAll(condition: SenseCode, except?: Nexus): void {
    for (const nexus of this.#nexuses) if (nexus !== except) nexus.attend(condition);
  }

  /** LOGICAL UNIT RESET and the target resets (SAM-5, 6.3.3); the commands have been ended already. */
  reset(): void {
    this.#reservedBy = undefined;
    this.#modes = DEFAULT_MODES;
    this.#settle();
    this.attendAll(SENSE.resetOccurred);
  }

  setModes(modes: ModeParameters, by: Nexus): void {
    this.#modes = modes;
    this.#settle();
    this.attendAll(SENSE.modeParametersChanged, by);
  }

  /** Whether a reservation of another forbids the nexus that access; `isExempt`: RESERVE(6) does not. */
  isForbidden(nexus: Nexus, access: Access, isExempt: boolean): boolean {
    if (this.#reservedBy !== undefined && this.#reservedBy !== nexus && !isExempt) return true;
    return forbids(this.#reservations, nexus.initiatorPort, access);
  }

  /** RESERVE(6): answers whether the nexus has the unit now. */
  reserve(nexus: Nexus): boolean {
    if (this.#reservedBy !== undefined && this.#reservedBy !== nexus) return false;
    this.#reservedBy = nexus;
    this.#settle();
    return true;
  }

  /** RELEASE(6): of one that does not hold it, it changes nothing. */
  release(nexus: Nexus): void {
    if (this.#reservedBy === nexus) this.#reservedBy = undefined;
    this.#settle();
  }

  get isReserved(): boolean {
    return this.#reservedBy !== undefined;
  }

  /**
   * Makes a change of the persistent reservations hold, durably first where they are to outlive a restart, and tells
   * those whom it concerns. `counts`: PRgeneration goes up. Throws what the store throws, with nothing changed.
   */
  commit(change: ReservationChange, counts: boolean): void {
    const before = this.#reservations;
    const { notices, state } = change;
    if (before.aptpl || state.aptpl) this.#save(state);
    this.#reservations = state;
    if (counts) this.#generation = (this.#generation + 1) >>> 0;
    this.#settle();
    for (const nexus of this.#nexuses) {
      const port = nexus.initiatorPort;
      if (notices.unregistered.has(port)) nexus.attend(SENSE.registrationsPreempted);
      if (notices.preempted.has(port)) nexus.attend(SENSE.reservationsPreempted);
      if (notices.released.has(port)) nexus.attend(SENSE.reservationsReleased);
    }
  }

  beginChange(): ReservationChange {
    return new ReservationChange(this.#reservations);
  }

  /** Ends the commands of these ports (PREEMPT AND ABORT); resolves when they touch the device no more. */
  async abortTasksOf(ports: ReadonlySet<string>): Promise<void> {
    const nexuses = [...this.#nexuses].filter(({ initiatorPort }) => ports.has(initiatorPort));
    await Promise.all(nexuses.map((nexus) => nexus.abortTasks()));
  }

  /** The sanitizer's state has changed. */
  #changed(): void {
    this.#save(this.#reservations);
    this.#settle();
  }

  #save(reservations: ReservationState): void {
    const { order } = this.sanitizer;
    const kept = reservations.aptpl ? reservations : undefined;
    this.#store?.save(encodeUnitState({ reservations: kept, sanitize: order }));
  }

  #settle(): void {
    this.#isCalm =
      this.#reservedBy === undefined &&
      this.#reservations.reservation === undefined &&
      !this.isMediumProtected &&
      !this.#modes.writeProtect &&
      !this.#modes.isWriteThrough &&
      !this.sanitizer.isActive;
  }
}
