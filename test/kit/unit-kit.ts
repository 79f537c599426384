/** A logical unit on a disk in memory, with sessions that send it CDBs as the target would. */
import { nextTurn, systemClock } from "../../src/platform/clock.ts";
import type { BlockDevice } from "../../src/scsi/block-device.ts";
import { TRANSFER_BYTES_MAX } from "../../src/scsi/command.ts";
import { admit, executeCommand } from "../../src/scsi/command-table.ts";
import { LogicalUnit } from "../../src/scsi/logical-unit.ts";
import { Nexus } from "../../src/scsi/nexus.ts";
import { failureOf, type SenseCode } from "../../src/scsi/sense.ts";
import { decodeTransfer, makeTransfer } from "../../src/scsi/transfer.ts";
import type { UnitStore } from "../../src/scsi/unit-state-file.ts";

export interface Answer {
  readonly status: number;
  readonly sense: SenseCode | undefined;
  /** The same as it goes to the initiator, in fixed format. */
  readonly senseData?: Buffer | undefined;
  readonly data: Buffer;
}

export class MemoryStore implements UnitStore {
  content: Buffer | undefined;
  load(): Buffer | undefined {
    return this.content;
  }
  save(content: Buffer): void {
    this.content = content;
  }
}

export const IDENTITY = {
  serialNumber: "0123456789ABCDEF0",
  naa: (3n << 60n) | 77n,
  vendor: "TEST",
  product: "TEST",
  revision: "1",
  targetName: "iqn.2026-01.test:unit",
};

export class TestUnit {
  readonly unit: LogicalUnit;
  /** Other units that copies may go to or come from. */
  readonly others: TestUnit[] = [];

  constructor(
    device: BlockDevice,
    store?: UnitStore,
    clock = systemClock,
    isPoweredOnAgain = false,
    identity = IDENTITY,
  ) {
    const unitsOf = () => [this.unit, ...this.others.map(({ unit }) => unit)];
    const options = { device, identity, clock, isPoweredOnAgain, unitsOf };
    this.unit = new LogicalUnit({ ...options, ...(store && { store }) });
  }

  /** An initiator logs in; `id` is its ISID, and its name if it has none. */
  login(id: number, name = `iqn.2026-01.test:node${id}`): TestSession {
    return new TestSession(this.unit, name, id);
  }
}

export class TestSession {
  readonly nexus: Nexus;
  aborts = 0;
  readonly #unit: LogicalUnit;

  constructor(unit: LogicalUnit, name: string, id: number) {
    const isid = Buffer.alloc(6);
    isid.writeUInt32BE(id, 2);
    this.#unit = unit;
    this.nexus = new Nexus(name, isid, async () => {
      this.aborts += 1;
    });
    unit.attach(this.nexus);
  }

  logout(): void {
    this.#unit.detach(this.nexus);
  }

  /** Sends one command as the target does, reads and writes included; never rejects. */
  async send(cdbBytes: readonly number[] | Buffer, dataOut: Buffer = Buffer.alloc(0)): Promise<Answer> {
    const cdb = Buffer.alloc(16);
    Buffer.from(cdbBytes).copy(cdb);
    const unit = this.#unit;
    const { device } = unit;
    try {
      if (!unit.isCalm || this.nexus.hasAttention) admit(unit, this.nexus, cdb);
      const transfer = makeTransfer();
      if (!decodeTransfer(cdb, device, transfer)) {
        const { signal } = new AbortController();
        const { dataIn } = await executeCommand(unit, this.nexus, cdb, dataOut, signal);
        return { status: 0, sense: undefined, data: dataIn ?? Buffer.alloc(0) };
      }
      const { offsetBytes, lengthBytes, write } = transfer;
      if (lengthBytes > TRANSFER_BYTES_MAX) throw new Error("longer than it may be");
      if (!write) {
        const data = Buffer.alloc(lengthBytes);
        if (!device.tryRead(offsetBytes, data, 0, lengthBytes)) {
          await device.read(offsetBytes, data, 0, lengthBytes);
        }
        return { status: 0, sense: undefined, data };
      }
      const length = Math.min(lengthBytes, dataOut.length - (dataOut.length % device.logicalBlockBytes));
      if (!unit.locks.isFree || !device.tryWrite(offsetBytes, dataOut, 0, length)) {
        await unit.locks.shared(offsetBytes, length, () => device.write(offsetBytes, dataOut, 0, length));
      }
      return { status: 0, sense: undefined, data: Buffer.alloc(0) };
    } catch (error) {
      await nextTurn();
      const { status, sense } = failureOf(error, false);
      const code = sense && {
        key: sense.readUInt8(2) & 0x0f,
        asc: sense.readUInt8(12),
        ascq: sense.readUInt8(13),
      };
      return { status, sense: code, senseData: sense, data: Buffer.alloc(0) };
    }
  }
}
