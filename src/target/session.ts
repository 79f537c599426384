/**
 * A session in full feature phase: commands in the order of their CmdSN, each carried out on the logical unit.
 *
 * The hot path (READ and WRITE that the device serves inline) makes no promise and no buffer: reads go from the device
 * into the transmit slab, small writes from the receive buffer into the device. A write is given to the device once,
 * whole, so that a cut never splits it, and after its digest was checked.
 */
import { strict as assert } from "node:assert";
import { AT, lunOf, opcodeOf, REQUEST, TAG_NONE } from "../iscsi/bhs.ts";
import { negotiate } from "../iscsi/negotiation.ts";
import { REJECT_REASON } from "../iscsi/pdu/responses.ts";
import { encodeText } from "../iscsi/text-keys.ts";
import type { BlockDevice } from "../scsi/block-device.ts";
import { type CommandResult, TRANSFER_BYTES_MAX } from "../scsi/command.ts";
import { admit, executeCommand, executeWithoutUnit } from "../scsi/command-table.ts";
import type { LogicalUnit } from "../scsi/logical-unit.ts";
import { Nexus } from "../scsi/nexus.ts";
import { CheckCondition, failureOf, SENSE, type SenseCode, STATUS } from "../scsi/sense.ts";
import { decodeTransfer, makeTransfer } from "../scsi/transfer.ts";
import type { Connection } from "./connection.ts";
import type { DataBuffers } from "./data-buffers.ts";
import type { ChapCredential, TargetDirectory, TargetEntry } from "./directory.ts";
import { type Portal, sendTargetsText } from "./discovery.ts";
import type { TargetLimits } from "./limits.ts";
import type { LoggedIn } from "./login.ts";
import { ReadPath } from "./read-path.ts";
import { Responder, SEGMENT_BYTES_MAX } from "./responder.ts";
import { type ManagedSession, TaskManagement } from "./task-management.ts";
import { TextExchange } from "./text-exchange.ts";
import { WriteCollector, type WriteSink } from "./write-collector.ts";
import { DATA_FAULT, type WriteTask } from "./write-task.ts";

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
const ATTRIBUTE = 0x07;
/** Untagged, simple, ordered, head of queue; behind them ACA and what is reserved (RFC 7143, 11.3.1). */
const ATTRIBUTE_MAX = 3;
const EMPTY = Buffer.alloc(0);
const TASK_SET_FULL = { status: STATUS.taskSetFull, sense: undefined };
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

export class Session implements ManagedSession, WriteSink {
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
  readonly #responder: Responder;
  readonly #reads: ReadPath;
  readonly #writes: WriteCollector;
  readonly #text: TextExchange;
  readonly #management: TaskManagement | undefined;
  readonly #running = new Map<number, RunningTask>();
  /** Commands that wait for the barrier. */
  readonly #held = new Map<number, { readonly owner: WriteTask | undefined }>();
  readonly #cid: number;
  readonly #transfer = makeTransfer();
  #closed = false;
  /** Commands of an earlier session of this initiator still touch the device: ours come after them. */
  #barrier: Promise<void> | undefined;

  constructor(connection: Connection, loggedIn: LoggedIn, host: SessionHost, after: readonly Session[]) {
    const { entry, parameters } = loggedIn;
    const { tasksPerSessionMax } = host.limits;
    const taskCount = () => this.#taskCount;
    this.connection = connection;
    this.initiatorName = loggedIn.initiatorName;
    this.isid = loggedIn.isid;
    this.tsih = loggedIn.tsih;
    this.#cid = loggedIn.cid;
    this.entry = entry;
    this.credential = loggedIn.credential;
    this.#host = host;
    this.#parameters = parameters;
    this.#unit = entry && host.unitOf(entry);
    this.#nexus = new Nexus(loggedIn.initiatorName, loggedIn.isid, () => this.abortTasks());
    this.#unit?.attach(this.#nexus);
    this.#responder = new Responder(
      connection.transmitter,
      parameters,
      loggedIn,
      tasksPerSessionMax,
      taskCount,
    );
    this.#reads = new ReadPath(connection, this.#responder, host.buffers);
    this.#writes = new WriteCollector(parameters, host.buffers, host.limits, this.#responder, this);
    this.#text = new TextExchange((keys) => this.#answerText(keys));
    if (entry !== undefined && this.#unit !== undefined) {
      this.#management = new TaskManagement(this, () => host.sessionsOf(entry), this.#unit);
    }
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
      this.#writes.dataOut(bhs, data);
      return;
    }
    if (!NUMBERED.has(opcode)) {
      // A request that nobody knows may have used up a number all the same.
      if (!(opcode in UNNUMBERED_REASON)) this.#responder.inOrder(bhs);
      this.#responder.reject(bhs, UNNUMBERED_REASON[opcode] ?? REJECT_REASON.commandNotSupported);
      return;
    }
    if (!this.#responder.inOrder(bhs)) return;
    // The reserved tag names no task that could be answered; a NOP-Out with it wants no answer (RFC 7143, 11.2.1.8).
    if (opcode !== REQUEST.nopOut && bhs.readUInt32BE(AT.initiatorTaskTag) === TAG_NONE) {
      this.#responder.reject(bhs, REJECT_REASON.invalidPduField);
      return;
    }
    switch (opcode) {
      case REQUEST.scsiCommand:
        if (this.entry === undefined) this.#responder.reject(bhs, REJECT_REASON.protocolError);
        else this.#command(bhs, data);
        break;
      case REQUEST.nopOut:
        // An answer to our own ping: that it came is all there is to know.
        if (bhs.readUInt32BE(AT.initiatorTaskTag) !== TAG_NONE) this.#responder.pong(bhs, data);
        break;
      case REQUEST.text:
        this.#textRequest(bhs, data);
        break;
      case REQUEST.logout:
        this.#logout(bhs);
        break;
      case REQUEST.taskManagement:
        this.#taskManagement(bhs);
        break;
    }
  }

  /** The data of a PDU has not kept its digest (RFC 7143, 7.7): the PDU is rejected, its command ends. */
  onDataDigestError(bhs: Buffer): void {
    this.#responder.reject(bhs, REJECT_REASON.dataDigestError);
    const opcode = opcodeOf(bhs);
    if (opcode === REQUEST.dataOut) {
      this.#writes.damaged(bhs);
      return;
    }
    // The header was whole: its number is used up.
    if (!NUMBERED.has(opcode) || !this.#responder.inOrder(bhs)) return;
    if (opcode !== REQUEST.scsiCommand || this.#isTagInUse(bhs.readUInt32BE(AT.initiatorTaskTag))) return;
    this.#fail(bhs, DATA_FAULT.protocolServiceCrcError);
  }

  /** The data segment of a Data-Out PDU goes straight to its place, if it is the one that is due. */
  collectInto(bhs: Buffer, lengthBytes: number): Buffer | undefined {
    return this.#writes.collectInto(bhs, lengthBytes);
  }

  onCollected(bhs: Buffer, isRight: boolean): void {
    if (!this.#writes.onCollected(bhs, isRight)) this.onDataDigestError(bhs);
  }

  collected(task: WriteTask): void {
    this.#execute(task.bhs, task.buffer.subarray(0, task.expectedBytes), task);
  }

  failed(task: WriteTask, fault: SenseCode): void {
    this.#fail(task.bhs, fault, task.r2tCount);
  }

  /** The peer has taken all that was sent. */
  onDrained(): void {
    this.#reads.onDrained();
  }

  /** How often this was asked while the data of the same write did not come. */
  countStalls(): number {
    return this.#writes.countStalls();
  }

  /** Asks the initiator whether it is there. */
  ping(): void {
    this.#responder.ping();
  }

  /** Asks the initiator to log out, as before a shutdown. */
  requestLogout(): void {
    this.connection.later(() => this.#responder.requestLogout());
  }

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
    this.#writes.close();
    this.#dropHeld();
    for (const task of this.#running.values()) abortTask(task);
    this.onDrained();
  }

  /** Resolves when no command of this session touches the device any more. */
  async settled(): Promise<void> {
    await Promise.all([...this.#running.values()].map((task) => task.done));
  }

  async abortTasks(): Promise<void> {
    this.#writes.dropAll();
    this.#dropHeld();
    const running = [...this.#running.values()];
    for (const task of running) abortTask(task);
    this.#reads.onDrained();
    await Promise.all(running.map((task) => task.done));
  }

  async abortTask(tag: number): Promise<boolean> {
    if (this.#writes.drop(tag)) return true;
    const held = this.#held.get(tag);
    if (held !== undefined) {
      this.#held.delete(tag);
      if (held.owner !== undefined) this.#giveBack(held.owner);
      return true;
    }
    const running = this.#running.get(tag);
    if (running === undefined) return false;
    abortTask(running);
    this.#reads.onDrained();
    await running.done;
    return true;
  }

  #command(bhs: Buffer, data: Buffer): void {
    const expected = bhs.readUInt32BE(AT.expectedDataTransferLength);
    const flags = bhs.readUInt8(1);
    const isWrite = (flags & FLAG_WRITE) !== 0;
    if (this.#isTagInUse(bhs.readUInt32BE(AT.initiatorTaskTag))) {
      this.#responder.reject(bhs, REJECT_REASON.invalidPduField);
      return;
    }
    // Immediate commands keep to no window.
    if (this.#taskCount >= this.#host.limits.tasksPerSessionMax + IMMEDIATE_TASKS_MAX) {
      this.#responder.status(bhs, TASK_SET_FULL, 0);
      return;
    }
    // No command here goes both ways, and there is no ACA to belong to.
    if ((isWrite && (flags & FLAG_READ) !== 0) || (flags & ATTRIBUTE) > ATTRIBUTE_MAX) {
      this.#fail(bhs, SENSE.invalidFieldInCommandInformationUnit);
      return;
    }
    const { immediateData, firstBurstLength } = this.#parameters;
    const immediateMax = isWrite && immediateData ? Math.min(expected, firstBurstLength) : 0;
    if (data.length > immediateMax) {
      this.#fail(bhs, DATA_FAULT.unexpectedUnsolicitedData);
      return;
    }
    if (!isWrite || data.length === expected) {
      this.#execute(bhs, data, undefined);
      return;
    }
    // No command writes so much: a buffer of that size is not even asked for.
    if (expected > TRANSFER_BYTES_MAX) this.#fail(bhs, SENSE.invalidFieldInCdb);
    // What the initiator sends unasked for this command belongs to no task then, and is passed over.
    else if (!this.#writes.begin(bhs, data, expected)) this.#responder.status(bhs, TASK_SET_FULL, 0);
  }

  /** Tasks that are not answered yet. */
  get #taskCount(): number {
    return this.#running.size + this.#writes.size + this.#held.size;
  }

  #isTagInUse(tag: number): boolean {
    return this.#writes.has(tag) || this.#running.has(tag) || this.#held.has(tag);
  }

  /** Ends a command with CHECK CONDITION. */
  #fail(bhs: Buffer, code: SenseCode, expDataSN = 0): void {
    this.#respondFailed(bhs, new CheckCondition(code), true, expDataSN);
  }

  #giveBack(task: WriteTask): void {
    this.#writes.giveBack(task);
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
      this.#respondFailed(bhs, error, false, owner?.r2tCount ?? 0);
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
    // What goes the other way, or is not announced, is no room for this command's data.
    const hasDataOut = (bhs.readUInt8(1) & FLAG_WRITE) !== 0;
    const expected = hasDataOut ? bhs.readUInt32BE(AT.expectedDataTransferLength) : 0;
    const usable = Math.min(lengthBytes, dataOut.length);
    const length = usable - (usable % device.logicalBlockBytes);
    const expDataSN = owner?.r2tCount ?? 0;
    let inline: boolean;
    try {
      inline = length === 0 || (locks.isFree && device.tryWrite(offsetBytes, dataOut, 0, length));
    } catch (error) {
      this.#respondFailed(bhs, error, true, expDataSN);
      if (owner !== undefined) this.#giveBack(owner);
      return;
    }
    if (inline && !fua) {
      if (owner !== undefined) this.#giveBack(owner);
      this.#responder.good(bhs, lengthBytes, expected, expDataSN);
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
    const respond = () => this.#responder.good(header, lengthBytes, expected, expDataSN);
    this.#run(header, owner, true, action, respond, () => expDataSN);
  }

  #read(bhs: Buffer, device: BlockDevice): void {
    const { offsetBytes, lengthBytes } = this.#transfer;
    const hasDataIn = (bhs.readUInt8(1) & FLAG_READ) !== 0;
    const expected = hasDataIn ? bhs.readUInt32BE(AT.expectedDataTransferLength) : 0;
    const total = Math.min(lengthBytes, expected);
    if (total === 0) {
      this.#responder.good(bhs, lengthBytes, expected, 0);
      return;
    }
    const progress = { done: 0, dataSN: 0 };
    try {
      if (this.#reads.inline(bhs, device, offsetBytes, total, lengthBytes, progress)) return;
    } catch (error) {
      this.#respondFailed(bhs, error, false, progress.dataSN);
      return;
    }
    const header = Buffer.from(bhs);
    const tag = header.readUInt32BE(AT.initiatorTaskTag);
    const isWanted = () => !this.#closed && this.#running.get(tag)?.aborted === false;
    const action = () =>
      this.#reads.slowly(header, device, offsetBytes, total, lengthBytes, progress, isWanted);
    this.#run(
      header,
      undefined,
      false,
      action,
      () => {},
      () => progress.dataSN,
    );
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
    const respond = () => this.#respondData(header, result, hasDataOut, owner?.r2tCount ?? 0);
    this.#run(header, owner, hasDataOut, action, respond, () => owner?.r2tCount ?? 0, abort);
  }

  /** Runs `action` as a task that can be aborted; `respond` sends its answer unless it was. */
  #run(
    bhs: Buffer,
    owner: WriteTask | undefined,
    isWrite: boolean,
    action: () => Promise<void>,
    respond: () => void,
    expDataSN: () => number,
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
      (error: unknown) => finish(() => this.#respondFailed(bhs, error, isWrite, expDataSN())),
    );
    const task: RunningTask = { aborted: false, abort, done };
    this.#running.set(tag, task);
  }

  #respondData(
    bhs: Buffer,
    { dataIn, dataOutBytes }: CommandResult,
    hasDataOut: boolean,
    expDataSN: number,
  ): void {
    const expected = bhs.readUInt32BE(AT.expectedDataTransferLength);
    const length = dataIn?.length ?? 0;
    const total = (bhs.readUInt8(1) & FLAG_READ) !== 0 ? Math.min(length, expected) : 0;
    if (dataIn === undefined || total === 0) {
      // A command that says nothing of its Data-Out has used what there was: no residual to tell.
      this.#responder.good(bhs, dataOutBytes ?? (hasDataOut ? expected : length), expected, expDataSN);
      return;
    }
    const { transmitter } = this.connection;
    const progress = { done: 0, dataSN: 0 };
    while (progress.done < total) {
      const part = this.#responder.segmentLength(progress.done, total);
      const at = transmitter.reserve(part);
      dataIn.copy(transmitter.slab, transmitter.dataOffset(at), progress.done, progress.done + part);
      this.#responder.dataIn(bhs, at, part, total, length, progress);
    }
  }

  #respondFailed(bhs: Buffer, error: unknown, isWrite: boolean, expDataSN: number): void {
    const descriptorFormat = this.#unit?.modes.descriptorSense === true;
    this.#responder.status(bhs, failureOf(error, isWrite, descriptorFormat), expDataSN);
  }

  #textRequest(bhs: Buffer, data: Buffer): void {
    const most = Math.min(this.#parameters.maxRecvDataSegmentLength, SEGMENT_BYTES_MAX);
    const part = this.#text.step(bhs, data, most);
    if (typeof part === "number") this.#responder.reject(bhs, part);
    else this.#responder.text(bhs, part);
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
      this.#responder.reject(bhs, REJECT_REASON.invalidPduField);
      return;
    }
    let response = LOGOUT_RESPONSE.closed;
    if (reason === LOGOUT_REASON.recovery) response = LOGOUT_RESPONSE.recoveryNotSupported;
    else if (reason === LOGOUT_REASON.connection && bhs.readUInt16BE(20) !== this.#cid) {
      response = LOGOUT_RESPONSE.noSuchConnection;
    }
    this.#responder.logout(bhs, response);
    if (response === LOGOUT_RESPONSE.closed) this.connection.end();
  }

  #taskManagement(bhs: Buffer): void {
    const { entry } = this;
    if (entry === undefined || this.#management === undefined) {
      this.#responder.reject(bhs, REJECT_REASON.protocolError);
      return;
    }
    this.#management.request(bhs, (header, response, isColdReset) => {
      this.connection.later(() => this.#responder.taskManagement(header, response));
      if (!isColdReset) return;
      for (const session of [...this.#host.sessionsOf(entry)]) session.connection.end();
    });
  }
}
