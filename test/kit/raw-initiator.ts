/** An initiator that sends exactly the bytes that a test wants (RFC 7143), and hands out what comes back. */
import { strict as assert } from "node:assert";
import { once } from "node:events";
import { connect, type Socket } from "node:net";
import { crc32c } from "@node-rs/crc32";

const BHS_BYTES = 48;
const DIGEST_BYTES = 4;
const IMMEDIATE = 0x40;
const NOP_IN = 0x20;
const DATA_IN = 0x25;
const R2T = 0x31;
const STATUS_PRESENT = 0x01;
const TAG_NONE = 0xffffffff;

export interface ReceivedPdu {
  readonly opcode: number;
  readonly bhs: Buffer;
  readonly data: Buffer;
}

export class RawInitiator {
  readonly socket: Socket;
  /** The number of the next command that is not immediate. */
  cmdSN = 1;
  /** The first four bytes of the session's id: another initiator port for every connection. */
  isid = 0x80000000 + Math.floor(Math.random() * 0xffffff);
  /** From the answer to the login on, PDUs have CRC32C digests of their headers or data, both ways. */
  headerDigest = false;
  dataDigest = false;
  /** Digests of the next PDU that are sent wrong. */
  readonly badDigests = new Set<"header" | "data">();
  #bytes = Buffer.alloc(0);
  /** PDUs that have come. */
  receivedCount = 0;
  /** The LUN of commands. */
  lun = 0;
  /** The text of the answer to the login. */
  loginText = "";
  /** The header of the newest R2T. */
  lastR2T: Buffer | undefined;
  /** The number of the next status, and the window as it was told last. */
  #statSN: number | undefined;
  #expCmdSN: number | undefined;
  #maxCmdSN: number | undefined;
  readonly #pdus: ReceivedPdu[] = [];
  #isClosed = false;
  readonly #waiting: { resolve(pdu: ReceivedPdu): void; reject(error: Error): void }[] = [];

  private constructor(socket: Socket) {
    this.socket = socket;
    socket.on("data", (bytes) => this.#received(bytes));
    // What ends the connection is told to whoever waits for an answer.
    socket.on("error", () => {});
    socket.on("close", () => {
      this.#isClosed = true;
      for (const { reject } of this.#waiting.splice(0)) reject(new Error("the target closed the connection"));
    });
  }

  static async connect(port: number, host = "127.0.0.1"): Promise<RawInitiator> {
    const socket = connect(port, host);
    await once(socket, "connect");
    socket.setNoDelay(true);
    return new RawInitiator(socket);
  }

  /**
   * Logs in to full feature phase in one exchange; the answer's status class and detail. Without a target it is a
   * discovery session, which `keys` have to say.
   */
  async login(
    initiatorName: string,
    targetName: string | undefined,
    keys: readonly string[] = [],
  ): Promise<number> {
    const whom = targetName === undefined ? [] : ["SessionType=Normal", `TargetName=${targetName}`];
    const pairs = [`InitiatorName=${initiatorName}`, ...whom, ...keys];
    const bhs = Buffer.alloc(BHS_BYTES);
    bhs.writeUInt8(0x43, 0);
    // Transit from the operational stage to full feature phase.
    bhs.writeUInt8(0x87, 1);
    bhs.writeUInt32BE(this.isid, 8);
    bhs.writeUInt32BE(this.cmdSN, 24);
    this.send(bhs, Buffer.from(pairs.map((pair) => `${pair}\0`).join("")));
    const { bhs: answer, data } = await this.next();
    this.loginText = data.toString();
    this.headerDigest = keys.includes("HeaderDigest=CRC32C");
    this.dataDigest = keys.includes("DataDigest=CRC32C");
    return answer.readUInt16BE(36);
  }

  /** A header with its opcode, flags, tag and the current CmdSN, which a request that is not immediate uses up. */
  header(opcode: number, flags: number, tag: number): Buffer {
    const bhs = Buffer.alloc(BHS_BYTES);
    bhs.writeUInt8(opcode, 0);
    bhs.writeUInt8(flags, 1);
    bhs.writeUInt32BE(tag, 16);
    bhs.writeUInt32BE(this.cmdSN, 24);
    if ((opcode & IMMEDIATE) === 0) this.cmdSN = (this.cmdSN + 1) >>> 0;
    return bhs;
  }

  /** Task management as an immediate request. */
  manage(tag: number, action: number, referencedTag = 0xffffffff, lun = 0): void {
    const bhs = this.header(IMMEDIATE | 0x02, 0x80 | action, tag);
    bhs.writeUInt8(lun, 9);
    bhs.writeUInt32BE(referencedTag, 20);
    this.send(bhs);
  }

  /** A text request. */
  text(tag: number, flags: number, transferTag: number, text: string): void {
    const bhs = this.header(0x04, flags, tag);
    bhs.writeUInt32BE(transferTag, 20);
    this.send(bhs, Buffer.from(text));
  }

  /** A ping that wants an answer. */
  ping(tag: number, data = ""): void {
    const bhs = this.header(0x00, 0x80, tag);
    bhs.writeUInt32BE(0xffffffff, 20);
    this.send(bhs, Buffer.from(data));
  }

  /** A SCSI Command PDU; `expected` is the transfer length. */
  command(tag: number, cdb: Buffer, flags: number, expected: number, data: Buffer = Buffer.alloc(0)): void {
    const bhs = Buffer.alloc(BHS_BYTES);
    bhs.writeUInt8(0x01, 0);
    bhs.writeUInt8(flags, 1);
    bhs.writeUInt8(this.lun, 9);
    bhs.writeUInt32BE(tag, 16);
    bhs.writeUInt32BE(expected, 20);
    bhs.writeUInt32BE(this.cmdSN, 24);
    this.cmdSN += 1;
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
    this.manage(tag, 5);
  }

  /** Sends a header with its data segment length set, and the padded data. */
  send(bhs: Buffer, data: Buffer = Buffer.alloc(0)): void {
    bhs.writeUIntBE(data.length, 5, 3);
    this.socket.write(this.encode(bhs, data));
  }

  /** The bytes of a PDU whose header has its length. */
  encode(bhs: Buffer, data: Buffer): Buffer {
    const padded = Buffer.concat([data, Buffer.alloc((4 - (data.length % 4)) % 4)]);
    const parts = [bhs];
    if (this.headerDigest) parts.push(digestOf(bhs, this.badDigests.has("header")));
    parts.push(padded);
    if (this.dataDigest && data.length > 0) parts.push(digestOf(padded, this.badDigests.has("data")));
    this.badDigests.clear();
    return Buffer.concat(parts);
  }

  /** The next PDU from the target. */
  next(): Promise<ReceivedPdu> {
    const there = this.#pdus.shift();
    if (there !== undefined) return Promise.resolve(there);
    if (this.#isClosed) return Promise.reject(new Error("the target has closed the connection"));
    return new Promise((resolve, reject) => this.#waiting.push({ resolve, reject }));
  }

  close(): void {
    this.socket.destroy();
  }

  /** What holds for every PDU of a target (RFC 7143, 4.2.2): statuses are counted, and the window never moves back. */
  #checkNumbers(bhs: Buffer): void {
    const isCounted = hasStatus(bhs);
    const [statSN, expCmdSN, maxCmdSN] = [24, 28, 32].map((at) => bhs.readUInt32BE(at));
    assert(statSN !== undefined && expCmdSN !== undefined && maxCmdSN !== undefined);
    const what = `opcode ${bhs.readUInt8(0).toString(16)}`;
    if (this.#statSN !== undefined && (isCounted || bhs.readUInt8(0) !== DATA_IN)) {
      assert.equal(statSN, this.#statSN, `${what}: StatSN`);
    }
    if (isCounted) this.#statSN = (statSN + 1) >>> 0;
    assert(distance(this.#expCmdSN ?? expCmdSN, expCmdSN) >= 0, `${what}: ExpCmdSN moved back`);
    assert(distance(this.#maxCmdSN ?? maxCmdSN, maxCmdSN) >= 0, `${what}: MaxCmdSN moved back`);
    assert(distance(expCmdSN, maxCmdSN) >= -1, `${what}: the window is less than closed`);
    this.#expCmdSN = expCmdSN;
    this.#maxCmdSN = maxCmdSN;
  }

  #received(bytes: Buffer): void {
    this.#bytes = Buffer.concat([this.#bytes, bytes]);
    while (this.#bytes.length >= BHS_BYTES) {
      const length = this.#bytes.readUIntBE(5, 3);
      const padded = Math.ceil(length / 4) * 4;
      const dataAt = BHS_BYTES + this.#bytes.readUInt8(4) * 4 + (this.headerDigest ? DIGEST_BYTES : 0);
      const total = dataAt + padded + (this.dataDigest && length > 0 ? DIGEST_BYTES : 0);
      if (this.#bytes.length < total) return;
      const bhs = Buffer.from(this.#bytes.subarray(0, BHS_BYTES));
      const data = Buffer.from(this.#bytes.subarray(dataAt, dataAt + length));
      if (this.headerDigest) {
        const digest = this.#bytes.subarray(dataAt - DIGEST_BYTES, dataAt);
        assert(digestOf(bhs, false).equals(digest), "header digest");
      }
      if (this.dataDigest && length > 0) {
        const digested = this.#bytes.subarray(dataAt, dataAt + padded);
        const digest = this.#bytes.subarray(dataAt + padded, total);
        assert(digestOf(digested, false).equals(digest), "data digest");
      }
      this.#bytes = this.#bytes.subarray(total);
      this.#checkNumbers(bhs);
      const pdu = { opcode: bhs.readUInt8(0) & 0x3f, bhs, data };
      this.receivedCount += 1;
      if (pdu.opcode === R2T) this.lastR2T = bhs;
      const waiting = this.#waiting.shift();
      if (waiting === undefined) this.#pdus.push(pdu);
      else waiting.resolve(pdu);
    }
  }
}

/** Whether the PDU carries a status, which has a number of its own; else its StatSN, if it has one, is the next. */
function hasStatus(bhs: Buffer): boolean {
  const opcode = bhs.readUInt8(0);
  if (opcode === DATA_IN) return (bhs.readUInt8(1) & STATUS_PRESENT) !== 0;
  if (opcode === NOP_IN) return bhs.readUInt32BE(16) !== TAG_NONE;
  return opcode !== R2T;
}

/** How far `a` is behind `b` (RFC 1982); negative where it is ahead. */
function distance(a: number, b: number): number {
  return (b - a) | 0;
}

function cdb10(opcode: number, lba: number, blocks: number): Buffer {
  const cdb = Buffer.alloc(16);
  cdb.writeUInt8(opcode, 0);
  cdb.writeUInt32BE(lba, 2);
  cdb.writeUInt16BE(blocks, 7);
  assert(blocks < 65536);
  return cdb;
}

function digestOf(bytes: Buffer, isWrong: boolean): Buffer {
  const digest = Buffer.alloc(DIGEST_BYTES);
  digest.writeUInt32LE((crc32c(bytes) ^ (isWrong ? 1 : 0)) >>> 0);
  return digest;
}
