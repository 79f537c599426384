/** What a peer is told that breaks the protocol (RFC 7143): which refusal, and what it costs: a command, or everything. */
import { strict as assert } from "node:assert";
import { once } from "node:events";
import { after, afterEach, before, describe, test } from "node:test";
import type { RawInitiator } from "../../test/kit/raw-initiator.ts";
import { expect, NAME, OTHER, RESPONSE, statusOf, TargetKit, write10 } from "../../test/kit/target-kit.ts";
import { DEFAULT_TARGET_LIMITS } from "./limits.ts";

const NO_TAG = 0xffffffff;
const MIB = 1024 * 1024;
const NAMES = `InitiatorName=iqn.2026-01.test:refused\0TargetName=${NAME}\0`.padEnd(80, "\0");
const REASON = { protocolError: 0x04, invalidPduField: 0x09 };

function read10(lba: number, blocks: number): Buffer {
  const cdb = write10(lba, blocks);
  cdb.writeUInt8(0x28, 0);
  return cdb;
}

describe("what is refused", () => {
  const kit = new TargetKit({ ...DEFAULT_TARGET_LIMITS, backlogBytesMax: MIB });
  const { device, target } = kit;
  before(() => kit.start());
  after(() => kit.stop());
  afterEach(() => {
    const internal = kit.events.find(({ reason }) => reason?.startsWith("internal"));
    assert.equal(internal, undefined, internal?.reason);
  });

  async function stillWorks(initiator: RawInitiator): Promise<void> {
    initiator.command(900, read10(0, 1), 0xc1, 512);
    assert.equal((await expect(initiator, RESPONSE.dataIn)).bhs.readUInt32BE(16), 900);
    initiator.close();
  }

  async function reasonOf(initiator: RawInitiator): Promise<number> {
    return (await expect(initiator, RESPONSE.reject)).bhs.readUInt8(2);
  }

  /** The status of the answer to a login that ends the connection. */
  async function refusal(peer: RawInitiator, closed: Promise<unknown>): Promise<number> {
    const { bhs } = await expect(peer, RESPONSE.login);
    await closed;
    return bhs.readUInt16BE(36);
  }

  function loginHeader(flags: number, dataBytes: number): Buffer {
    const bhs = Buffer.alloc(48);
    bhs.writeUInt8(0x43, 0);
    bhs.writeUInt8(flags, 1);
    bhs.writeUIntBE(dataBytes, 5, 3);
    return bhs;
  }

  test("a login with T and C, with too much data, and one that something else breaks into", async () => {
    for (const [status, bytes] of [
      [0x0200, [loginHeader(0xc7, NAMES.length), NAMES]],
      [0x0200, [loginHeader(0x87, 2 ** 24 - 1)]],
      [0x0200, [loginHeader(0x87, 2 ** 24 - 1), "x".repeat(4 * MIB)]],
      [0x0200, [loginHeader(0x87, 8193), "x".repeat(8196)]],
      [0x020b, [loginHeader(0x04, NAMES.length), NAMES, Buffer.alloc(48)]],
    ] as const) {
      const peer = await kit.connect();
      const closed = once(peer.socket, "close");
      peer.socket.write(Buffer.concat(bytes.map((part) => Buffer.from(part))));
      if (status === 0x020b) assert.equal((await expect(peer, RESPONSE.login)).bhs.readUInt16BE(36), 0);
      assert.equal(await refusal(peer, closed), status);
    }
  });

  test("requests with the reserved task tag, which nothing could be answered by", async () => {
    const initiator = await kit.loggedIn("no-tag");
    device.content.fill(0x11, 0, 512);
    initiator.command(NO_TAG, write10(0, 1), 0xa1, 512, Buffer.alloc(512, 0x22));
    assert.equal(await reasonOf(initiator), REASON.invalidPduField);
    initiator.text(NO_TAG, 0x80, NO_TAG, "SendTargets=\0");
    assert.equal(await reasonOf(initiator), REASON.invalidPduField);
    initiator.manage(NO_TAG, 5);
    assert.equal(await reasonOf(initiator), REASON.invalidPduField);
    initiator.send(initiator.header(0x06, 0x80, NO_TAG));
    assert.equal(await reasonOf(initiator), REASON.invalidPduField);
    assert(device.content.subarray(0, 512).every((byte) => byte === 0x11));
    await stillWorks(initiator);
  });

  test("a command that goes both ways", async () => {
    const initiator = await kit.loggedIn("both-ways");
    device.content.fill(0x11, 0, 512);
    for (const cdb of [write10(0, 1), read10(0, 1)]) {
      for (const data of [Buffer.alloc(0), Buffer.alloc(512, 0x22)]) {
        initiator.command(1, cdb, 0xe1, 512, data);
        assert.equal(await statusOf(initiator), "5/e/3");
      }
    }
    assert(device.content.subarray(0, 512).every((byte) => byte === 0x11));
    await stillWorks(initiator);
  });

  test("a task attribute that there is not", async () => {
    const initiator = await kit.loggedIn("attributes");
    for (let attribute = 0; attribute <= 7; attribute++) {
      initiator.command(1, Buffer.alloc(16), 0x80 | attribute, 0);
      assert.equal(await statusOf(initiator), attribute <= 3 ? "good" : "5/e/3");
    }
    await stillWorks(initiator);
  });

  test("a request that nobody knows uses up the number that it has, if it is the one that is due", async () => {
    const initiator = await kit.loggedIn("unknown");
    for (const opcode of [0x1c, 0x0a, 0x31, 0x5e]) {
      initiator.send(initiator.header(opcode, 0x80, 1));
      assert.equal(await reasonOf(initiator), 0x05);
      initiator.ping(2);
      await expect(initiator, RESPONSE.nopIn);
    }
    await stillWorks(initiator);
  });

  test("immediate data that a command has no room for", async () => {
    const initiator = await kit.loggedIn("too-much");
    device.content.fill(0x11, 0, 1024);
    for (const [cdb, flags, expected] of [
      [write10(0, 1), 0xa1, 512],
      [write10(0, 2), 0xa1, 0],
      [read10(0, 2), 0xc1, 1024],
      [Buffer.alloc(16), 0x81, 0],
    ] as const) {
      initiator.command(1, cdb, flags, expected, Buffer.alloc(1024, 0x22));
      assert.equal(await statusOf(initiator), "b/c/c", `flags ${flags}`);
    }
    assert(device.content.subarray(0, 1024).every((byte) => byte === 0x11));
    await stillWorks(initiator);
  });

  test("a burst that ends before it is whole", async () => {
    const initiator = await kit.loggedIn("short");
    device.content.fill(0x11, 0, 4096);
    for (const length of [0, 512, 4095]) {
      initiator.command(1, write10(0, 8), 0xa1, 4096);
      const { bhs } = await expect(initiator, RESPONSE.r2t);
      const header = initiator.dataOutHeader(1, bhs.readUInt32BE(20), 0, 0, length);
      initiator.send(header, Buffer.alloc(length, 0x22));
      assert.equal(await statusOf(initiator), "b/c/d", `${length} bytes`);
    }
    assert(device.content.subarray(0, 4096).every((byte) => byte === 0x11));
    assert.equal(target.buffers.usedBytes, 0);
    await stillWorks(initiator);
  });

  test("a text request that never ends is refused, and the next one is answered", async () => {
    const initiator = await kit.loggedIn("text-endless");
    let transferTag = NO_TAG;
    for (let tag = 1; ; tag++) {
      assert(tag < 100, "64 KiB of text are enough");
      initiator.text(tag, 0x40, transferTag, "k".repeat(8000));
      const { opcode, bhs } = await initiator.next();
      if (opcode === RESPONSE.reject) {
        assert.equal(bhs.readUInt8(2), REASON.protocolError);
        break;
      }
      transferTag = bhs.readUInt32BE(20);
    }
    initiator.text(200, 0x80, transferTag, "SendTargets=\0");
    assert.equal(await reasonOf(initiator), REASON.invalidPduField, "there is nothing to go on with");
    initiator.text(201, 0x80, NO_TAG, "SendTargets=\0");
    assert.match((await expect(initiator, RESPONSE.text)).data.toString(), /^TargetName=/);
    await stillWorks(initiator);
  });

  test("in text requests: a key said twice, keys of the login, keys that nobody knows", async () => {
    const initiator = await kit.loggedIn("text-keys");
    initiator.text(1, 0x80, NO_TAG, "SendTargets=All\0SendTargets=All\0");
    assert.equal(await reasonOf(initiator), REASON.protocolError);
    initiator.text(2, 0x80, NO_TAG, "HeaderDigest=CRC32C\0X-a.b=1\0InitiatorAlias=me\0TargetName=x\0");
    const { data } = await expect(initiator, RESPONSE.text);
    assert.equal(data.toString(), "HeaderDigest=Reject\0X-a.b=NotUnderstood\0TargetName=Reject\0");
    await stillWorks(initiator);
  });

  test("damaged data of a command whose tag is in use costs that command, not the one that has it", async () => {
    const digests = ["HeaderDigest=CRC32C", "DataDigest=CRC32C", "ImmediateData=Yes"];
    const initiator = await kit.loggedIn("damaged", digests);
    initiator.command(1, write10(0, 2), 0xa1, 1024);
    const { bhs } = await expect(initiator, RESPONSE.r2t);
    initiator.badDigests.add("data");
    initiator.command(1, write10(0, 1), 0xa1, 512, Buffer.alloc(512));
    assert.equal(await reasonOf(initiator), 0x02);
    initiator.send(initiator.dataOutHeader(1, bhs.readUInt32BE(20), 0, 0, 1024), Buffer.alloc(1024));
    assert.equal(await statusOf(initiator), "good");
    await stillWorks(initiator);
  });
});

describe("what is counted", () => {
  const kit = new TargetKit({ ...DEFAULT_TARGET_LIMITS, backlogBytesMax: MIB });
  const { device } = kit;
  before(() => kit.start());
  after(() => kit.stop());

  test("ExpDataSN of a response: the R2Ts of a write, whether it went well or not", async () => {
    const initiator = await kit.loggedIn("counted", ["MaxBurstLength=512", "ImmediateData=No"]);
    const expDataSN = async (blocks: number, lba: number) => {
      initiator.command(1, write10(lba, blocks), 0xa1, blocks * 512);
      for (let i = 0; i < blocks; i++) {
        const { bhs } = await expect(initiator, RESPONSE.r2t);
        assert.deepEqual(
          [bhs.readUInt32BE(36), bhs.readUInt32BE(40), bhs.readUInt32BE(44)],
          [i, i * 512, 512],
        );
        const header = initiator.dataOutHeader(1, bhs.readUInt32BE(20), 0, i * 512, 512);
        initiator.send(header, Buffer.alloc(512));
      }
      return (await expect(initiator, RESPONSE.scsi)).bhs.readUInt32BE(36);
    };
    assert.deepEqual([await expDataSN(1, 0), await expDataSN(5, 0)], [1, 5]);
    assert.equal(await expDataSN(3, 0xfffffff0), 3, "out of range");
    device.inline = false;
    assert.equal(await expDataSN(4, 0), 4);
    device.inline = true;
    initiator.command(2, Buffer.alloc(16), 0x81, 0);
    assert.equal((await expect(initiator, RESPONSE.scsi)).bhs.readUInt32BE(36), 0);
    initiator.close();
  });

  test("the residual of a read that fails is all that has not come, whatever the status", async () => {
    const initiator = await kit.loggedIn("residual");
    const outcome = async (cdb: Buffer, flags: number, expected: number) => {
      initiator.command(1, cdb, flags, expected);
      const { bhs } = await expect(initiator, RESPONSE.scsi);
      return [bhs.readUInt8(3), bhs.readUInt8(1) & 0x06, bhs.readUInt32BE(44)];
    };
    assert.deepEqual(await outcome(read10(0xfffffff0, 2), 0xc1, 1024), [2, 2, 1024], "out of range");
    assert.deepEqual(await outcome(Buffer.alloc(16, 0xff), 0xc1, 4096), [2, 2, 4096], "no such command");
    assert.deepEqual(await outcome(read10(0xfffffff0, 2), 0x81, 0), [2, 0, 0], "nothing expected");
    assert.deepEqual(await outcome(write10(0xfffffff0, 0), 0x81, 0), [2, 0, 0]);
    initiator.close();
  });

  test("a reset is not kept waiting by a peer that does not read", async () => {
    const [deaf, other] = [
      await kit.loggedIn("deaf", ["MaxRecvDataSegmentLength=262144"]),
      await kit.loggedIn("resetter"),
    ];
    device.inline = false;
    deaf.socket.pause();
    for (let tag = 1; tag <= 16; tag++) deaf.read10(tag, 0, 8 * 2048);
    while (kit.target.backlogBytes <= MIB) await new Promise((resolve) => setImmediate(resolve));
    other.manage(1, 5);
    assert.equal((await expect(other, RESPONSE.task)).bhs.readUInt8(2), 0);
    device.inline = true;
    other.command(2, Buffer.alloc(16), 0x81, 0);
    assert.match(await statusOf(other), /^6\/29\//);
    const bystander = await kit.loggedIn("bystander", [], OTHER);
    bystander.read10(1, 0, 1);
    await expect(bystander, RESPONSE.dataIn);
    for (const peer of [deaf, other, bystander]) peer.close();
  });
});
