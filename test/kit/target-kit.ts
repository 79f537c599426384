/** The target in this process, and what tests that speak to it PDU by PDU share. */
import { strict as assert } from "node:assert";
import { type Clock, stayAlive, systemClock } from "../../src/platform/clock.ts";
import type { TargetEntry } from "../../src/target/directory.ts";
import type { TargetLimits } from "../../src/target/limits.ts";
import { Target, type TargetEvent } from "../../src/target/target.ts";
import { MemoryDevice } from "./memory-device.ts";
import { RawInitiator, type ReceivedPdu } from "./raw-initiator.ts";

export const NAME = "iqn.1997-05.com.amazon:one";
export const OTHER = "iqn.1997-05.com.amazon:other";
export const IDENTITY = { serialNumber: "1", naa: 3n << 60n, vendor: "TEST", product: "TEST", revision: "1" };
/** Opcodes of what targets send. */
export const RESPONSE = {
  nopIn: 0x20,
  scsi: 0x21,
  task: 0x22,
  login: 0x23,
  text: 0x24,
  dataIn: 0x25,
  logout: 0x26,
  r2t: 0x31,
  async: 0x32,
  reject: 0x3f,
} as const;
const MIB = 1024 * 1024;

/** A device that can be told to hold its I/O back. */
export class SlowDevice extends MemoryDevice {
  #release: (() => void) | undefined;
  #held: Promise<void> | undefined;

  /** Holds I/O back until the answer is called. */
  hold(): () => void {
    this.inline = false;
    this.#held = new Promise((resolve) => {
      this.#release = resolve;
    });
    return () => {
      this.inline = true;
      this.#release?.();
      this.#held = undefined;
    };
  }

  override async write(offset: number, source: Buffer, at: number, length: number): Promise<void> {
    await this.#held;
    await super.write(offset, source, at, length);
  }

  override async read(offset: number, target: Buffer, at: number, length: number): Promise<void> {
    await this.#held;
    await super.read(offset, target, at, length);
  }
}

/** A target with two volumes, NAME on a SlowDevice and OTHER. */
export class TargetKit {
  readonly device = new SlowDevice(16 * MIB);
  readonly entries = new Map<string, TargetEntry>([
    [NAME, { targetName: NAME, device: this.device, identity: IDENTITY }],
    [OTHER, { targetName: OTHER, device: new MemoryDevice(MIB), identity: IDENTITY }],
  ]);
  readonly events: TargetEvent[] = [];
  readonly target: Target;
  port = 0;
  readonly #open: RawInitiator[] = [];
  #letGo = () => {};

  constructor(limits?: TargetLimits, clock: Clock = systemClock) {
    this.target = new Target({
      clock,
      directory: {
        list: () => this.entries.values(),
        find: (name) => this.entries.get(name.toLowerCase()),
      },
      onEvent: (event) => this.events.push(event),
      ...(limits && { limits }),
    });
  }

  async start(): Promise<void> {
    // The target's timers alone keep no process alive.
    this.#letGo = stayAlive();
    ({ port: this.port } = await this.target.listen("127.0.0.1", 0));
  }

  async stop(): Promise<void> {
    for (const initiator of this.#open) initiator.close();
    await this.target.close();
    this.#letGo();
  }

  async connect(host?: string, port = this.port): Promise<RawInitiator> {
    const initiator = await RawInitiator.connect(port, host);
    this.#open.push(initiator);
    return initiator;
  }

  /** A connection that has logged in as `iqn.2026-01.test:NAME`. */
  async loggedIn(name: string, keys: readonly string[] = [], targetName = NAME): Promise<RawInitiator> {
    const initiator = await this.connect();
    assert.equal(await initiator.login(`iqn.2026-01.test:${name}`, targetName, keys), 0);
    return initiator;
  }
}

/** The next PDU, which has to be of this kind. */
export async function expect(initiator: RawInitiator, opcode: number): Promise<ReceivedPdu> {
  const pdu = await initiator.next();
  assert.equal(pdu.opcode, opcode, `opcode ${pdu.opcode.toString(16)} came`);
  return pdu;
}

/** The status of the next SCSI Response: `good`, its sense as `key/asc/ascq`, or `status N`. */
export async function statusOf(initiator: RawInitiator): Promise<string> {
  const { bhs, data } = await expect(initiator, RESPONSE.scsi);
  if (bhs.readUInt8(3) === 0) return "good";
  return data.length === 0 ? `status ${bhs.readUInt8(3).toString(16)}` : senseOf(data);
}

/** `key/asc/ascq` of the data of a SCSI Response, in fixed format. */
export function senseOf(data: Buffer): string {
  return [data.readUInt8(4) & 0x0f, data.readUInt8(14), data.readUInt8(15)]
    .map((byte) => byte.toString(16))
    .join("/");
}

/** How the data of a write goes out: immediate and unsolicited bytes, the rest as it is asked for. */
export interface DataMix {
  readonly immediate: number;
  readonly unsolicited: number;
  /** Data-Out PDUs carry so much. */
  readonly pduBytes: number;
}

/** WRITE(10). */
export function write10(lba: number, blocks: number): Buffer {
  const cdb = Buffer.alloc(16);
  cdb.writeUInt8(0x2a, 0);
  cdb.writeUInt32BE(lba, 2);
  cdb.writeUInt16BE(blocks, 7);
  return cdb;
}

/** Writes, with its data in that mix; the status. */
export async function write(
  initiator: RawInitiator,
  tag: number,
  lba: number,
  data: Buffer,
  mix: DataMix,
): Promise<string> {
  const first = Math.min(mix.immediate + mix.unsolicited, data.length);
  const flags = mix.unsolicited > 0 && first > mix.immediate ? 0x21 : 0xa1;
  const immediate = data.subarray(0, mix.immediate);
  initiator.command(tag, write10(lba, data.length / 512), flags, data.length, immediate);
  const burst = (transferTag: number, from: number, end: number) => {
    let dataSN = 0;
    for (let at = from; at < end; at += mix.pduBytes) {
      const part = data.subarray(at, Math.min(at + mix.pduBytes, end));
      const header = initiator.dataOutHeader(tag, transferTag, dataSN, at, part.length);
      if (at + part.length < end) header.writeUInt8(0, 1);
      initiator.send(header, part);
      dataSN += 1;
    }
  };
  if (flags === 0x21) burst(0xffffffff, immediate.length, first);
  let asked = flags === 0x21 ? first : immediate.length;
  for (let r2tSN = 0; asked < data.length; r2tSN++) {
    const { bhs } = await expect(initiator, RESPONSE.r2t);
    const [offset, length] = [bhs.readUInt32BE(40), bhs.readUInt32BE(44)];
    assert.deepEqual([bhs.readUInt32BE(36), offset], [r2tSN, asked]);
    burst(bhs.readUInt32BE(20), offset, offset + length);
    asked += length;
  }
  return statusOf(initiator);
}
