/** The writes of a session whose data is still coming in: their buffers, and what is asked for next (RFC 7143, 11.7, 11.8). */
import { AT, dataSegmentLengthOf, isFinal, opcodeOf, REQUEST, TAG_NONE } from "../iscsi/bhs.ts";
import type { SessionParameters } from "../iscsi/negotiation.ts";
import { serialAdd } from "../iscsi/serial.ts";
import type { SenseCode } from "../scsi/sense.ts";
import type { DataBuffers } from "./data-buffers.ts";
import type { TargetLimits } from "./limits.ts";
import type { Responder } from "./responder.ts";
import { DATA_FAULT, WriteTask } from "./write-task.ts";

/** Who carries the commands out. */
export interface WriteSink {
  /** The data of the command is all here; the task's buffer has to be given back. */
  collected(task: WriteTask): void;
  /** The command ends with this sense. */
  failed(task: WriteTask, fault: SenseCode): void;
}

type WriteLimits = Pick<TargetLimits, "sessionBufferBytesMax" | "sessionBufferShareBytes">;

export class WriteCollector {
  readonly #parameters: SessionParameters;
  readonly #buffers: DataBuffers;
  readonly #limits: WriteLimits;
  readonly #responder: Responder;
  readonly #sink: WriteSink;
  readonly #tasks = new Map<number, WriteTask>();
  /** The task whose buffer the receiver is filling. */
  #lent: WriteTask | undefined;
  #bufferBytes = 0;
  /** The oldest write when `countStalls` was asked last, what it had received, and for how many times now. */
  #watched: WriteTask | undefined;
  #seen = 0;
  #stalls = 0;
  #transferTag = 1;
  #closed = false;

  constructor(
    parameters: SessionParameters,
    buffers: DataBuffers,
    limits: WriteLimits,
    responder: Responder,
    sink: WriteSink,
  ) {
    this.#parameters = parameters;
    this.#buffers = buffers;
    this.#limits = limits;
    this.#responder = responder;
    this.#sink = sink;
  }

  get size(): number {
    return this.#tasks.size;
  }

  get tags(): Iterable<number> {
    return this.#tasks.keys();
  }

  has(tag: number): boolean {
    return this.#tasks.has(tag);
  }

  /**
   * How often this was asked while the write that waits for longest has had no data. A peer that asks for buffers and
   * does not fill them takes them from the others.
   */
  countStalls(): number {
    const [oldest] = this.#tasks.values();
    const isStalled = oldest !== undefined && oldest === this.#watched && oldest.receivedBytes === this.#seen;
    this.#stalls = isStalled ? this.#stalls + 1 : 0;
    this.#watched = oldest;
    this.#seen = oldest?.receivedBytes ?? 0;
    return this.#stalls;
  }

  /** Begins with a command whose immediate data is `data`; answers false where there is no buffer for it. */
  begin(bhs: Buffer, data: Buffer, expected: number): boolean {
    const { sessionBufferBytesMax, sessionBufferShareBytes } = this.#limits;
    const most = this.#buffers.isScarce ? sessionBufferShareBytes : sessionBufferBytesMax;
    const roomy = this.#bufferBytes + expected <= most;
    const buffer = roomy ? this.#buffers.take(expected) : undefined;
    if (buffer === undefined) return false;
    this.#bufferBytes += buffer.length;
    const task = new WriteTask(bhs, buffer, this.#parameters);
    data.copy(buffer);
    task.receivedBytes = data.length;
    this.#tasks.set(task.initiatorTaskTag, task);
    // The F bit says that no unsolicited data follows; with InitialR2T none may.
    if (isFinal(bhs) || this.#parameters.initialR2T) this.#solicit(task);
    return true;
  }

  /** A Data-Out PDU; one for a task that there is not is passed over. */
  dataOut(bhs: Buffer, data: Buffer): void {
    const task = this.#tasks.get(bhs.readUInt32BE(AT.initiatorTaskTag));
    if (task === undefined) return;
    const fault = task.check(bhs, data.length);
    if (fault !== undefined) {
      this.#fail(task, fault);
      return;
    }
    data.copy(task.place(data.length));
    this.#took(task, bhs, data.length);
  }

  /** Where the data segment of a Data-Out PDU goes, if it is the one that is due. */
  collectInto(bhs: Buffer, lengthBytes: number): Buffer | undefined {
    if (opcodeOf(bhs) !== REQUEST.dataOut || lengthBytes === 0) return undefined;
    const task = this.#tasks.get(bhs.readUInt32BE(AT.initiatorTaskTag));
    if (task === undefined || task.check(bhs, lengthBytes) !== undefined) return undefined;
    this.#lent = task;
    return task.place(lengthBytes);
  }

  /** The data that `collectInto` had a place for is there. Answers false where its digest is wrong and it matters. */
  onCollected(bhs: Buffer, isRight: boolean): boolean {
    const task = this.#lent;
    this.#lent = undefined;
    if (task === undefined) return true;
    // Task management of another session may have ended the task while its data was coming in.
    if (this.#tasks.get(task.initiatorTaskTag) !== task) this.giveBack(task);
    else if (isRight) this.#took(task, bhs, dataSegmentLengthOf(bhs));
    else return false;
    return true;
  }

  /** The data of a Data-Out PDU was damaged: its command ends. */
  damaged(bhs: Buffer): void {
    const task = this.#tasks.get(bhs.readUInt32BE(AT.initiatorTaskTag));
    if (task !== undefined) this.#fail(task, DATA_FAULT.protocolServiceCrcError);
  }

  /** Ends the command unanswered; answers whether there was one. */
  drop(tag: number): boolean {
    const task = this.#tasks.get(tag);
    if (task === undefined) return false;
    this.#tasks.delete(tag);
    this.giveBack(task);
    return true;
  }

  /** Ends all of them unanswered. */
  dropAll(): void {
    for (const task of this.#tasks.values()) this.giveBack(task);
    this.#tasks.clear();
  }

  /** The connection is gone. */
  close(): void {
    this.#closed = true;
    // One that was ended while its data was coming in has kept its buffer until now.
    const lent = this.#lent;
    if (lent !== undefined && this.#tasks.get(lent.initiatorTaskTag) !== lent) this.giveBack(lent);
    this.#lent = undefined;
    this.dropAll();
  }

  /** Not while the receiver still fills the buffer: whoever took it next would find strange bytes in it. */
  giveBack(task: WriteTask): void {
    if (task === this.#lent && !this.#closed) return;
    this.#bufferBytes -= task.buffer.length;
    this.#buffers.give(task.buffer);
  }

  #fail(task: WriteTask, fault: SenseCode): void {
    this.#tasks.delete(task.initiatorTaskTag);
    this.#sink.failed(task, fault);
    this.giveBack(task);
  }

  #took(task: WriteTask, bhs: Buffer, dataBytes: number): void {
    if (!task.took(bhs, dataBytes)) return;
    if (task.isShort) {
      this.#fail(task, DATA_FAULT.incorrectAmountOfData);
      return;
    }
    if (!task.complete) {
      this.#solicit(task);
      return;
    }
    this.#tasks.delete(task.initiatorTaskTag);
    this.#sink.collected(task);
  }

  #solicit(task: WriteTask): void {
    this.#transferTag = serialAdd(this.#transferTag, 1) % TAG_NONE;
    const burst = task.nextBurst(this.#transferTag, this.#parameters.maxBurstLength);
    this.#responder.readyToTransfer(task.bhs, task.transferTag, burst);
  }
}
