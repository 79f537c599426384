/** Sessions by the book (RFC 7143), spoken to PDU by PDU: data in any mix, digests, task management, texts, logout. */
import { strict as assert } from "node:assert";
import { once } from "node:events";
import { after, before, describe, test } from "node:test";
import { MemoryDevice } from "../../test/kit/memory-device.ts";
import { RawInitiator, type ReceivedPdu } from "../../test/kit/raw-initiator.ts";
import { SeededRandom } from "../../test/kit/seeded-random.ts";
import { stayAlive, systemClock } from "../platform/clock.ts";
import type { ChapCredential, TargetEntry } from "./directory.ts";
import { Target } from "./target.ts";

const NAME = "iqn.1997-05.com.amazon:one";
const OTHER = "iqn.1997-05.com.amazon:other";
const RESPONSE = { nopIn: 0x20, scsi: 0x21, task: 0x22, login: 0x23, text: 0x24, dataIn: 0x25, logout: 0x26 };
const R2T = 0x31;
const ASYNC = 0x32;
const REJECT = 0x3f;
const MIB = 1024 * 1024;
const DIGESTS = ["HeaderDigest=CRC32C", "DataDigest=CRC32C"];

/** A device that can be told to hold its I/O back. */
class SlowDevice extends MemoryDevice {
  #release: (() => void) | undefined;
  #held: Promise<void> | undefined;

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

describe("sessions by the book", () => {
  const device = new SlowDevice(16 * MIB);
  const identity = { serialNumber: "1", naa: 3n << 60n, vendor: "TEST", product: "TEST", revision: "1" };
  const entries = new Map<string, TargetEntry>([
    [NAME, { targetName: NAME, device, identity }],
    [OTHER, { targetName: OTHER, device: new MemoryDevice(MIB), identity }],
  ]);
  const target = new Target({
    clock: systemClock,
    directory: { list: () => entries.values(), find: (name) => entries.get(name.toLowerCase()) },
  });
  const open: RawInitiator[] = [];
  let port = 0;
  let letGo = () => {};

  before(async () => {
    letGo = stayAlive();
    ({ port } = await target.listen("127.0.0.1", 0));
  });
  after(async () => {
    for (const initiator of open) initiator.close();
    await target.close();
    letGo();
  });

  async function connect(host?: string, at = port): Promise<RawInitiator> {
    const initiator = await RawInitiator.connect(at, host);
    open.push(initiator);
    return initiator;
  }

  async function loggedIn(
    name: string,
    keys: readonly string[] = [],
    targetName = NAME,
  ): Promise<RawInitiator> {
    const initiator = await connect();
    assert.equal(await initiator.login(`iqn.2026-01.test:${name}`, targetName, keys), 0);
    return initiator;
  }

  async function expect(initiator: RawInitiator, opcode: number): Promise<ReceivedPdu> {
    const pdu = await initiator.next();
    assert.equal(pdu.opcode, opcode, `opcode ${pdu.opcode.toString(16)} came`);
    return pdu;
  }

  /** The status of the next SCSI Response, and its sense as `key/asc/ascq`. */
  async function status(initiator: RawInitiator): Promise<string> {
    const { bhs, data } = await expect(initiator, RESPONSE.scsi);
    if (bhs.readUInt8(3) === 0) return "good";
    if (data.length === 0) return `status ${bhs.readUInt8(3).toString(16)}`;
    return [data.readUInt8(4) & 0x0f, data.readUInt8(14), data.readUInt8(15)]
      .map((byte) => byte.toString(16))
      .join("/");
  }

  function write10(lba: number, blocks: number): Buffer {
    const cdb = Buffer.alloc(16);
    cdb.writeUInt8(0x2a, 0);
    cdb.writeUInt32BE(lba, 2);
    cdb.writeUInt16BE(blocks, 7);
    return cdb;
  }

  /**
   * Writes with so much immediate and so much unsolicited data, the rest as it is asked for, each part in PDUs of
   * `pduBytes`.
   */
  async function write(
    initiator: RawInitiator,
    tag: number,
    lba: number,
    data: Buffer,
    mix: { readonly immediate: number; readonly unsolicited: number; readonly pduBytes: number },
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
      const { bhs } = await expect(initiator, R2T);
      const [offset, length] = [bhs.readUInt32BE(40), bhs.readUInt32BE(44)];
      assert.deepEqual([bhs.readUInt32BE(36), offset], [r2tSN, asked]);
      burst(bhs.readUInt32BE(20), offset, offset + length);
      asked += length;
    }
    return status(initiator);
  }

  for (const digests of [false, true]) {
    test(`immediate, unsolicited and solicited data in any mix${digests ? ", with digests" : ""}`, async () => {
      const initiator = await loggedIn(`mix-${digests}`, [
        ...["InitialR2T=No", "ImmediateData=Yes", "FirstBurstLength=16384", "MaxBurstLength=32768"],
        ...(digests ? DIGESTS : []),
      ]);
      const random = new SeededRandom(5);
      let tag = 1;
      for (const blocks of [1, 7, 32, 33, 130, 257]) {
        for (const immediate of [0, 512, 4096, 16384]) {
          for (const unsolicited of [0, 512, 16384 - immediate]) {
            if (immediate > blocks * 512 || immediate + unsolicited > 16384) continue;
            const data = random.bytes(blocks * 512);
            const mix = { immediate, unsolicited, pduBytes: random.pick([512, 1000, 4096, 65536]) };
            assert.equal(
              await write(initiator, tag, 40, data, mix),
              "good",
              JSON.stringify({ blocks, ...mix }),
            );
            assert(device.content.subarray(40 * 512, 40 * 512 + data.length).equals(data));
            tag += 1;
          }
        }
      }
      initiator.close();
    });
  }

  test("a burst is never longer than MaxBurstLength, and one R2T is out at a time", async () => {
    const initiator = await loggedIn("bursts", [
      "MaxBurstLength=8192",
      "ImmediateData=No",
      "MaxOutstandingR2T=8",
    ]);
    const data = new SeededRandom(6).bytes(20 * 1024);
    assert.equal(
      await write(initiator, 1, 0, data, { immediate: 0, unsolicited: 0, pduBytes: 3000 }),
      "good",
    );
    initiator.close();
  });

  const faults: Record<string, { readonly sense: string; send(initiator: RawInitiator, r2t: Buffer): void }> =
    {
      "a transfer tag that was not given": {
        sense: "b/4b/1",
        send: (i, r2t) =>
          i.send(i.dataOutHeader(9, r2t.readUInt32BE(20) + 1, 0, 0, 4096), Buffer.alloc(4096)),
      },
      "a DataSN out of order": {
        sense: "b/4b/0",
        send: (i, r2t) => i.send(i.dataOutHeader(9, r2t.readUInt32BE(20), 1, 0, 4096), Buffer.alloc(4096)),
      },
      "an offset out of order": {
        sense: "b/4b/5",
        send: (i, r2t) => i.send(i.dataOutHeader(9, r2t.readUInt32BE(20), 0, 512, 3584), Buffer.alloc(3584)),
      },
      "more than the burst": {
        sense: "b/4b/2",
        send: (i, r2t) => i.send(i.dataOutHeader(9, r2t.readUInt32BE(20), 0, 0, 4097), Buffer.alloc(4097)),
      },
    };
  for (const [what, { sense, send }] of Object.entries(faults)) {
    test(`Data-Out with ${what} ends its command, and nothing is written`, async () => {
      const initiator = await loggedIn("faults");
      device.content.fill(0x11, 0, 8192);
      initiator.command(9, write10(0, 8), 0xa1, 4096);
      send(initiator, (await expect(initiator, R2T)).bhs);
      assert.equal(await status(initiator), sense);
      assert(device.content.subarray(0, 8192).every((byte) => byte === 0x11));
      // The same tag is free again, and the session goes on.
      const mix = { immediate: 0, unsolicited: 0, pduBytes: 4096 };
      assert.equal(await write(initiator, 9, 0, Buffer.alloc(4096, 0x22), mix), "good");
      assert.equal(target.buffers.usedBytes, 0);
      initiator.close();
    });
  }

  test("unsolicited data that was not agreed ends its command", async () => {
    const strict = await loggedIn("strict", ["ImmediateData=No", "InitialR2T=Yes"]);
    strict.command(1, write10(0, 1), 0xa1, 512, Buffer.alloc(512));
    assert.equal(await status(strict), "b/c/c");
    // Without the F bit unsolicited data would follow: it is asked for all the same.
    strict.command(2, write10(0, 1), 0x21, 512);
    await expect(strict, R2T);
    strict.send(strict.dataOutHeader(2, 0xffffffff, 0, 0, 512), Buffer.alloc(512));
    assert.equal(await status(strict), "b/4b/1");
    const short = await loggedIn("short", ["InitialR2T=No", "FirstBurstLength=512"]);
    short.command(1, write10(0, 2), 0x21, 1024, Buffer.alloc(1024));
    assert.equal(await status(short), "b/c/c");
    short.command(2, write10(0, 2), 0x21, 1024);
    short.send(short.dataOutHeader(2, 0xffffffff, 0, 0, 1024), Buffer.alloc(1024));
    assert.equal(await status(short), "b/c/c");
    strict.close();
    short.close();
  });

  test("a data digest that is wrong costs one command; a header digest the connection", async () => {
    const initiator = await loggedIn("digests", [...DIGESTS, "ImmediateData=Yes"]);
    device.content.fill(0x33, 0, 512);
    initiator.badDigests.add("data");
    initiator.command(1, write10(0, 1), 0xa1, 512, Buffer.alloc(512));
    assert.equal((await expect(initiator, REJECT)).bhs.readUInt8(2), 0x02);
    assert.equal(await status(initiator), "b/47/5");
    initiator.command(2, write10(0, 1), 0xa1, 512);
    const { bhs } = await expect(initiator, R2T);
    initiator.badDigests.add("data");
    initiator.send(initiator.dataOutHeader(2, bhs.readUInt32BE(20), 0, 0, 512), Buffer.alloc(512));
    assert.equal((await expect(initiator, REJECT)).bhs.readUInt8(2), 0x02);
    assert.equal(await status(initiator), "b/47/5");
    initiator.badDigests.add("data");
    initiator.ping(3, "ping");
    assert.equal((await expect(initiator, REJECT)).bhs.readUInt8(2), 0x02);
    initiator.ping(4, "ping");
    assert.equal((await expect(initiator, RESPONSE.nopIn)).data.toString(), "ping");
    assert(
      device.content.subarray(0, 512).every((byte) => byte === 0x33),
      "nothing was written",
    );
    const closed = once(initiator.socket, "close");
    initiator.badDigests.add("header");
    initiator.ping(5);
    await closed;
  });

  test("CmdSN: what is not due, or beyond the window, is ignored", async () => {
    const initiator = await loggedIn("cmdsn");
    const due = initiator.cmdSN;
    for (const cmdSN of [due - 1, due + 1, due + 1000, due + 0x80000000]) {
      initiator.cmdSN = cmdSN >>> 0;
      initiator.ping(1000);
    }
    initiator.cmdSN = due;
    initiator.ping(1);
    const { bhs } = await expect(initiator, RESPONSE.nopIn);
    assert.deepEqual([bhs.readUInt32BE(16), bhs.readUInt32BE(28)], [1, due + 1]);
    initiator.close();
  });

  test("the window closes as commands pile up, and what comes then is not carried out", async () => {
    const initiator = await loggedIn("window");
    const letIt = device.hold();
    const { tasksPerSessionMax } = target.limits;
    for (let tag = 0; tag < tasksPerSessionMax + 5; tag++) initiator.read10(tag, 0, 1);
    initiator.manage(5000, 99);
    // Its answer tells where the window stands: nothing was taken beyond it.
    const { bhs } = await expect(initiator, RESPONSE.task);
    assert.equal(bhs.readUInt32BE(28), 1 + tasksPerSessionMax);
    assert(bhs.readUInt32BE(32) < bhs.readUInt32BE(28), "the window is closed");
    letIt();
    for (let i = 0; i < tasksPerSessionMax; i++) await expect(initiator, RESPONSE.dataIn);
    initiator.cmdSN = 1 + tasksPerSessionMax;
    initiator.ping(1);
    await expect(initiator, RESPONSE.nopIn);
    initiator.close();
  });

  test("immediate commands beyond the window are told that the task set is full", async () => {
    const initiator = await loggedIn("immediate");
    const letIt = device.hold();
    const cdb = Buffer.alloc(16);
    cdb.writeUInt8(0x28, 0);
    cdb.writeUInt16BE(1, 7);
    const max = target.limits.tasksPerSessionMax + 16;
    for (let tag = 0; tag <= max; tag++) {
      const bhs = initiator.header(0x41, 0xc1, tag);
      bhs.writeUInt32BE(512, 20);
      cdb.copy(bhs, 32);
      initiator.send(bhs);
    }
    const full = await expect(initiator, RESPONSE.scsi);
    assert.deepEqual([full.bhs.readUInt8(3), full.bhs.readUInt32BE(16)], [0x28, max]);
    letIt();
    for (let i = 0; i < max; i++) await expect(initiator, RESPONSE.dataIn);
    initiator.close();
  });

  test("a task tag in use is rejected, and the task that has it goes on", async () => {
    const initiator = await loggedIn("tags");
    initiator.command(7, write10(0, 1), 0xa1, 512);
    const { bhs } = await expect(initiator, R2T);
    initiator.command(7, write10(0, 1), 0xa1, 512);
    assert.equal((await expect(initiator, REJECT)).bhs.readUInt8(2), 0x09);
    initiator.send(initiator.dataOutHeader(7, bhs.readUInt32BE(20), 0, 0, 512), Buffer.alloc(512, 0x44));
    assert.equal(await status(initiator), "good");
    const letIt = device.hold();
    initiator.read10(8, 0, 1);
    initiator.read10(8, 0, 1);
    assert.equal((await expect(initiator, REJECT)).bhs.readUInt8(2), 0x09);
    letIt();
    await expect(initiator, RESPONSE.dataIn);
    initiator.close();
  });

  test("task management: each function, and what it answers", async () => {
    const initiator = await loggedIn("tasks");
    const answer = async () => (await expect(initiator, RESPONSE.task)).bhs.readUInt8(2);
    initiator.manage(100, 1, 42);
    assert.equal(await answer(), 1, "there is no such task");
    initiator.command(1, write10(0, 1), 0xa1, 512);
    await expect(initiator, R2T);
    initiator.manage(101, 1, 1);
    assert.equal(await answer(), 0, "a task that collects its data");
    assert.equal(target.buffers.usedBytes, 0);
    for (const action of [2, 4, 5, 6]) {
      const letIt = device.hold();
      initiator.command(2, write10(0, 1), 0xa1, 512, Buffer.alloc(512, 0x55));
      initiator.command(3, write10(0, 16), 0xa1, 8192);
      await expect(initiator, R2T);
      initiator.manage(110 + action, action);
      // The answer says that nothing touches the device any more: it can't come before the write is through.
      initiator.ping(120);
      await expect(initiator, RESPONSE.nopIn);
      letIt();
      assert.equal(await answer(), 0, `function ${action}`);
      assert.equal(target.buffers.usedBytes, 0);
      if (action < 5) continue;
      initiator.command(4, Buffer.alloc(16), 0x81, 0);
      assert.match(await status(initiator), /^6\/29\//, "a reset is told");
    }
    initiator.manage(130, 1, 1, 3);
    assert.equal(await answer(), 2, "no such LUN");
    initiator.manage(131, 8, 1);
    assert.equal(await answer(), 4, "no reassignment");
    for (const action of [0, 3, 9, 127]) {
      initiator.manage(132, action);
      assert.equal(await answer(), 5, `function ${action}`);
    }
    initiator.close();
  });

  test("a cold reset ends every session of the target, and of no other", async () => {
    const [one, two] = [await loggedIn("cold-1"), await loggedIn("cold-2")];
    const other = await loggedIn("cold-3", [], OTHER);
    const closed = [once(one.socket, "close"), once(two.socket, "close")];
    one.manage(1, 7);
    await expect(one, RESPONSE.task);
    await Promise.all(closed);
    other.ping(1);
    await expect(other, RESPONSE.nopIn);
    other.close();
  });

  test("PDUs that there are not, or that come from targets only, are rejected by reason", async () => {
    const initiator = await loggedIn("unknown");
    for (const [opcode, reason] of [
      [0x10, 0x03],
      [0x03, 0x04],
      [0x1f, 0x05],
      [0x25, 0x05],
      [0x3f, 0x05],
    ] as const) {
      const bhs = Buffer.alloc(48);
      bhs.writeUInt8(opcode, 0);
      bhs.writeUInt32BE(77, 16);
      initiator.send(bhs);
      const reject = await expect(initiator, REJECT);
      assert.equal(reject.bhs.readUInt8(2), reason, `opcode ${opcode.toString(16)}`);
      assert(reject.data.equals(bhs), "with the header that it is about");
    }
    initiator.close();
  });

  test("text requests: in parts, with answers in parts, and out of place", async () => {
    const initiator = await loggedIn("text", ["MaxRecvDataSegmentLength=512"]);
    const pieces = ["SendTar", "gets=All\0Unknown-Key=1", "\0MaxRecvDataSegmentLength=600\0"];
    initiator.text(1, 0x40, 0xffffffff, pieces[0] ?? "");
    let answer = await expect(initiator, RESPONSE.text);
    assert.deepEqual([answer.bhs.readUInt8(1) & 0x80, answer.data.length], [0, 0]);
    initiator.text(2, 0x40, answer.bhs.readUInt32BE(20), pieces[1] ?? "");
    answer = await expect(initiator, RESPONSE.text);
    initiator.text(3, 0x80, answer.bhs.readUInt32BE(20), pieces[2] ?? "");
    answer = await expect(initiator, RESPONSE.text);
    assert.equal(answer.bhs.readUInt8(1) & 0x80, 0x80);
    const said = answer.data.toString();
    assert.match(said, new RegExp(`TargetName=${NAME}\0TargetAddress=127.0.0.1:${port},1\0`));
    assert.match(said, /Unknown-Key=NotUnderstood\0/);
    assert(!said.includes(OTHER), "a normal session is shown its own target only");
    initiator.text(4, 0x80, 1, "");
    assert.equal((await expect(initiator, REJECT)).bhs.readUInt8(2), 0x09, "nothing to go on with");
    initiator.text(5, 0x80, 0xffffffff, "no pair");
    assert.equal((await expect(initiator, REJECT)).bhs.readUInt8(2), 0x04);
    initiator.close();
  });

  test("discovery: long answers come in parts; commands are rejected there", async () => {
    const names = Array.from({ length: 40 }, (_, i) => `iqn.1997-05.com.amazon:many-${i}`);
    for (const name of names) entries.set(name, { targetName: name, device, identity });
    const initiator = await connect();
    const keys = ["SessionType=Discovery", "MaxRecvDataSegmentLength=512"];
    assert.equal(await initiator.login("iqn.2026-01.test:discovery", undefined, keys), 0);
    initiator.text(1, 0x80, 0xffffffff, "SendTargets=All\0");
    let text = "";
    for (let tag = 2; ; tag++) {
      const { bhs, data } = await expect(initiator, RESPONSE.text);
      assert(data.length <= 512);
      text += data.toString();
      if ((bhs.readUInt8(1) & 0x80) !== 0) break;
      initiator.text(tag, 0x80, bhs.readUInt32BE(20), "");
    }
    for (const name of names) {
      assert(text.includes(`TargetName=${name}\0`));
      entries.delete(name);
    }
    initiator.read10(100, 0, 1);
    assert.equal((await expect(initiator, REJECT)).bhs.readUInt8(2), 0x04);
    initiator.close();
  });

  test("logout: for the session, for its connection, for another, for recovery", async () => {
    const initiator = await loggedIn("logout");
    const logout = async (reason: number, cid: number) => {
      const bhs = initiator.header(0x06, 0x80 | reason, 1);
      bhs.writeUInt16BE(cid, 20);
      initiator.send(bhs);
      return (await expect(initiator, RESPONSE.logout)).bhs.readUInt8(2);
    };
    assert.equal(await logout(1, 9), 1, "there is no such connection");
    assert.equal(await logout(2, 0), 2, "no recovery");
    const closed = once(initiator.socket, "close");
    assert.equal(await logout(1, 0), 0);
    await closed;
  });

  test("a session is reinstated by the same initiator and ISID; its old writes come first", async () => {
    const first = await loggedIn("again");
    const letIt = device.hold();
    first.command(1, write10(0, 1), 0xa1, 512, Buffer.alloc(512, 0x01));
    first.manage(2, 99);
    await expect(first, RESPONSE.task);
    const closed = once(first.socket, "close");
    const second = await connect();
    second.isid = first.isid;
    assert.equal(await second.login("iqn.2026-01.test:again", NAME), 0);
    await closed;
    second.command(1, write10(0, 1), 0xa1, 512, Buffer.alloc(512, 0x02));
    second.command(1, write10(0, 1), 0xa1, 512, Buffer.alloc(512, 0x03));
    assert.equal((await expect(second, REJECT)).bhs.readUInt8(2), 0x09, "it is held, and its tag in use");
    letIt();
    assert.equal(await status(second), "good");
    assert(
      device.content.subarray(0, 512).every((byte) => byte === 0x02),
      "the newer write is what is there",
    );
    second.close();
  });

  test("credentials that change end the sessions that they would not let in again", async () => {
    const credential: ChapCredential = {
      initiatorName: "iqn.2026-01.test:kept",
      secretToAuthenticateInitiator: "secret-of-12-b",
    };
    const set = (credentials: readonly ChapCredential[]) => {
      entries.set(OTHER, { ...(entries.get(OTHER) as TargetEntry), credentials });
      target.credentialsChanged(OTHER);
    };
    const initiator = await loggedIn("kept", [], OTHER);
    set([]);
    initiator.ping(1);
    await expect(initiator, RESPONSE.nopIn);
    assert.deepEqual(
      target.sessions(OTHER).map(({ initiatorName }) => initiatorName),
      ["iqn.2026-01.test:kept"],
    );
    const closed = once(initiator.socket, "close");
    set([credential]);
    await closed;
    const refused = await connect();
    assert.equal(await refused.login("iqn.2026-01.test:kept", OTHER), 0x0201);
    assert.deepEqual(target.sessions(OTHER), []);
    set([]);
    (await loggedIn("kept", [], OTHER)).close();
  });

  test("IPv6, and several portals in what discovery shows", async () => {
    const six = await target.listen("::1", 0);
    const initiator = await connect("::1", six.port);
    assert.equal(await initiator.login("iqn.2026-01.test:six", NAME), 0);
    initiator.text(1, 0x80, 0xffffffff, "SendTargets=\0");
    const { data } = await expect(initiator, RESPONSE.text);
    const addresses = [...data.toString().matchAll(/TargetAddress=([^\0]+)/g)].map(([, address]) => address);
    assert.deepEqual(addresses, [`[::1]:${six.port},1`, `127.0.0.1:${port},1`]);
    initiator.close();
  });

  test("a shutdown asks initiators to log out, and ends those that do not", async () => {
    const own = new Target({ clock: systemClock, directory: target.directory });
    const { port: ownPort } = await own.listen("127.0.0.1", 0);
    const [polite, deaf] = [await connect(undefined, ownPort), await connect(undefined, ownPort)];
    for (const [name, initiator] of Object.entries({ polite, deaf })) {
      assert.equal(await initiator.login(`iqn.2026-01.test:${name}`, NAME), 0);
    }
    const closed = own.close();
    const { bhs } = await expect(polite, ASYNC);
    assert.equal(bhs.readUInt8(36), 1, "the target wants a logout");
    polite.send(polite.header(0x06, 0x80, 1));
    await expect(polite, RESPONSE.logout);
    await closed;
    await assert.rejects(async () => {
      for (;;) await deaf.next();
    });
  });
});
