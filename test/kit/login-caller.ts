/** A login request by request, without a socket: what an initiator says, and what it is answered. */
import { decodeText, encodeText } from "../../src/iscsi/text-keys.ts";
import type { ChapCredential, TargetEntry } from "../../src/target/directory.ts";
import { Login, type LoginStep } from "../../src/target/login.ts";
import { MemoryDevice } from "./memory-device.ts";
import { SeededRandom } from "./seeded-random.ts";

export const INITIATOR = "iqn.1994-05.com.example:host";
export const TARGET = "iqn.1997-05.com.amazon:one";
export const SECURITY = 0;
export const OPERATIONAL = 1;
export const FULL = 3;
export const STATUS = {
  ok: 0,
  initiatorError: 0x0200,
  authentication: 0x0201,
  notFound: 0x0203,
  tooManyConnections: 0x0206,
  missing: 0x0207,
  noSession: 0x020a,
  duringLogin: 0x020b,
};

export type Keys = Record<string, string>;

/** One initiator that logs in, request by request. */
export class Caller {
  readonly login: Login;
  entry: TargetEntry;
  readonly sessions = new Set<number>();
  hasRoom = true;
  isid = 1;
  tsih = 0;
  cid = 0;

  constructor(credentials: readonly ChapCredential[] = []) {
    this.entry = {
      targetName: TARGET,
      device: new MemoryDevice(1024 * 1024),
      identity: { serialNumber: "1", naa: 3n << 60n, vendor: "TEST", product: "TEST", revision: "1" },
      credentials,
    };
    this.login = new Login({
      directory: { list: () => [this.entry], find: (name) => (name === TARGET ? this.entry : undefined) },
      random: new SeededRandom(3),
      newTsih: () => 7,
      hasSession: (tsih, _name, isid) => this.sessions.has(tsih) && isid.readUInt32BE(0) === 1,
      hasRoom: () => this.hasRoom,
    });
  }

  send(csg: number, nsg: number | undefined, keys: Keys | Buffer, more = false): Answer {
    const bhs = Buffer.alloc(48);
    bhs.writeUInt8(0x43, 0);
    bhs.writeUInt8((nsg === undefined ? 0 : 0x80 | nsg) | (more ? 0x40 : 0) | (csg << 2), 1);
    bhs.writeUInt32BE(this.isid, 8);
    bhs.writeUInt16BE(this.tsih, 14);
    bhs.writeUInt16BE(this.cid, 20);
    const data = Buffer.isBuffer(keys) ? keys : encodeText(Object.entries(keys));
    return new Answer(this.login.step(bhs, data));
  }

  /** The first request, with what every initiator says. */
  introduce(csg: number, nsg: number | undefined, keys: Keys = {}): Answer {
    const names = { InitiatorName: INITIATOR, SessionType: "Normal", TargetName: TARGET };
    return this.send(csg, nsg, { ...names, ...keys });
  }
}

export class Answer {
  readonly step: LoginStep;
  constructor(step: LoginStep) {
    this.step = step;
  }

  get keys(): Keys {
    return Object.fromEntries(decodeText(this.step.data));
  }

  get status(): number {
    return this.step.header.readUInt16BE(36);
  }

  /** The T bit and the stage after it. */
  get transit(): number | undefined {
    const flags = this.step.header.readUInt8(1);
    return (flags & 0x80) === 0 ? undefined : flags & 0x03;
  }

  get moreKeys(): boolean {
    return (this.step.header.readUInt8(1) & 0x40) !== 0;
  }
}
