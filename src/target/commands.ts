/**
 * The SCSI commands of a session, from the SCSI Command PDU on (RFC 7143, 11.3): which are taken, which have to wait for
 * data or for others, and how they are ended from outside. What a command does is in command-executor.ts.
 */
import { AT, FLAG_READ, FLAG_WRITE } from "../iscsi/bhs.ts";
import type { SessionParameters } from "../iscsi/negotiation.ts";
import { REJECT_REASON } from "../iscsi/pdu/responses.ts";
import { TRANSFER_BYTES_MAX } from "../scsi/command.ts";
import type { LogicalUnit } from "../scsi/logical-unit.ts";
import type { Nexus } from "../scsi/nexus.ts";
import { CheckCondition, SENSE, type SenseCode, STATUS } from "../scsi/sense.ts";
import { CommandExecutor } from "./command-executor.ts";
import type { Connection } from "./connection.ts";
import type { DataBuffers } from "./data-buffers.ts";
import type { TargetLimits } from "./limits.ts";
import { ReadPath } from "./read-path.ts";
import type { Responder } from "./responder.ts";
import { ATTRIBUTE, TaskOrder } from "./task-order.ts";
import { TaskSet } from "./task-set.ts";
import { WriteCollector, type WriteSink } from "./write-collector.ts";
import { DATA_FAULT, type WriteTask } from "./write-task.ts";

const ATTRIBUTE_MASK = 0x07;
const TASK_SET_FULL = { status: STATUS.taskSetFull, sense: undefined };
/** Immediate commands beyond the window that are taken before they are told that the task set is full. */
const IMMEDIATE_TASKS_MAX = 16;

export class Commands implements WriteSink {
  readonly #connection: Connection;
  readonly #responder: Responder;
  readonly #parameters: SessionParameters;
  readonly #limits: TargetLimits;
  readonly #reads: ReadPath;
  readonly #writes: WriteCollector;
  readonly #tasks: TaskSet;
  readonly #executor: CommandExecutor;
  readonly #order = new TaskOrder((tag) => this.#isTagInUse(tag));
  /** Commands of an earlier session of this initiator still touch the device: ours come after them. */
  #barrier: Promise<void> | undefined;

  /** `after`: sessions of this initiator that have ended and may still have commands under way. */
  constructor(
    connection: Connection,
    responder: Responder,
    parameters: SessionParameters,
    limits: TargetLimits,
    buffers: DataBuffers,
    unit: LogicalUnit,
    nexus: Nexus,
    after: readonly { settled(): Promise<void> }[],
  ) {
    this.#connection = connection;
    this.#responder = responder;
    this.#parameters = parameters;
    this.#limits = limits;
    const giveBack = (task: WriteTask) => this.#writes.giveBack(task);
    this.#reads = new ReadPath(connection, responder, buffers);
    this.#writes = new WriteCollector(parameters, buffers, limits, responder, this);
    const onAborted = () => this.#reads.onDrained();
    this.#tasks = new TaskSet(giveBack, onAborted, () => this.#order.ended());
    this.#executor = new CommandExecutor(
      connection,
      responder,
      unit,
      nexus,
      this.#reads,
      this.#tasks,
      giveBack,
    );
    if (after.length === 0) return;
    this.#barrier = Promise.all(after.map((session) => session.settled())).then(() => {
      this.#barrier = undefined;
    });
  }

  /** Commands that are not answered yet. */
  get count(): number {
    return this.#writes.size + this.#tasks.size;
  }

  /** Whether commands still touch the device. */
  get isBusy(): boolean {
    return this.#tasks.isBusy;
  }

  /** A SCSI Command PDU, with its immediate data. */
  command(bhs: Buffer, data: Buffer): void {
    const expected = bhs.readUInt32BE(AT.expectedDataTransferLength);
    const flags = bhs.readUInt8(1);
    const isWrite = (flags & FLAG_WRITE) !== 0;
    const attribute = flags & ATTRIBUTE_MASK;
    if (this.#isTagInUse(bhs.readUInt32BE(AT.initiatorTaskTag))) {
      this.#responder.reject(bhs, REJECT_REASON.invalidPduField);
      return;
    }
    // Immediate commands keep to no window.
    if (this.count >= this.#limits.tasksPerSessionMax + IMMEDIATE_TASKS_MAX) {
      this.#responder.failed(bhs, TASK_SET_FULL, 0, 0);
      return;
    }
    // No command here goes both ways, and there is no ACA to belong to.
    if ((isWrite && (flags & FLAG_READ) !== 0) || attribute > ATTRIBUTE.headOfQueue) {
      this.#fail(bhs, SENSE.invalidFieldInCommandInformationUnit);
      return;
    }
    const { immediateData, firstBurstLength } = this.#parameters;
    const immediateMax = isWrite && immediateData ? Math.min(expected, firstBurstLength) : 0;
    if (data.length > immediateMax) {
      this.#fail(bhs, DATA_FAULT.unexpectedUnsolicitedData);
      return;
    }
    if (attribute > ATTRIBUTE.simple || !this.#order.isOpen) {
      const before = [...this.#writes.tags, ...this.#tasks.tags];
      this.#order.arrived(bhs.readUInt32BE(AT.initiatorTaskTag), attribute, before);
    }
    if (!isWrite || data.length === expected) this.#execute(bhs, data, undefined);
    else this.#collect(bhs, data, expected);
    this.#order.ended();
  }

  #collect(bhs: Buffer, data: Buffer, expected: number): void {
    // No command writes so much: a buffer of that size is not even asked for.
    if (expected > TRANSFER_BYTES_MAX) this.#fail(bhs, SENSE.invalidFieldInCdb);
    // What the initiator sends unasked for this command belongs to no task then, and is passed over.
    else if (!this.#writes.begin(bhs, data, expected)) this.#responder.failed(bhs, TASK_SET_FULL, 0, 0);
  }

  /** A Data-Out PDU. */
  dataOut(bhs: Buffer, data: Buffer): void {
    this.#writes.dataOut(bhs, data);
  }

  /** Where the data segment of a Data-Out PDU goes, if it is the one that is due. */
  collectInto(bhs: Buffer, lengthBytes: number): Buffer | undefined {
    return this.#writes.collectInto(bhs, lengthBytes);
  }

  /** The data that `collectInto` had a place for is there. Answers false where its digest is wrong and it matters. */
  onCollected(bhs: Buffer, isRight: boolean): boolean {
    return this.#writes.onCollected(bhs, isRight);
  }

  /** The data of a Data-Out PDU was damaged. */
  damagedDataOut(bhs: Buffer): void {
    this.#writes.damaged(bhs);
  }

  /** The immediate data of a SCSI Command PDU was damaged. */
  damaged(bhs: Buffer): void {
    if (this.#isTagInUse(bhs.readUInt32BE(AT.initiatorTaskTag))) return;
    this.#fail(bhs, DATA_FAULT.protocolServiceCrcError);
  }

  collected(task: WriteTask): void {
    this.#execute(task.bhs, task.buffer.subarray(0, task.expectedBytes), task);
  }

  failed(task: WriteTask, fault: SenseCode): void {
    this.#fail(task.bhs, fault, task.r2tCount);
    this.#order.ended();
  }

  /** The peer has taken all that was sent. */
  onDrained(): void {
    this.#reads.onDrained();
  }

  /** How often this was asked while the data of the same write did not come. */
  countStalls(): number {
    return this.#writes.countStalls();
  }

  /** Ends all commands unanswered; resolves when none of them touches the device any more. */
  async abortAll(): Promise<void> {
    this.#writes.dropAll();
    const ended = this.#tasks.abortAll();
    this.#order.ended();
    await ended;
  }

  /** Ends one, likewise; answers whether there was one. */
  async abort(tag: number): Promise<boolean> {
    const ended = this.#writes.drop(tag) || this.#tasks.abort(tag);
    this.#order.ended();
    return ended;
  }

  /** The connection is gone: what was collected is dropped, what is running ends unheard. */
  close(): void {
    this.#writes.close();
    this.#tasks.close();
  }

  /** Resolves when no command touches the device any more. */
  settled(): Promise<void> {
    return this.#tasks.settled();
  }

  #isTagInUse(tag: number): boolean {
    return this.#writes.has(tag) || this.#tasks.has(tag);
  }

  /** Ends a command with CHECK CONDITION. */
  #fail(bhs: Buffer, code: SenseCode, expDataSN = 0): void {
    this.#executor.respondFailed(bhs, new CheckCondition(code), true, expDataSN);
  }

  /**
   * Carries a command out whose data is all here. A write that an earlier session of the same initiator left behind must
   * not land on top of a newer one: commands wait until nothing of that session is under way, and keep their order. They
   * also wait where task attributes say so.
   */
  #execute(bhs: Buffer, dataOut: Buffer, owner: WriteTask | undefined): void {
    let barrier = this.#barrier;
    if (barrier === undefined && !this.#order.isOpen) {
      const tag = bhs.readUInt32BE(AT.initiatorTaskTag);
      if (this.#order.mustWait(tag)) barrier = this.#order.turnOf(tag);
    }
    if (barrier === undefined) {
      this.#executor.execute(bhs, dataOut, owner);
      this.#order.ended();
      return;
    }
    const header = Buffer.from(bhs);
    const data = owner === undefined ? Buffer.from(dataOut) : dataOut;
    const goOn = () => this.#connection.later(() => this.#execute(header, data, owner));
    this.#tasks.hold(header.readUInt32BE(AT.initiatorTaskTag), owner, barrier, goOn);
  }
}
