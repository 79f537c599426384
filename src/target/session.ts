/**
 * A session in full feature phase: commands in the order of their CmdSN, data both ways, task management.
 *
 * The hot path (READ and WRITE that the device serves inline) makes no promise and no buffer: reads go from the device
 * into the transmit slab, small writes from the receive buffer into the device. A write is given to the device once,
 * whole, so that a cut never splits it, and after its digest was checked.
 */
import { strict as assert } from "node:assert";
import {
  AT,
  BHS_BYTES,
  dataSegmentLengthOf,
  FINAL,
  isFinal,
  isImmediate,
  lunOf,
  opcodeOf,
  REQUEST,
  TAG_NONE,
} from "../iscsi/bhs.ts";
import { negotiate } from "../iscsi/negotiation.ts";
import {
  type Counters,
  OVERFLOW,
  REJECT_REASON,
  STATUS_PRESENT,
  UNDERFLOW,
  writeAsyncMessage,
  writeDataIn,
  writeLogoutResponse,
  writeNopIn,
  writeR2T,
  writeReject,
  writeScsiResponse,
  writeTaskManagementResponse,
  writeTextResponse,
} from "../iscsi/pdu/responses.ts";
import { ProtocolError } from "../iscsi/protocol-error.ts";
import { serialAdd, serialBefore } from "../iscsi/serial.ts";
import { decodeText, encodeText, TEXT_BYTES_MAX } from "../iscsi/text-keys.ts";
import type { BlockDevice } from "../scsi/block-device.ts";
import { type CommandResult, TRANSFER_BYTES_MAX } from "../scsi/command.ts";
import { admit, executeCommand, executeWithoutUnit } from "../scsi/command-table.ts";
import type { LogicalUnit } from "../scsi/logical-unit.ts";
import { Nexus } from "../scsi/nexus.ts";
import {
  CheckCondition,
  type FailedCommand,
  failureOf,
  SENSE,
  type SenseCode,
  STATUS,
} from "../scsi/sense.ts";
import { decodeTransfer, makeTransfer } from "../scsi/transfer.ts";
import type { Connection } from "./connection.ts";
import type { DataBuffers } from "./data-buffers.ts";
import type { ChapCredential, TargetDirectory, TargetEntry } from "./directory.ts";
import { type Portal, sendTargetsText } from "./discovery.ts";
import type { TargetLimits } from "./limits.ts";
import type { LoggedIn } from "./login.ts";
import { DATA_FAULT, WriteTask } from "./write-task.ts";

export interface SessionHost {
  readonly directory: TargetDirectory;
  readonly limits: TargetLimits;
  readonly buffers: DataBuffers;
  /** What discovery shows to whoever has come by this portal. */
  portalsFor(reached: Portal): readonly string[];
  /** Other sessions on the same target: a LUN or target reset reaches them too. */
  sessionsOf(entry: TargetEntry): Iterable<Session>;
  /** The target's LUN 0: one for all of its sessions. */
  unitOf(entry: TargetEntry): LogicalUnit;
}

const FLAG_READ = 0x40;
const FLAG_WRITE = 0x20;
const TEXT_CONTINUE = 0x40;
const TRANSFER_TAG_TEXT = 1;
const PING_TAG = 0xfffffffe;
const EMPTY = Buffer.alloc(0);
/** Cut off what a slow reader asked for into parts of this size. */
const SLOW_READ_BYTES = 256 * 1024;
/** A read of up to so much is answered in one turn. */
const INLINE_READ_BYTES = 1024 * 1024;

const TASK_MANAGEMENT = {
  abortTask: 1,
  abortTaskSet: 2,
  clearTaskSet: 4,
  lunReset: 5,
  warmReset: 6,
  coldReset: 7,
  reassign: 8,
};
const TASK_RESPONSE = {
  complete: 0,
  noTask: 1,
  noLun: 2,
  noReassignment: 4,
  notSupported: 5,
  rejected: 255,
};
/** Task management that waits for tasks to end; what goes beyond is refused. */
const MANAGING_MAX = 16;
const LOGOUT_REASON = { session: 0, connection: 1, recovery: 2 };
const LOGOUT_RESPONSE = { closed: 0, noSuchConnection: 1, recoveryNotSupported: 2 };
/** What carries a CmdSN (RFC 7143, 4.2.2.1). */
const NUMBERED: ReadonlySet<number> = new Set([
  REQUEST.nopOut,
  REQUEST.scsiCommand,
  REQUEST.taskManagement,
  REQUEST.text,
  REQUEST.logout,
]);
/** Why other PDUs are rejected; unknown ones are not supported. */
const UNNUMBERED_REASON: Readonly<Record<number, number>> = {
  [REQUEST.snack]: REJECT_REASON.snack,
  [REQUEST.login]: REJECT_REASON.protocolError,
};
/** Immediate commands beyond the window that are taken before they are told that the task set is full. */
const IMMEDIATE_TASKS_MAX = 16;
const ASYNC_EVENT = { logoutRequested: 1 };
const LOGOUT_WITHIN_S = 3;

/** A command that is being carried out beyond the hot path. */
interface RunningTask {
  aborted: boolean;
  /** Told to commands that go on for long: they end soon, or let go of the session. */
  readonly abort: AbortController | undefined;
  readonly done: Promise<void>;
}

function abortTask(task: RunningTask): void {
  task.aborted = true;
  task.abort?.abort();
}

export class Session {
  readonly initiatorName: string;
  readonly isid: Buffer;
  readonly tsih: number;
  readonly entry: TargetEntry | undefined;
  /** What the initiator has proved itself with, if it had to. */
  readonly credential: ChapCredential | undefined;
  readonly connection: Connection;
  readonly #host: SessionHost;
  readonly #parameters: LoggedIn["parameters"];
  /** LUN 0 of the target, unless this is a discovery session; and this session to it. */
  readonly #unit: LogicalUnit | undefined;
  readonly #nexus: Nexus;
  readonly #collecting = new Map<number, WriteTask>();
  /** The task whose buffer the receiver is filling. */
  #lent: WriteTask | undefined;
  readonly #running = new Map<number, RunningTask>();
  /** Commands that wait for the barrier. */
  readonly #held = new Map<number, { readonly owner: WriteTask | undefined }>();
  readonly #counters: Counters;
  readonly #cid: number;
  readonly #transfer = makeTransfer();
  #bufferBytes = 0;
  #transferTag = 1;
  #managing = 0;
  #textIn: Buffer = EMPTY;
  #textRest: Buffer = EMPTY;
  #isTextOpen = false;
  #drainWaiters: (() => void)[] = [];
  #closed = false;
  /** Commands of an earlier session of this initiator still touch the device: ours come after them. */
  #barrier: Promise<void> | undefined;

  constructor(connection: Connection, loggedIn: LoggedIn, host: SessionHost, after: readonly Session[]) {
    this.connection = connection;
    this.initiatorName = loggedIn.initiatorName;
    this.isid = loggedIn.isid;
    this.tsih = loggedIn.tsih;
    this.#cid = loggedIn.cid;
    this.entry = loggedIn.entry;
    this.credential = loggedIn.credential;
    this.#host = host;
    this.#parameters = loggedIn.parameters;
    this.#unit = loggedIn.entry && host.unitOf(loggedIn.entry);
    this.#nexus = new Nexus(loggedIn.initiatorName, loggedIn.isid, () => this.abortTasks());
    this.#unit?.attach(this.#nexus);
    this.#counters = {
      statSN: loggedIn.statSN,
      expCmdSN: loggedIn.expCmdSN,
      maxCmdSN: serialAdd(loggedIn.expCmdSN, host.limits.tasksPerSessionMax - 1),
    };
    if (after.length === 0) return;
    this.#barrier = Promise.all(after.map((session) => session.settled())).then(() => {
      this.#barrier = undefined;
    });
  }

  /** Whether commands of this session still touch the device. */
  get isBusy(): boolean {
    return this.#running.size > 0;
  }

  onPdu(bhs: Buffer, data: Buffer): void {
    const opcode = opcodeOf(bhs);
    if (opcode === REQUEST.dataOut) {
      this.#dataOut(bhs, data);
      return;
    }
    if (!NUMBERED.has(opcode)) {
      this.#reject(bhs, UNNUMBERED_REASON[opcode] ?? REJECT_REASON.commandNotSupported);
      return;
    }
    if (!this.#inOrder(bhs)) return;
    switch (opcode) {
      case REQUEST.scsiCommand:
        if (this.entry === undefined) this.#reject(bhs, REJECT_REASON.protocolError);
        else this.#command(bhs, data);
        break;
      case REQUEST.nopOut:
        this.#nopOut(bhs, data);
        break;
      case REQUEST.text:
        this.#text(bhs, data);
        break;
      case REQUEST.logout:
        this.#logout(bhs);
        break;
      case REQUEST.taskManagement:
        if (this.entry === undefined) this.#reject(bhs, REJECT_REASON.protocolError);
        else this.#taskManagement(bhs);
        break;
    }
  }

  /** The data of a PDU has not kept its digest (RFC 7143, 7.7): the PDU is rejected, its command ends. */
  onDataDigestError(bhs: Buffer): void {
    this.#reject(bhs, REJECT_REASON.dataDigestError);
    const opcode = opcodeOf(bhs);
    if (opcode === REQUEST.dataOut) {
      const task = this.#collecting.get(bhs.readUInt32BE(AT.initiatorTaskTag));
      if (task !== undefined) this.#failCollecting(task, DATA_FAULT.protocolServiceCrcError);
      return;
    }
    // The header was whole: its number is used up.
    if (!NUMBERED.has(opcode) || !this.#inOrder(bhs)) return;
    if (opcode === REQUEST.scsiCommand) this.#fail(bhs, DATA_FAULT.protocolServiceCrcError);
  }

  /** The data segment of a Data-Out PDU goes straight to its place, if it is the one that is due. */
  collectInto(bhs: Buffer, lengthBytes: number): Buffer | undefined {
    if (opcodeOf(bhs) !== REQUEST.dataOut || lengthBytes === 0) return undefined;
    const task = this.#collecting.get(bhs.readUInt32BE(AT.initiatorTaskTag));
    if (task === undefined || task.check(bhs, lengthBytes) !== undefined) return undefined;
    this.#lent = task;
    return task.place(lengthBytes);
  }

  onCollected(bhs: Buffer, isRight: boolean): void {
    const task = this.#lent;
    this.#lent = undefined;
    if (task === undefined) return;
    // Task management of another session may have ended the task while its data was coming in.
    if (this.#collecting.get(task.initiatorTaskTag) !== task) this.#giveBack(task);
    else if (isRight) this.#tookData(task, bhs, dataSegmentLengthOf(bhs));
    else this.onDataDigestError(bhs);
  }

  /** The peer has taken all that was sent. */
  onDrained(): void {
    const waiters = this.#drainWaiters;
    this.#drainWaiters = [];
    for (const waiter of waiters) waiter();
  }

  /** Asks the initiator whether it is there. */
  ping(): void {
    const { transmitter } = this.connection;
    const at = transmitter.reserve(0);
    writeNopIn(transmitter.slab, at, TAG_NONE, PING_TAG, 0n, 0, this.#current());
    transmitter.commit(at, 0);
  }

  /** Asks the initiator to log out (RFC 7143, 11.9.1), as before a shutdown. */
  requestLogout(): void {
    this.connection.later(() => {
      const { transmitter } = this.connection;
      const at = transmitter.reserve(0);
      writeAsyncMessage(
        transmitter.slab,
        at,
        ASYNC_EVENT.logoutRequested,
        LOGOUT_WITHIN_S,
        this.#withStatus(),
      );
      transmitter.commit(at, 0);
    });
  }

  /** The commands of this session, if it has any, are about to end by another initiator's doing (SAM-5, 5.6). */
  attendCleared(): void {
    if (this.#taskCount > 0) this.#nexus.attend(SENSE.commandsClearedByAnotherInitiator);
  }

  /** I_T nexus loss: the initiator has gone, or is being sent away. */
  leave(): void {
    this.#unit?.detach(this.#nexus);
  }

  /** The connection is gone: what was collected is dropped, what is running ends unheard. */
  close(): void {
    this.#closed = true;
    this.leave();
    for (const task of this.#collecting.values()) this.#giveBack(task);
    // One that was ended while its data was coming in has kept its buffer until now.
    const lent = this.#lent;
    if (lent !== undefined && this.#collecting.get(lent.initiatorTaskTag) !== lent) this.#giveBack(lent);
    this.#lent = undefined;
    this.#collecting.clear();
    this.#dropHeld();
    for (const task of this.#running.values()) abortTask(task);
    this.onDrained();
  }

  /** Resolves when no command of this session touches the device any more. */
  async settled(): Promise<void> {
    await Promise.all([...this.#running.values()].map((task) => task.done));
  }

  /** Ends all commands unanswered; resolves when none of them touches the device any more. */
  async abortTasks(): Promise<void> {
    for (const task of this.#collecting.values()) this.#giveBack(task);
    this.#collecting.clear();
    this.#dropHeld();
    const running = [...this.#running.values()];
    for (const task of running) abortTask(task);
    await Promise.all(running.map((task) => task.done));
  }

  /**
   * CmdSN order (RFC 7143, 4.2.2.1). One connection delivers in order, so what is not due is a stray, and what comes
   * while the window is closed was not asked for: both are ignored, as the standard says.
   */
  #inOrder(bhs: Buffer): boolean {
    if (isImmediate(bhs)) return true;
    const { expCmdSN, maxCmdSN } = this.#counters;
    if (bhs.readUInt32BE(AT.cmdSN) !== expCmdSN || serialBefore(maxCmdSN, expCmdSN)) return false;
    this.#counters.expCmdSN = serialAdd(this.#counters.expCmdSN, 1);
    return true;
  }

  /** The counters as they stand; the window closes as commands pile up, and never moves back. */
  #current(): Counters {
    const open = this.#host.limits.tasksPerSessionMax - this.#taskCount;
    const max = serialAdd(this.#counters.expCmdSN, Math.max(open, 0) - 1);
    if (serialBefore(this.#counters.maxCmdSN, max)) this.#counters.maxCmdSN = max;
    return this.#counters;
  }

  /** The counters for a PDU that carries a status; StatSN moves on once the PDU is built. */
  #withStatus(): Counters {
    const counters = { ...this.#current() };
    this.#counters.statSN = serialAdd(this.#counters.statSN, 1);
    return counters;
  }

  #command(bhs: Buffer, data: Buffer): void {
    const expected = bhs.readUInt32BE(AT.expectedDataTransferLength);
    const isWrite = (bhs.readUInt8(1) & FLAG_WRITE) !== 0;
    if (this.#isTagInUse(bhs.readUInt32BE(AT.initiatorTaskTag))) {
      this.#reject(bhs, REJECT_REASON.invalidPduField);
      return;
    }
    // Immediate commands keep to no window.
    if (this.#taskCount >= this.#host.limits.tasksPerSessionMax + IMMEDIATE_TASKS_MAX) {
      this.#respond(bhs, { status: STATUS.taskSetFull, sense: undefined }, 0, 0);
      return;
    }
    const { immediateData, firstBurstLength } = this.#parameters;
    if (isWrite && data.length > (immediateData ? firstBurstLength : 0)) {
      this.#fail(bhs, DATA_FAULT.unexpectedUnsolicitedData);
      return;
    }
    if (isWrite && data.length < expected) {
      this.#beginCollecting(bhs, data, expected);
      return;
    }
    this.#execute(bhs, isWrite ? data.subarray(0, expected) : EMPTY, undefined);
  }

  #beginCollecting(bhs: Buffer, data: Buffer, expected: number): void {
    // No command writes so much: a buffer of that size is not even asked for.
    if (expected > TRANSFER_BYTES_MAX) {
      this.#fail(bhs, SENSE.invalidFieldInCdb);
      return;
    }
    const { limits, buffers } = this.#host;
    const roomy = this.#bufferBytes + expected <= limits.sessionBufferBytesMax;
    const buffer = roomy ? buffers.take(expected) : undefined;
    if (buffer === undefined) {
      // What the initiator sends unasked for this command belongs to no task and is passed over.
      this.#respond(bhs, { status: STATUS.taskSetFull, sense: undefined }, 0, 0);
      return;
    }
    this.#bufferBytes += buffer.length;
    const task = new WriteTask(bhs, buffer, this.#parameters);
    data.copy(buffer);
    task.receivedBytes = data.length;
    this.#collecting.set(task.initiatorTaskTag, task);
    // The F bit says that no unsolicited data follows; with InitialR2T none may.
    if (isFinal(bhs) || this.#parameters.initialR2T) this.#solicit(task);
  }

  /** Tasks that are not answered yet. */
  get #taskCount(): number {
    return this.#running.size + this.#collecting.size + this.#held.size;
  }

  #isTagInUse(tag: number): boolean {
    return this.#collecting.has(tag) || this.#running.has(tag) || this.#held.has(tag);
  }

  /** Ends a command with CHECK CONDITION. */
  #fail(bhs: Buffer, code: SenseCode): void {
    this.#respondFailed(bhs, new CheckCondition(code), true);
  }

  #failCollecting(task: WriteTask, code: SenseCode): void {
    this.#endCollecting(task);
    this.#fail(task.bhs, code);
    this.#giveBack(task);
  }

  #dataOut(bhs: Buffer, data: Buffer): void {
    const task = this.#collecting.get(bhs.readUInt32BE(AT.initiatorTaskTag));
    if (task === undefined) return;
    const fault = task.check(bhs, data.length);
    if (fault !== undefined) {
      this.#failCollecting(task, fault);
      return;
    }
    data.copy(task.place(data.length));
    this.#tookData(task, bhs, data.length);
  }

  #tookData(task: WriteTask, bhs: Buffer, dataBytes: number): void {
    if (!task.took(bhs, dataBytes)) return;
    if (!task.complete) {
      this.#solicit(task);
      return;
    }
    this.#endCollecting(task);
    this.#execute(task.bhs, task.buffer.subarray(0, task.expectedBytes), task);
  }

  #solicit(task: WriteTask): void {
    this.#transferTag = serialAdd(this.#transferTag, 1) % TAG_NONE;
    const burst = task.nextBurst(this.#transferTag, this.#parameters.maxBurstLength);
    const { transmitter } = this.connection;
    const at = transmitter.reserve(0);
    writeR2T(
      transmitter.slab,
      at,
      task.bhs,
      task.transferTag,
      burst.r2tSN,
      burst.offset,
      burst.length,
      this.#current(),
    );
    transmitter.commit(at, 0);
  }

  #endCollecting(task: WriteTask): void {
    this.#collecting.delete(task.initiatorTaskTag);
  }

  /** Not while the receiver still fills the buffer: whoever took it next would find strange bytes in it. */
  #giveBack(task: WriteTask): void {
    if (task === this.#lent && !this.#closed) return;
    this.#bufferBytes -= task.buffer.length;
    this.#host.buffers.give(task.buffer);
  }

  /** Carries a command out whose data is all here. `owner`: the task whose buffer `dataOut` is, else it is lent. */
  #execute(bhs: Buffer, dataOut: Buffer, owner: WriteTask | undefined): void {
    const unit = this.#unit;
    assert(unit !== undefined);
    if (this.#barrier !== undefined) {
      this.#executeAfter(this.#barrier, bhs, dataOut, owner);
      return;
    }
    const cdb = bhs.subarray(AT.cdb, AT.cdb + 16);
    if (lunOf(bhs) !== 0) {
      this.#runOther(bhs, dataOut, owner, undefined);
      return;
    }
    const { device } = unit;
    const transfer = this.#transfer;
    let isTransfer: boolean;
    try {
      if (!unit.isCalm || this.#nexus.hasAttention) admit(unit, this.#nexus, cdb);
      isTransfer = decodeTransfer(cdb, device, transfer);
    } catch (error) {
      this.#respondFailed(bhs, error, false);
      if (owner !== undefined) this.#giveBack(owner);
      return;
    }
    if (!isTransfer) this.#runOther(bhs, dataOut, owner, unit);
    else if (transfer.write) this.#write(bhs, dataOut, owner, unit);
    else {
      if (owner !== undefined) this.#giveBack(owner);
      this.#read(bhs, device);
    }
  }

  /**
   * A write that an earlier session of the same initiator left behind must not land on top of a newer one: commands
   * wait until nothing of that session is under way, and keep their order.
   */
  #executeAfter(barrier: Promise<void>, bhs: Buffer, dataOut: Buffer, owner: WriteTask | undefined): void {
    const tag = bhs.readUInt32BE(AT.initiatorTaskTag);
    const header = Buffer.from(bhs);
    const data = owner === undefined ? Buffer.from(dataOut) : dataOut;
    const held = { owner };
    this.#held.set(tag, held);
    void barrier.then(() => {
      // Whoever has ended it meanwhile has given its buffer back.
      if (this.#held.get(tag) !== held) return;
      this.#held.delete(tag);
      this.connection.later(() => this.#execute(header, data, owner));
    });
  }

  #dropHeld(): void {
    for (const { owner } of this.#held.values()) if (owner !== undefined) this.#giveBack(owner);
    this.#held.clear();
  }

  #write(bhs: Buffer, dataOut: Buffer, owner: WriteTask | undefined, unit: LogicalUnit): void {
    const { device, locks } = unit;
    const { offsetBytes, lengthBytes } = this.#transfer;
    const fua = this.#transfer.fua || unit.modes.isWriteThrough;
    const expected = bhs.readUInt32BE(AT.expectedDataTransferLength);
    const usable = Math.min(lengthBytes, dataOut.length);
    const length = usable - (usable % device.logicalBlockBytes);
    let inline: boolean;
    try {
      inline = length === 0 || (locks.isFree && device.tryWrite(offsetBytes, dataOut, 0, length));
    } catch (error) {
      this.#respondFailed(bhs, error, true);
      if (owner !== undefined) this.#giveBack(owner);
      return;
    }
    if (inline && !fua) {
      if (owner !== undefined) this.#giveBack(owner);
      this.#respondGood(bhs, lengthBytes, expected);
      return;
    }
    // Lent bytes are gone when this call returns.
    const data = inline ? EMPTY : owner === undefined ? Buffer.from(dataOut.subarray(0, length)) : dataOut;
    const action = async () => {
      if (!inline) {
        await locks.shared(offsetBytes, length, () => device.write(offsetBytes, data, 0, length));
      }
      if (fua) await device.flush();
    };
    const header = Buffer.from(bhs);
    this.#run(header, owner, true, action, () => this.#respondGood(header, lengthBytes, expected));
  }

  #read(bhs: Buffer, device: BlockDevice): void {
    const { offsetBytes, lengthBytes } = this.#transfer;
    const expected = bhs.readUInt32BE(AT.expectedDataTransferLength);
    const total = (bhs.readUInt8(1) & FLAG_READ) !== 0 ? Math.min(lengthBytes, expected) : 0;
    if (total === 0) {
      this.#respondGood(bhs, lengthBytes, expected);
      return;
    }
    const progress = { done: 0, dataSN: 0 };
    try {
      if (this.#readInline(bhs, device, offsetBytes, total, lengthBytes, progress)) return;
    } catch (error) {
      this.#respondFailed(bhs, error, false);
      return;
    }
    const header = Buffer.from(bhs);
    const action = () => this.#readSlowly(header, device, offsetBytes, total, lengthBytes, progress);
    this.#run(header, undefined, false, action, () => {});
  }

  /** Sends as much of a read as the device gives inline, from `progress` on; answers whether that was all. */
  #readInline(
    bhs: Buffer,
    device: BlockDevice,
    offsetBytes: number,
    total: number,
    lengthBytes: number,
    progress: { done: number; dataSN: number },
  ): boolean {
    const { transmitter } = this.connection;
    while (progress.done < total) {
      // The rest of a long one, in turns.
      if (progress.done >= INLINE_READ_BYTES && this.connection.isTurnOver) return false;
      const length = this.#segmentLength(progress.done, total);
      const at = transmitter.reserve(length);
      // The last block may be wanted in part only.
      const whole = Math.ceil(length / device.logicalBlockBytes) * device.logicalBlockBytes;
      if (whole !== length) return false;
      const data = transmitter.dataOffset(at);
      if (!device.tryRead(offsetBytes + progress.done, transmitter.slab, data, length)) return false;
      this.#commitDataIn(bhs, at, length, total, lengthBytes, progress);
    }
    return true;
  }

  async #readSlowly(
    bhs: Buffer,
    device: BlockDevice,
    offsetBytes: number,
    total: number,
    lengthBytes: number,
    progress: { done: number; dataSN: number },
  ): Promise<void> {
    const { transmitter } = this.connection;
    let buffer: Buffer = EMPTY;
    while (progress.done < total && !this.#closed) {
      if (this.connection.isTurnOver) await this.connection.nextTurn();
      const wanted = Math.min(SLOW_READ_BYTES, total - progress.done);
      const whole = Math.ceil(wanted / device.logicalBlockBytes) * device.logicalBlockBytes;
      if (buffer.length < whole) buffer = Buffer.allocUnsafe(whole);
      await device.read(offsetBytes + progress.done, buffer, 0, whole);
      if (this.#running.get(bhs.readUInt32BE(AT.initiatorTaskTag))?.aborted !== false) return;
      const end = progress.done + wanted;
      const start = progress.done;
      this.connection.later(() => {
        while (progress.done < end) {
          const length = Math.min(this.#segmentLength(progress.done, total), end - progress.done);
          const at = transmitter.reserve(length);
          const from = progress.done - start;
          buffer.copy(transmitter.slab, transmitter.dataOffset(at), from, from + length);
          this.#commitDataIn(bhs, at, length, total, lengthBytes, progress);
        }
      });
      if (transmitter.backlogBytes > this.#host.limits.backlogBytesMax) {
        await new Promise<void>((resolve) => this.#drainWaiters.push(resolve));
      }
    }
  }

  /** One Data-In PDU: what the initiator takes at once, within a burst. */
  #segmentLength(done: number, total: number): number {
    const { maxBurstLength, maxRecvDataSegmentLength } = this.#parameters;
    const inBurst = maxBurstLength - (done % maxBurstLength);
    return Math.min(total - done, inBurst, maxRecvDataSegmentLength, SLOW_READ_BYTES);
  }

  #commitDataIn(
    bhs: Buffer,
    at: number,
    length: number,
    total: number,
    lengthBytes: number,
    progress: { done: number; dataSN: number },
  ): void {
    const { transmitter } = this.connection;
    const offset = progress.done;
    progress.done += length;
    const last = progress.done === total;
    const expected = bhs.readUInt32BE(AT.expectedDataTransferLength);
    const burstEnds = last || progress.done % this.#parameters.maxBurstLength === 0;
    let flags = burstEnds ? FINAL : 0;
    if (last) flags |= STATUS_PRESENT | residualFlags(lengthBytes, expected);
    const counters = this.#current();
    writeDataIn(
      transmitter.slab,
      at,
      bhs.readUInt32BE(AT.initiatorTaskTag),
      flags,
      progress.dataSN,
      offset,
      length,
      last ? Math.abs(lengthBytes - expected) : 0,
      counters,
    );
    if (last) counters.statSN = serialAdd(counters.statSN, 1);
    progress.dataSN += 1;
    transmitter.commit(at, length);
  }

  /** Any command but READ and WRITE; without a unit, one for a LUN that is not there. */
  #runOther(bhs: Buffer, dataOut: Buffer, owner: WriteTask | undefined, unit: LogicalUnit | undefined): void {
    const header = Buffer.from(bhs);
    const cdb = header.subarray(AT.cdb, AT.cdb + 16);
    const expected = header.readUInt32BE(AT.expectedDataTransferLength);
    const data = owner === undefined ? Buffer.from(dataOut) : dataOut.subarray(0, expected);
    const hasDataOut = (header.readUInt8(1) & FLAG_WRITE) !== 0;
    let result: CommandResult = {};
    const abort = new AbortController();
    const action = async () => {
      result =
        unit === undefined
          ? await executeWithoutUnit(cdb)
          : await executeCommand(unit, this.#nexus, cdb, data, abort.signal);
    };
    const respond = () => this.#respondData(header, result, hasDataOut);
    this.#run(header, owner, hasDataOut, action, respond, abort);
  }

  /** Runs `action` as a task that can be aborted; `respond` sends its answer unless it was. */
  #run(
    bhs: Buffer,
    owner: WriteTask | undefined,
    isWrite: boolean,
    action: () => Promise<void>,
    respond: () => void,
    abort?: AbortController,
  ): void {
    const tag = bhs.readUInt32BE(AT.initiatorTaskTag);
    assert(!this.#running.has(tag));
    const finish = (answer: () => void) => {
      this.#running.delete(tag);
      if (owner !== undefined) this.#giveBack(owner);
      if (!task.aborted && !this.#closed) this.connection.later(answer);
    };
    // Registered before it starts: an action may ask whether it was aborted.
    const start = Promise.resolve().then(action);
    const done = start.then(
      () => finish(respond),
      (error: unknown) => finish(() => this.#respondFailed(bhs, error, isWrite)),
    );
    const task: RunningTask = { aborted: false, abort, done };
    this.#running.set(tag, task);
  }

  #respondData(bhs: Buffer, { dataIn, dataOutBytes }: CommandResult, hasDataOut: boolean): void {
    const expected = bhs.readUInt32BE(AT.expectedDataTransferLength);
    const length = dataIn?.length ?? 0;
    const total = (bhs.readUInt8(1) & FLAG_READ) !== 0 ? Math.min(length, expected) : 0;
    if (dataIn === undefined || total === 0) {
      // A command that says nothing of its Data-Out has used what there was: no residual to tell.
      this.#respondGood(bhs, dataOutBytes ?? (hasDataOut ? expected : length), expected);
      return;
    }
    const { transmitter } = this.connection;
    const progress = { done: 0, dataSN: 0 };
    while (progress.done < total) {
      const part = this.#segmentLength(progress.done, total);
      const at = transmitter.reserve(part);
      dataIn.copy(transmitter.slab, transmitter.dataOffset(at), progress.done, progress.done + part);
      this.#commitDataIn(bhs, at, part, total, length, progress);
    }
  }

  #respondGood(bhs: Buffer, lengthBytes: number, expected: number): void {
    const flags = residualFlags(lengthBytes, expected);
    this.#respond(bhs, GOOD, flags, flags === 0 ? 0 : Math.abs(lengthBytes - expected));
  }

  #respondFailed(bhs: Buffer, error: unknown, isWrite: boolean): void {
    const descriptorFormat = this.#unit?.modes.descriptorSense === true;
    this.#respond(bhs, failureOf(error, isWrite, descriptorFormat), 0, 0);
  }

  #respond(bhs: Buffer, outcome: FailedCommand, flags: number, residual: number): void {
    const { transmitter } = this.connection;
    const sense = outcome.sense;
    const dataBytes = sense === undefined ? 0 : sense.length + 2;
    const at = transmitter.reserve(dataBytes);
    const counters = this.#current();
    writeScsiResponse(
      transmitter.slab,
      at,
      bhs.readUInt32BE(AT.initiatorTaskTag),
      outcome.status,
      flags,
      residual,
      dataBytes,
      counters,
    );
    counters.statSN = serialAdd(counters.statSN, 1);
    if (sense !== undefined) {
      const data = transmitter.dataOffset(at);
      transmitter.slab.writeUInt16BE(sense.length, data);
      sense.copy(transmitter.slab, data + 2);
    }
    transmitter.commit(at, dataBytes);
  }

  #nopOut(bhs: Buffer, data: Buffer): void {
    const tag = bhs.readUInt32BE(AT.initiatorTaskTag);
    // An answer to our own ping: that it came is all there is to know.
    if (tag === TAG_NONE) return;
    const length = Math.min(data.length, this.#parameters.maxRecvDataSegmentLength);
    const { transmitter } = this.connection;
    const at = transmitter.reserve(length);
    const lun = bhs.readBigUInt64BE(AT.lun);
    writeNopIn(transmitter.slab, at, tag, TAG_NONE, lun, length, this.#withStatus());
    data.copy(transmitter.slab, transmitter.dataOffset(at), 0, length);
    transmitter.commit(at, length);
  }

  /** One text negotiation at a time (RFC 7143, 11.10): its request and its answer may each take several PDUs. */
  #text(bhs: Buffer, data: Buffer): void {
    const isNew = bhs.readUInt32BE(AT.targetTransferTag) === TAG_NONE;
    const isKnown = bhs.readUInt32BE(AT.targetTransferTag) === TRANSFER_TAG_TEXT && this.#isTextOpen;
    if (!isNew && !isKnown) {
      this.#reject(bhs, REJECT_REASON.invalidPduField);
      return;
    }
    if (isNew) {
      this.#textIn = EMPTY;
      this.#textRest = EMPTY;
    }
    const continues = (bhs.readUInt8(1) & TEXT_CONTINUE) !== 0;
    if (this.#textIn.length + data.length > TEXT_BYTES_MAX) throw new ProtocolError("too much text");
    this.#textIn = this.#textIn.length === 0 ? Buffer.from(data) : Buffer.concat([this.#textIn, data]);
    if (!continues && this.#textRest.length === 0) {
      try {
        this.#textRest = this.#answerText(decodeText(this.#textIn));
      } catch (error) {
        if (!(error instanceof ProtocolError)) throw error;
        this.#isTextOpen = false;
        this.#reject(bhs, REJECT_REASON.protocolError);
        return;
      } finally {
        this.#textIn = EMPTY;
      }
    }
    const most = Math.min(this.#parameters.maxRecvDataSegmentLength, SLOW_READ_BYTES);
    const part = continues ? EMPTY : this.#textRest.subarray(0, most);
    this.#textRest = this.#textRest.subarray(part.length);
    const more = this.#textRest.length > 0;
    const ends = !more && !continues && isFinal(bhs);
    this.#isTextOpen = !ends;
    const { transmitter } = this.connection;
    const at = transmitter.reserve(part.length);
    writeTextResponse(
      transmitter.slab,
      at,
      bhs.readUInt32BE(AT.initiatorTaskTag),
      (ends ? FINAL : 0) | (more ? TEXT_CONTINUE : 0),
      ends ? TAG_NONE : TRANSFER_TAG_TEXT,
      part.length,
      this.#withStatus(),
    );
    part.copy(transmitter.slab, transmitter.dataOffset(at));
    transmitter.commit(at, part.length);
  }

  /** SendTargets, and what the initiator takes in one data segment from now on (RFC 7143, 13.12). */
  #answerText(keys: readonly [string, string][]): Buffer {
    const isLength = ([key]: readonly [string, string]) => key === "MaxRecvDataSegmentLength";
    const settled = negotiate(keys.filter(isLength), this.#parameters, false);
    const others = keys.filter((pair) => !isLength(pair));
    const portals = this.#host.portalsFor(this.connection);
    const found = sendTargetsText(others, this.#host.directory, this.entry, portals);
    return Buffer.concat([encodeText(settled), found]);
  }

  #logout(bhs: Buffer): void {
    const reason = bhs.readUInt8(1) & 0x7f;
    if (reason > LOGOUT_REASON.recovery) {
      this.#reject(bhs, REJECT_REASON.invalidPduField);
      return;
    }
    let response = LOGOUT_RESPONSE.closed;
    if (reason === LOGOUT_REASON.recovery) response = LOGOUT_RESPONSE.recoveryNotSupported;
    else if (reason === LOGOUT_REASON.connection && bhs.readUInt16BE(20) !== this.#cid) {
      response = LOGOUT_RESPONSE.noSuchConnection;
    }
    const { transmitter } = this.connection;
    const at = transmitter.reserve(0);
    const tag = bhs.readUInt32BE(AT.initiatorTaskTag);
    writeLogoutResponse(transmitter.slab, at, tag, response, this.#withStatus());
    transmitter.commit(at, 0);
    if (response === LOGOUT_RESPONSE.closed) this.connection.end();
  }

  #taskManagement(bhs: Buffer): void {
    if (this.#managing >= MANAGING_MAX) {
      this.#respondToManagement(bhs, TASK_RESPONSE.rejected);
      return;
    }
    this.#managing += 1;
    const header = Buffer.from(bhs.subarray(0, BHS_BYTES));
    const done = this.#manage(header).then(
      (response) => response,
      () => TASK_RESPONSE.rejected,
    );
    // The response says that the tasks touch nothing any more: it waits until that is so.
    void done.then((response) => {
      this.#managing -= 1;
      this.connection.later(() => this.#respondToManagement(header, response));
      const isColdReset = (header.readUInt8(1) & 0x7f) === TASK_MANAGEMENT.coldReset;
      if (!isColdReset || response !== TASK_RESPONSE.complete || this.entry === undefined) return;
      for (const session of [...this.#host.sessionsOf(this.entry)]) session.connection.end();
    });
  }

  #respondToManagement(bhs: Buffer, response: number): void {
    const { transmitter } = this.connection;
    const at = transmitter.reserve(0);
    const tag = bhs.readUInt32BE(AT.initiatorTaskTag);
    writeTaskManagementResponse(transmitter.slab, at, tag, response, this.#withStatus());
    transmitter.commit(at, 0);
  }

  async #manage(bhs: Buffer): Promise<number> {
    const { entry } = this;
    const action = bhs.readUInt8(1) & 0x7f;
    const forTarget = action === TASK_MANAGEMENT.warmReset || action === TASK_MANAGEMENT.coldReset;
    if (entry === undefined || (!forTarget && lunOf(bhs) !== 0)) return TASK_RESPONSE.noLun;
    if (action === TASK_MANAGEMENT.abortTask) return this.#abortTask(bhs.readUInt32BE(20));
    if (action === TASK_MANAGEMENT.abortTaskSet) {
      await this.abortTasks();
      return TASK_RESPONSE.complete;
    }
    if (forTarget || action === TASK_MANAGEMENT.lunReset || action === TASK_MANAGEMENT.clearTaskSet) {
      const sessions = [...this.#host.sessionsOf(entry)];
      const isReset = action !== TASK_MANAGEMENT.clearTaskSet;
      if (!isReset) for (const session of sessions) if (session !== this) session.attendCleared();
      await Promise.all(sessions.map((session) => session.abortTasks()));
      if (isReset) this.#unit?.reset();
      return TASK_RESPONSE.complete;
    }
    if (action === TASK_MANAGEMENT.reassign) return TASK_RESPONSE.noReassignment;
    return TASK_RESPONSE.notSupported;
  }

  async #abortTask(tag: number): Promise<number> {
    const collecting = this.#collecting.get(tag);
    if (collecting !== undefined) {
      this.#endCollecting(collecting);
      this.#giveBack(collecting);
      return TASK_RESPONSE.complete;
    }
    const held = this.#held.get(tag);
    if (held !== undefined) {
      this.#held.delete(tag);
      if (held.owner !== undefined) this.#giveBack(held.owner);
      return TASK_RESPONSE.complete;
    }
    const running = this.#running.get(tag);
    if (running === undefined) return TASK_RESPONSE.noTask;
    abortTask(running);
    await running.done;
    return TASK_RESPONSE.complete;
  }

  #reject(bhs: Buffer, reason: number): void {
    const { transmitter } = this.connection;
    const at = transmitter.reserve(BHS_BYTES);
    writeReject(transmitter.slab, at, reason, this.#withStatus());
    bhs.copy(transmitter.slab, transmitter.dataOffset(at), 0, BHS_BYTES);
    transmitter.commit(at, BHS_BYTES);
  }
}

const GOOD: FailedCommand = { status: STATUS.good, sense: undefined };

/** Overflow: the command had more than the initiator expected; underflow: less (RFC 7143, 11.4.5). */
function residualFlags(lengthBytes: number, expected: number): number {
  if (lengthBytes === expected) return 0;
  return lengthBytes > expected ? OVERFLOW : UNDERFLOW;
}
