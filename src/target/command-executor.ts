/**
 * Carries commands out whose data is all here, on the logical unit, and answers them.
 *
 * The hot path (READ and WRITE that the device serves inline) makes no promise and no buffer: reads go from the device
 * into the transmit slab, small writes from the receive buffer into the device. A write is given to the device once,
 * whole, so that a cut never splits it, and after its digest was checked.
 */
import { AT, FLAG_READ, FLAG_WRITE, lunOf } from "../iscsi/bhs.ts";
import type { BlockDevice } from "../scsi/block-device.ts";
import type { CommandResult } from "../scsi/command.ts";
import { admit, executeCommand, executeWithoutUnit } from "../scsi/command-table.ts";
import type { LogicalUnit } from "../scsi/logical-unit.ts";
import type { Nexus } from "../scsi/nexus.ts";
import { failureOf } from "../scsi/sense.ts";
import { decodeTransfer, makeTransfer } from "../scsi/transfer.ts";
import type { Connection } from "./connection.ts";
import type { ReadPath } from "./read-path.ts";
import type { Responder } from "./responder.ts";
import type { TaskSet } from "./task-set.ts";
import type { WriteTask } from "./write-task.ts";

const EMPTY = Buffer.alloc(0);

export class CommandExecutor {
  readonly #connection: Connection;
  readonly #responder: Responder;
  readonly #unit: LogicalUnit;
  readonly #nexus: Nexus;
  readonly #reads: ReadPath;
  readonly #tasks: TaskSet;
  readonly #giveBack: (owner: WriteTask) => void;
  readonly #transfer = makeTransfer();

  /** `giveBack`: the buffer of a write is not needed any more. */
  constructor(
    connection: Connection,
    responder: Responder,
    unit: LogicalUnit,
    nexus: Nexus,
    reads: ReadPath,
    tasks: TaskSet,
    giveBack: (owner: WriteTask) => void,
  ) {
    this.#connection = connection;
    this.#responder = responder;
    this.#unit = unit;
    this.#nexus = nexus;
    this.#reads = reads;
    this.#tasks = tasks;
    this.#giveBack = giveBack;
  }

  /** Carries a command out. `owner`: the task whose buffer `dataOut` is, else it is lent for the duration of the call. */
  execute(bhs: Buffer, dataOut: Buffer, owner: WriteTask | undefined): void {
    const unit = this.#unit;
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
      this.respondFailed(bhs, error, false, owner?.r2tCount ?? 0);
      if (owner !== undefined) this.#giveBack(owner);
      return;
    }
    if (!isTransfer) this.#runOther(bhs, dataOut, owner, unit);
    else if (transfer.write) this.#write(bhs, dataOut, owner);
    else {
      if (owner !== undefined) this.#giveBack(owner);
      this.#read(bhs, device);
    }
  }

  /**
   * Ends a command with what has gone wrong. `expDataSN`: how many R2T or Data-In PDUs it has had; `doneBytes`: how much
   * Data-In has gone out.
   */
  respondFailed(bhs: Buffer, error: unknown, isWrite: boolean, expDataSN: number, doneBytes = 0): void {
    const outcome = failureOf(error, isWrite, this.#unit.modes.descriptorSense);
    this.#responder.failed(bhs, outcome, expDataSN, doneBytes);
  }

  #write(bhs: Buffer, dataOut: Buffer, owner: WriteTask | undefined): void {
    const { device, locks, modes } = this.#unit;
    const { offsetBytes, lengthBytes } = this.#transfer;
    const fua = this.#transfer.fua || modes.isWriteThrough;
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
      this.respondFailed(bhs, error, true, expDataSN);
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
    this.#run(header, owner, action, respond, (error) => this.respondFailed(header, error, true, expDataSN));
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
      this.respondFailed(bhs, error, false, progress.dataSN, progress.done);
      return;
    }
    const header = Buffer.from(bhs);
    const tag = header.readUInt32BE(AT.initiatorTaskTag);
    const isWanted = () => this.#tasks.isWanted(tag);
    const action = () =>
      this.#reads.slowly(header, device, offsetBytes, total, lengthBytes, progress, isWanted);
    const respond = () => {};
    this.#run(header, undefined, action, respond, (error) =>
      this.respondFailed(header, error, false, progress.dataSN, progress.done),
    );
  }

  /** Any command but READ and WRITE; without a unit, one for a LUN that is not there. */
  #runOther(bhs: Buffer, dataOut: Buffer, owner: WriteTask | undefined, unit: LogicalUnit | undefined): void {
    const header = Buffer.from(bhs);
    const cdb = header.subarray(AT.cdb, AT.cdb + 16);
    const expected = header.readUInt32BE(AT.expectedDataTransferLength);
    const data = owner === undefined ? Buffer.from(dataOut) : dataOut.subarray(0, expected);
    const hasDataOut = (header.readUInt8(1) & FLAG_WRITE) !== 0;
    const expDataSN = owner?.r2tCount ?? 0;
    let result: CommandResult = {};
    const abort = new AbortController();
    const action = async () => {
      result =
        unit === undefined
          ? await executeWithoutUnit(cdb)
          : await executeCommand(unit, this.#nexus, cdb, data, abort.signal);
    };
    const respond = () => this.#respondData(header, result, hasDataOut, expDataSN);
    const fail = (error: unknown) => this.respondFailed(header, error, hasDataOut, expDataSN);
    this.#run(header, owner, action, respond, fail, abort);
  }

  /** Runs `action` as a task; `respond` or `fail` sends its answer unless it was aborted. */
  #run(
    bhs: Buffer,
    owner: WriteTask | undefined,
    action: () => Promise<void>,
    respond: () => void,
    fail: (error: unknown) => void,
    abort?: AbortController,
  ): void {
    const tag = bhs.readUInt32BE(AT.initiatorTaskTag);
    const succeeded = () => this.#connection.later(respond);
    const failed = (error: unknown) => this.#connection.later(() => fail(error));
    this.#tasks.run(tag, owner, action, succeeded, failed, abort);
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
    const { transmitter } = this.#connection;
    const progress = { done: 0, dataSN: 0 };
    while (progress.done < total) {
      const part = this.#responder.segmentLength(progress.done, total);
      const at = transmitter.reserve(part);
      dataIn.copy(transmitter.slab, transmitter.dataOffset(at), progress.done, progress.done + part);
      this.#responder.dataIn(bhs, at, part, total, length, progress);
    }
  }
}
