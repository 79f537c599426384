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
  FINAL,
  isFinal,
  isImmediate,
  lunOf,
  opcodeOf,
  REQUEST,
  TAG_NONE,
} from "../iscsi/bhs.ts";
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
import { decodeText } from "../iscsi/text-keys.ts";
import type { BlockDevice } from "../scsi/block-device.ts";
import type { UnitIdentity } from "../scsi/command.ts";
import { executeCommand, executeWithoutUnit } from "../scsi/logical-unit.ts";
import { encodeSense, type FailedCommand, failureOf, type SenseCode, STATUS } from "../scsi/sense.ts";
import { decodeTransfer, makeTransfer } from "../scsi/transfer.ts";
import type { Connection } from "./connection.ts";
import type { DataBuffers } from "./data-buffers.ts";
import type { ChapCredential, TargetDirectory, TargetEntry } from "./directory.ts";
import { sendTargetsText } from "./discovery.ts";
import type { TargetLimits } from "./limits.ts";
import type { LoggedIn } from "./login.ts";
import { WriteTask } from "./write-task.ts";

export interface SessionHost {
  readonly directory: TargetDirectory;
  readonly limits: TargetLimits;
  readonly buffers: DataBuffers;
  /** Other sessions on the same target: a LUN or target reset reaches them too. */
  sessionsOf(entry: TargetEntry): Iterable<Session>;
}

const FLAG_READ = 0x40;
const FLAG_WRITE = 0x20;
const TEXT_CONTINUE = 0x40;
const TRANSFER_TAG_TEXT = 1;
const PING_TAG = 0xfffffffe;
const EMPTY = Buffer.alloc(0);
/** Cut off what a slow reader asked for into parts of this size. */
const SLOW_READ_BYTES = 256 * 1024;

const TASK_MANAGEMENT = {
  abortTask: 1,
  abortTaskSet: 2,
  clearTaskSet: 4,
  lunReset: 5,
  warmReset: 6,
  coldReset: 7,
};
const TASK_RESPONSE = { complete: 0, noTask: 1, noLun: 2, notSupported: 5 };
/** INQUIRY, REPORT LUNS and REQUEST SENSE are carried out whatever attention is due (SAM-5, 5.14.1). */
const UNATTENTIVE = new Set([0x12, 0xa0, 0x03]);
const ASYNC_EVENT = { logoutRequested: 1 };
const LOGOUT_WITHIN_S = 3;

/** A command that is being carried out beyond the hot path. */
interface RunningTask {
  aborted: boolean;
  readonly done: Promise<void>;
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
  readonly #identity: UnitIdentity | undefined;
  readonly #collecting = new Map<number, WriteTask>();
  /** The task whose buffer the receiver is filling. */
  #lent: WriteTask | undefined;
  readonly #running = new Map<number, RunningTask>();
  readonly #counters: Counters;
  readonly #transfer = makeTransfer();
  #bufferBytes = 0;
  #transferTag = 1;
  #textRest: Buffer = EMPTY;
  #drainWaiters: (() => void)[] = [];
  #closed = false;
  /** A unit attention condition that the initiator has not been told of. */
  #attention: SenseCode | undefined;
  /** Commands of an earlier session of this initiator still touch the device: ours come after them. */
  #barrier: Promise<void> | undefined;

  constructor(connection: Connection, loggedIn: LoggedIn, host: SessionHost, after: readonly Session[]) {
    this.connection = connection;
    this.initiatorName = loggedIn.initiatorName;
    this.isid = loggedIn.isid;
    this.tsih = loggedIn.tsih;
    this.entry = loggedIn.entry;
    this.credential = loggedIn.credential;
    this.#host = host;
    this.#parameters = loggedIn.parameters;
    this.#identity =
      loggedIn.entry === undefined
        ? undefined
        : { ...loggedIn.entry.identity, targetName: loggedIn.entry.targetName };
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
      case REQUEST.login:
        throw new ProtocolError("a login request in full feature phase");
      case REQUEST.snack:
        this.#reject(bhs, REJECT_REASON.snack);
        break;
      default:
        this.#reject(bhs, REJECT_REASON.commandNotSupported);
    }
  }

  /** The data segment of a Data-Out PDU goes straight to its place, if it is the one that is due. */
  collectInto(bhs: Buffer, lengthBytes: number): Buffer | undefined {
    if (opcodeOf(bhs) !== REQUEST.dataOut || lengthBytes === 0) return undefined;
    const task = this.#collecting.get(bhs.readUInt32BE(AT.initiatorTaskTag));
    if (task === undefined || task.check(bhs, lengthBytes) !== undefined) return undefined;
    this.#lent = task;
    return task.place(lengthBytes);
  }

  onCollected(bhs: Buffer): void {
    const task = this.#lent;
    this.#lent = undefined;
    if (task === undefined) return;
    if (this.#collecting.get(task.initiatorTaskTag) === task) this.#tookData(task, bhs, bhs.readUIntBE(5, 3));
    // Task management of another session has ended the task while its data was coming in.
    else this.#giveBack(task);
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

  /** The next command is answered with this unit attention condition (SAM-5, 5.14). A newer one replaces it. */
  attend(condition: SenseCode): void {
    this.#attention = condition;
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

  /** The connection is gone: what was collected is dropped, what is running ends unheard. */
  close(): void {
    this.#closed = true;
    for (const task of this.#collecting.values()) this.#giveBack(task);
    this.#collecting.clear();
    for (const task of this.#running.values()) task.aborted = true;
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
    const running = [...this.#running.values()];
    for (const task of running) task.aborted = true;
    await Promise.all(running.map((task) => task.done));
  }

  /** CmdSN order (RFC 7143, 4.2.2.1). One connection delivers in order, so what is not due is a stray: ignored. */
  #inOrder(bhs: Buffer): boolean {
    if (isImmediate(bhs)) return true;
    if (bhs.readUInt32BE(AT.cmdSN) !== this.#counters.expCmdSN) return false;
    this.#counters.expCmdSN = serialAdd(this.#counters.expCmdSN, 1);
    return true;
  }

  /** The counters as they stand; the window closes as commands pile up, and never moves back. */
  #current(): Counters {
    const open = this.#host.limits.tasksPerSessionMax - this.#running.size - this.#collecting.size;
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
    if (isWrite && data.length < expected) {
      this.#beginCollecting(bhs, data, expected);
      return;
    }
    this.#execute(bhs, isWrite ? data.subarray(0, expected) : EMPTY, undefined);
  }

  #beginCollecting(bhs: Buffer, data: Buffer, expected: number): void {
    if (data.length > 0 && !this.#parameters.immediateData)
      throw new ProtocolError("immediate data was not agreed");
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
    if (this.#collecting.has(task.initiatorTaskTag)) throw new ProtocolError("a task tag in use");
    data.copy(buffer);
    task.receivedBytes = data.length;
    this.#collecting.set(task.initiatorTaskTag, task);
    // The F bit says that no unsolicited data follows.
    if (isFinal(bhs)) this.#solicit(task);
  }

  #dataOut(bhs: Buffer, data: Buffer): void {
    const task = this.#collecting.get(bhs.readUInt32BE(AT.initiatorTaskTag));
    if (task === undefined) return;
    const fault = task.check(bhs, data.length);
    if (fault !== undefined) {
      this.#endCollecting(task);
      this.#respond(task.bhs, failureOf(new ProtocolError(`Data-Out ${fault}`), true), 0, 0);
      this.#giveBack(task);
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
    const { entry } = this;
    assert(entry !== undefined);
    if (this.#barrier !== undefined) {
      this.#executeAfter(this.#barrier, bhs, dataOut, owner);
      return;
    }
    const cdb = bhs.subarray(AT.cdb, AT.cdb + 16);
    if (lunOf(bhs) !== 0) {
      this.#runOther(bhs, dataOut, owner, undefined);
      return;
    }
    if (this.#attention !== undefined && !UNATTENTIVE.has(cdb.readUInt8(0))) {
      const sense = encodeSense(this.#attention);
      this.#attention = undefined;
      this.#respond(bhs, { status: STATUS.checkCondition, sense }, 0, 0);
      if (owner !== undefined) this.#giveBack(owner);
      return;
    }
    const { device } = entry;
    const transfer = this.#transfer;
    let isTransfer: boolean;
    try {
      isTransfer = decodeTransfer(cdb, device, transfer);
    } catch (error) {
      this.#respond(bhs, failureOf(error, false), 0, 0);
      if (owner !== undefined) this.#giveBack(owner);
      return;
    }
    if (!isTransfer) this.#runOther(bhs, dataOut, owner, device);
    else if (transfer.write) this.#write(bhs, dataOut, owner, device);
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
    const header = Buffer.from(bhs);
    const data = owner === undefined ? Buffer.from(dataOut) : dataOut;
    void barrier.then(() => {
      if (!this.#closed) this.connection.later(() => this.#execute(header, data, owner));
      else if (owner !== undefined) this.#giveBack(owner);
    });
  }

  #write(bhs: Buffer, dataOut: Buffer, owner: WriteTask | undefined, device: BlockDevice): void {
    const { offsetBytes, lengthBytes, fua } = this.#transfer;
    const expected = bhs.readUInt32BE(AT.expectedDataTransferLength);
    const usable = Math.min(lengthBytes, dataOut.length);
    const length = usable - (usable % device.logicalBlockBytes);
    let inline: boolean;
    try {
      inline = length === 0 || device.tryWrite(offsetBytes, dataOut, 0, length);
    } catch (error) {
      this.#respond(bhs, failureOf(error, true), 0, 0);
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
      if (!inline) await device.write(offsetBytes, data, 0, length);
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
      this.#respond(bhs, failureOf(error, false), 0, 0);
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

  /** Any command but READ and WRITE; without a device, one for a LUN that is not there. */
  #runOther(
    bhs: Buffer,
    dataOut: Buffer,
    owner: WriteTask | undefined,
    device: BlockDevice | undefined,
  ): void {
    const header = Buffer.from(bhs);
    const cdb = header.subarray(AT.cdb, AT.cdb + 16);
    const data = owner === undefined ? Buffer.from(dataOut) : dataOut;
    const identity = this.#identity;
    const hasDataOut = (header.readUInt8(1) & FLAG_WRITE) !== 0;
    let dataIn: Buffer | undefined;
    const action = async () => {
      const result =
        device === undefined || identity === undefined
          ? await executeWithoutUnit(cdb)
          : await executeCommand(cdb, data, device, identity);
      dataIn = result.dataIn;
    };
    this.#run(header, owner, hasDataOut, action, () => this.#respondData(header, dataIn, hasDataOut));
  }

  /** Runs `action` as a task that can be aborted; `respond` sends its answer unless it was. */
  #run(
    bhs: Buffer,
    owner: WriteTask | undefined,
    isWrite: boolean,
    action: () => Promise<void>,
    respond: () => void,
  ): void {
    const tag = bhs.readUInt32BE(AT.initiatorTaskTag);
    if (this.#running.has(tag)) throw new ProtocolError("a task tag in use");
    const finish = (answer: () => void) => {
      this.#running.delete(tag);
      if (owner !== undefined) this.#giveBack(owner);
      if (!task.aborted && !this.#closed) this.connection.later(answer);
    };
    // Registered before it starts: an action may ask whether it was aborted.
    const start = Promise.resolve().then(action);
    const done = start.then(
      () => finish(respond),
      (error: unknown) => finish(() => this.#respond(bhs, failureOf(error, isWrite), 0, 0)),
    );
    const task: RunningTask = { aborted: false, done };
    this.#running.set(tag, task);
  }

  #respondData(bhs: Buffer, dataIn: Buffer | undefined, hasDataOut: boolean): void {
    const expected = bhs.readUInt32BE(AT.expectedDataTransferLength);
    const length = dataIn?.length ?? 0;
    const total = (bhs.readUInt8(1) & FLAG_READ) !== 0 ? Math.min(length, expected) : 0;
    if (dataIn === undefined || total === 0) {
      // A command without Data-In has used what Data-Out there was: no residual to tell.
      this.#respondGood(bhs, hasDataOut ? expected : length, expected);
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

  #text(bhs: Buffer, data: Buffer): void {
    const continues = bhs.readUInt32BE(AT.targetTransferTag) === TRANSFER_TAG_TEXT;
    const answer = continues
      ? this.#textRest
      : sendTargetsText(decodeText(data), this.#host.directory, this.entry, this.connection);
    const most = Math.min(this.#parameters.maxRecvDataSegmentLength, SLOW_READ_BYTES);
    const length = Math.min(answer.length, most);
    this.#textRest = answer.subarray(length);
    const more = this.#textRest.length > 0;
    const { transmitter } = this.connection;
    const at = transmitter.reserve(length);
    writeTextResponse(
      transmitter.slab,
      at,
      bhs.readUInt32BE(AT.initiatorTaskTag),
      more ? TEXT_CONTINUE : FINAL,
      more ? TRANSFER_TAG_TEXT : TAG_NONE,
      length,
      this.#withStatus(),
    );
    answer.copy(transmitter.slab, transmitter.dataOffset(at), 0, length);
    transmitter.commit(at, length);
  }

  #logout(bhs: Buffer): void {
    const { transmitter } = this.connection;
    const at = transmitter.reserve(0);
    writeLogoutResponse(transmitter.slab, at, bhs.readUInt32BE(AT.initiatorTaskTag), 0, this.#withStatus());
    transmitter.commit(at, 0);
    this.connection.end();
  }

  #taskManagement(bhs: Buffer): void {
    const header = Buffer.from(bhs.subarray(0, BHS_BYTES));
    const done = this.#manage(header).then(
      (response) => response,
      () => TASK_RESPONSE.notSupported,
    );
    // The response says that the tasks touch nothing any more: it waits until that is so.
    void done.then((response) =>
      this.connection.later(() => {
        const { transmitter } = this.connection;
        const at = transmitter.reserve(0);
        const tag = header.readUInt32BE(AT.initiatorTaskTag);
        writeTaskManagementResponse(transmitter.slab, at, tag, response, this.#withStatus());
        transmitter.commit(at, 0);
      }),
    );
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
      await Promise.all([...this.#host.sessionsOf(entry)].map((session) => session.abortTasks()));
      return TASK_RESPONSE.complete;
    }
    return TASK_RESPONSE.notSupported;
  }

  async #abortTask(tag: number): Promise<number> {
    const collecting = this.#collecting.get(tag);
    if (collecting !== undefined) {
      this.#endCollecting(collecting);
      this.#giveBack(collecting);
      return TASK_RESPONSE.complete;
    }
    const running = this.#running.get(tag);
    if (running === undefined) return TASK_RESPONSE.noTask;
    running.aborted = true;
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
