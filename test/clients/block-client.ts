/** An initiator for tests that have to know exactly which writes were acknowledged: many at a time, by promise. */
import { strict as assert } from "node:assert";
import { RawInitiator, type ReceivedPdu } from "../kit/raw-initiator.ts";

const SECTOR_BYTES = 512;
/** What goes with the command as immediate data. */
const WRITE_BYTES_MAX = 64 * 1024;
const SCSI_RESPONSE = 0x21;
const DATA_IN = 0x25;
const STATUS_PRESENT = 0x01;
const WRITE_FLAGS = 0xa1;
const READ_FLAGS = 0xc1;
const NO_DATA_FLAGS = 0x81;
const ATTENTIONS_MAX = 16;
const LOGIN_KEYS = [
  "InitialR2T=No",
  "ImmediateData=Yes",
  "FirstBurstLength=262144",
  "MaxRecvDataSegmentLength=262144",
];

/** A command did not end with GOOD. */
export class ScsiStatusError extends Error {
  override readonly name = "ScsiStatusError";
  readonly status: number;
  /** Sense key, additional sense code and qualifier: `6/2a/09`; empty without sense data. */
  readonly sense: string;

  constructor(status: number, sense: string) {
    super(`status ${status.toString(16)}, sense ${sense || "none"}`);
    this.status = status;
    this.sense = sense;
  }
}

interface Waiting {
  readonly into: Buffer | undefined;
  resolve(): void;
  reject(error: Error): void;
}

export class BlockClient {
  readonly #initiator: RawInitiator;
  readonly #waiting = new Map<number, Waiting>();
  #tag = 0;
  #closed: Error | undefined;

  private constructor(initiator: RawInitiator) {
    this.#initiator = initiator;
  }

  /** Logs in to the volume whose target has this name. */
  static open(portal: string, targetName: string, initiatorName?: string): Promise<BlockClient> {
    return BlockClient.openUrl(`iscsi://${portal}/iqn.1997-05.com.amazon:${targetName}/0`, initiatorName);
  }

  /** Logs in to any target here: iscsi://HOST:PORT/NAME/LUN. */
  static async openUrl(url: string, initiatorName = "iqn.2026-11.test:block"): Promise<BlockClient> {
    const { port, pathname } = new URL(url);
    const [, targetName, lun] = pathname.split("/");
    const initiator = await RawInitiator.connect(Number(port));
    const status = await initiator.login(initiatorName, targetName, LOGIN_KEYS);
    assert.equal(status, 0, `login answered ${status}`);
    initiator.lun = Number(lun);
    const client = new BlockClient(initiator);
    void client.#receive();
    await client.#attend();
    return client;
  }

  /** Asks until there is nothing more to be told, such as that the gateway was started again. */
  async #attend(): Promise<void> {
    for (let i = 0; i < ATTENTIONS_MAX; i++) {
      try {
        await this.#command(Buffer.alloc(16), NO_DATA_FLAGS, 0, Buffer.alloc(0), undefined);
        return;
      } catch (error) {
        if (!(error instanceof ScsiStatusError) || !error.sense.startsWith("6/")) throw error;
      }
    }
  }

  /** Writes whole sectors, many of them part by part; resolves when all is acknowledged. */
  async write(sector: number, data: Buffer): Promise<void> {
    for (let at = 0; at < data.length; at += WRITE_BYTES_MAX) {
      const part = data.subarray(at, at + WRITE_BYTES_MAX);
      await this.#write(sector + at / SECTOR_BYTES, part);
    }
  }

  #write(sector: number, data: Buffer): Promise<void> {
    const cdb = cdb16(0x8a, sector, data.length / SECTOR_BYTES);
    return this.#command(cdb, WRITE_FLAGS, data.length, data, undefined);
  }

  async read(sector: number, count: number): Promise<Buffer> {
    const into = Buffer.alloc(count * SECTOR_BYTES);
    await this.#command(cdb16(0x88, sector, count), READ_FLAGS, into.length, Buffer.alloc(0), into);
    return into;
  }

  /** SYNCHRONIZE CACHE(10) of everything. */
  flush(): Promise<void> {
    const cdb = Buffer.alloc(16);
    cdb.writeUInt8(0x35, 0);
    return this.#command(cdb, NO_DATA_FLAGS, 0, Buffer.alloc(0), undefined);
  }

  /** The size in sectors, by READ CAPACITY(16). */
  async capacity(): Promise<number> {
    const cdb = Buffer.alloc(16);
    cdb.writeUInt8(0x9e, 0);
    cdb.writeUInt8(0x10, 1);
    cdb.writeUInt32BE(32, 10);
    const into = Buffer.alloc(32);
    await this.#command(cdb, READ_FLAGS, into.length, Buffer.alloc(0), into);
    return Number(into.readBigUInt64BE(0)) + 1;
  }

  /** UNMAP of one range. */
  unmap(sector: number, count: number): Promise<void> {
    const cdb = Buffer.alloc(16);
    cdb.writeUInt8(0x42, 0);
    cdb.writeUInt16BE(24, 7);
    const list = Buffer.alloc(24);
    list.writeUInt16BE(22, 0);
    list.writeUInt16BE(16, 2);
    list.writeBigUInt64BE(BigInt(sector), 8);
    list.writeUInt32BE(count, 16);
    return this.#command(cdb, WRITE_FLAGS, list.length, list, undefined);
  }

  close(): void {
    this.#initiator.close();
  }

  #command(
    cdb: Buffer,
    flags: number,
    expected: number,
    data: Buffer,
    into: Buffer | undefined,
  ): Promise<void> {
    if (this.#closed !== undefined) return Promise.reject(this.#closed);
    this.#tag += 1;
    const tag = this.#tag;
    return new Promise((resolve, reject) => {
      this.#waiting.set(tag, { into, resolve, reject });
      this.#initiator.command(tag, cdb, flags, expected, data);
    });
  }

  async #receive(): Promise<void> {
    try {
      for (;;) this.#received(await this.#initiator.next());
    } catch (error) {
      this.#closed = error instanceof Error ? error : new Error(String(error));
      for (const { reject } of this.#waiting.values()) reject(this.#closed);
      this.#waiting.clear();
    }
  }

  #received({ opcode, bhs, data }: ReceivedPdu): void {
    const tag = bhs.readUInt32BE(16);
    const waiting = this.#waiting.get(tag);
    if (waiting === undefined) return;
    if (opcode === DATA_IN) {
      assert(waiting.into !== undefined);
      data.copy(waiting.into, bhs.readUInt32BE(40));
      if ((bhs.readUInt8(1) & STATUS_PRESENT) === 0) return;
    } else if (opcode !== SCSI_RESPONSE) return;
    this.#waiting.delete(tag);
    const status = bhs.readUInt8(3);
    if (status === 0) waiting.resolve();
    else waiting.reject(new ScsiStatusError(status, senseOf(data)));
  }
}

function senseOf(data: Buffer): string {
  if (data.length < 2 + 14) return "";
  const sense = data.subarray(2);
  const hex = (at: number) => sense.readUInt8(at).toString(16).padStart(2, "0");
  return `${(sense.readUInt8(2) & 0x0f).toString(16)}/${hex(12)}/${hex(13)}`;
}

function cdb16(opcode: number, sector: number, count: number): Buffer {
  const cdb = Buffer.alloc(16);
  cdb.writeUInt8(opcode, 0);
  cdb.writeBigUInt64BE(BigInt(sector), 2);
  cdb.writeUInt32BE(count, 10);
  return cdb;
}
