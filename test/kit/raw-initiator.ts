/** An initiator that sends exactly the bytes that a test wants (RFC 7143), and hands out what comes back. */
import { strict as assert } from "node:assert";
import { once } from "node:events";
import { connect, type Socket } from "node:net";

const BHS_BYTES = 48;

export interface ReceivedPdu {
  readonly opcode: number;
  readonly bhs: Buffer;
  readonly data: Buffer;
}

export class RawInitiator {
  readonly socket: Socket;
  #cmdSN = 1;
  #bytes = Buffer.alloc(0);
  readonly #pdus: ReceivedPdu[] = [];
  readonly #waiting: { resolve(pdu: ReceivedPdu): void; reject(error: Error): void }[] = [];

  private constructor(socket: Socket) {
    this.socket = socket;
    socket.on("data", (bytes) => this.#received(bytes));
    // What ends the connection is told to whoever waits for an answer.
    socket.on("error", () => {});
    socket.on("close", () => {
      for (const { reject } of this.#waiting.splice(0)) reject(new Error("the target closed the connection"));
    });
  }

  static async connect(port: number): Promise<RawInitiator> {
    const socket = connect(port, "127.0.0.1");
    await once(socket, "connect");
    socket.setNoDelay(true);
    return new RawInitiator(socket);
  }

  /** Logs in to full feature phase in one exchange; the answer's status class and detail. */
  async login(initiatorName: string, targetName: string, keys: readonly string[] = []): Promise<number> {
    const pairs = [
      `InitiatorName=${initiatorName}`,
      "SessionType=Normal",
      `TargetName=${targetName}`,
      ...keys,
    ];
    const bhs = Buffer.alloc(BHS_BYTES);
    bhs.writeUInt8(0x43, 0);
    // Transit from the operational stage to full feature phase.
    bhs.writeUInt8(0x87, 1);
    bhs.writeUInt32BE(0x80000000 + Math.floor(Math.random() * 0xffffff), 8);
    bhs.writeUInt32BE(this.#cmdSN, 24);
    this.send(bhs, Buffer.from(pairs.map((pair) => `${pair}\0`).join("")));
    const { bhs: answer } = await this.next();
    return answer.readUInt16BE(36);
  }

  /** A SCSI Command PDU; `expected` is the transfer length. */
  command(tag: number, cdb: Buffer, flags: number, expected: number, data: Buffer = Buffer.alloc(0)): void {
    const bhs = Buffer.alloc(BHS_BYTES);
    bhs.writeUInt8(0x01, 0);
    bhs.writeUInt8(flags, 1);
    bhs.writeUInt32BE(tag, 16);
    bhs.writeUInt32BE(expected, 20);
    bhs.writeUInt32BE(this.#cmdSN, 24);
    this.#cmdSN += 1;
    cdb.copy(bhs, 32);
    this.send(bhs, data);
  }

  /** WRITE(10) of whole blocks, without immediate data. */
  write10(tag: number, lba: number, blocks: number): void {
    this.command(tag, cdb10(0x2a, lba, blocks), 0xa1, blocks * 512);
  }

  /** READ(10). */
  read10(tag: number, lba: number, blocks: number): void {
    this.command(tag, cdb10(0x28, lba, blocks), 0xc1, blocks * 512);
  }

  /** The header of a Data-Out PDU that carries `length` bytes. */
  dataOutHeader(tag: number, transferTag: number, dataSN: number, offset: number, length: number): Buffer {
    const bhs = Buffer.alloc(BHS_BYTES);
    bhs.writeUInt8(0x05, 0);
    bhs.writeUInt8(0x80, 1);
    bhs.writeUIntBE(length, 5, 3);
    bhs.writeUInt32BE(tag, 16);
    bhs.writeUInt32BE(transferTag, 20);
    bhs.writeUInt32BE(dataSN, 36);
    bhs.writeUInt32BE(offset, 40);
    return bhs;
  }

  /** LOGICAL UNIT RESET as an immediate command. */
  resetUnit(tag: number): void {
    const bhs = Buffer.alloc(BHS_BYTES);
    bhs.writeUInt8(0x42, 0);
    bhs.writeUInt8(0x80 | 5, 1);
    bhs.writeUInt32BE(tag, 16);
    bhs.writeUInt32BE(0xffffffff, 20);
    bhs.writeUInt32BE(this.#cmdSN, 24);
    this.send(bhs);
  }

  /** Sends a header with its data segment length set, and the padded data. */
  send(bhs: Buffer, data: Buffer = Buffer.alloc(0)): void {
    bhs.writeUIntBE(data.length, 5, 3);
    this.socket.write(Buffer.concat([bhs, data, Buffer.alloc((4 - (data.length % 4)) % 4)]));
  }

  /** The next PDU from the target. */
  next(): Promise<ReceivedPdu> {
    const there = this.#pdus.shift();
    if (there !== undefined) return Promise.resolve(there);
    return new Promise((resolve, reject) => this.#waiting.push({ resolve, reject }));
  }

  close(): void {
    this.socket.destroy();
  }

  #received(bytes: Buffer): void {
    this.#bytes = Buffer.concat([this.#bytes, bytes]);
    while (this.#bytes.length >= BHS_BYTES) {
      const length = this.#bytes.readUIntBE(5, 3);
      const total = BHS_BYTES + this.#bytes.readUInt8(4) * 4 + Math.ceil(length / 4) * 4;
      if (this.#bytes.length < total) return;
      const bhs = Buffer.from(this.#bytes.subarray(0, BHS_BYTES));
      const data = Buffer.from(this.#bytes.subarray(BHS_BYTES, BHS_BYTES + length));
      this.#bytes = this.#bytes.subarray(total);
      const pdu = { opcode: bhs.readUInt8(0) & 0x3f, bhs, data };
      const waiting = this.#waiting.shift();
      if (waiting === undefined) this.#pdus.push(pdu);
      else waiting.resolve(pdu);
    }
  }
}

function cdb10(opcode: number, lba: number, blocks: number): Buffer {
  const cdb = Buffer.alloc(16);
  cdb.writeUInt8(opcode, 0);
  cdb.writeUInt32BE(lba, 2);
  cdb.writeUInt16BE(blocks, 7);
  assert(blocks < 65536);
  return cdb;
}
