/** No input is fatal: whatever one peer sends, or leaves unsent, others are served and memory comes back. */
import { strict as assert } from "node:assert";
import { once } from "node:events";
import { after, afterEach, before, describe, test } from "node:test";
import type { RawInitiator } from "../../test/kit/raw-initiator.ts";
import { SeededRandom } from "../../test/kit/seeded-random.ts";
import { expect, NAME, RESPONSE, statusOf, TargetKit, write, write10 } from "../../test/kit/target-kit.ts";

const MIB = 1024 * 1024;
const ALL_SOLICITED = { immediate: 0, unsolicited: 0, pduBytes: 65536 };
const STEADY_LBA = 30_000;

function login(keys: string | Buffer): Buffer {
  const bhs = Buffer.alloc(48);
  bhs.writeUInt8(0x43, 0);
  bhs.writeUInt8(0x87, 1);
  const data = Buffer.from(keys);
  bhs.writeUIntBE(data.length, 5, 3);
  return Buffer.concat([bhs, data, Buffer.alloc((4 - (data.length % 4)) % 4)]);
}

const NAMES = `InitiatorName=iqn.2026-01.test:hostile\0TargetName=${NAME}\0`;

describe("no input is fatal", () => {
  const kit = new TargetKit();
  const { device, target } = kit;
  const steadyData = new SeededRandom(11).bytes(64 * 512);
  let steady: RawInitiator;
  let steadyTag = 1;

  before(async () => {
    await kit.start();
    steady = await kit.loggedIn("steady");
    assert.equal(await write(steady, steadyTag++, STEADY_LBA, steadyData, ALL_SOLICITED), "good");
  });
  after(() => kit.stop());
  afterEach(async () => {
    await isServed();
    await onlySteadyIsLeft();
    assert.equal(target.buffers.usedBytes, 0, "buffers of writes");
    const internal = kit.events.find(({ reason }) => reason?.startsWith("internal"));
    assert.equal(internal, undefined, internal?.reason);
  });

  /** The other session reads what it had written. */
  async function isServed(): Promise<void> {
    const tag = steadyTag++;
    steady.read10(tag, STEADY_LBA, 64);
    const content = Buffer.alloc(steadyData.length);
    for (;;) {
      const { bhs, data } = await expect(steady, RESPONSE.dataIn);
      assert.equal(bhs.readUInt32BE(16), tag);
      data.copy(content, bhs.readUInt32BE(40));
      if ((bhs.readUInt8(1) & 0x01) !== 0) break;
    }
    assert(content.equals(steadyData));
  }

  async function onlySteadyIsLeft(): Promise<void> {
    for (let turn = 0; target.connectionCount > 1; turn++) {
      assert(turn < 20_000, `${target.connectionCount} connections are left`);
      await new Promise((resolve) => setImmediate(resolve));
    }
    assert.deepEqual(target.sessions(NAME).length, 1);
  }

  /** Sends bytes on a connection of their own, and waits until the target has ended it. */
  async function ends(bytes: Buffer): Promise<void> {
    const peer = await kit.connect();
    const closed = once(peer.socket, "close");
    peer.socket.write(bytes);
    await closed;
  }

  test("PDUs that break off anywhere", async () => {
    const whole = login(`${NAMES}HeaderDigest=None\0`);
    for (let length = 0; length < whole.length; length += 7) {
      const peer = await kit.connect();
      peer.socket.end(whole.subarray(0, length));
      await once(peer.socket, "close");
    }
    for (const length of [1, 47, 48, 49, 100, 559]) {
      const peer = await kit.loggedIn("broken-off", ["ImmediateData=Yes"]);
      const bhs = peer.header(0x01, 0xa1, 1);
      bhs.writeUIntBE(512, 5, 3);
      bhs.writeUInt32BE(512, 20);
      write10(0, 1).copy(bhs, 32);
      peer.socket.end(Buffer.concat([bhs, Buffer.alloc(512)]).subarray(0, length));
      await once(peer.socket, "close");
    }
  });

  test("data segments of up to 2^24-1 bytes before the login: refused by the header alone", async () => {
    for (const length of [8193, 65536, 262145, 2 ** 24 - 1]) {
      const bhs = login("");
      bhs.writeUIntBE(length, 5, 3);
      await ends(bhs);
    }
    const peer = await kit.loggedIn("oversized");
    const closed = once(peer.socket, "close");
    const bhs = peer.header(0x00, 0x80, 1);
    bhs.writeUIntBE(262_145, 5, 3);
    peer.socket.write(bhs);
    await closed;
  });

  test("additional header segments of every length, in a login and in commands", async () => {
    const peer = await kit.connect();
    const request = login(NAMES);
    request.writeUInt8(255, 4);
    peer.socket.write(
      Buffer.concat([request.subarray(0, 48), Buffer.alloc(1020, 0xff), request.subarray(48)]),
    );
    assert.equal((await expect(peer, RESPONSE.login)).bhs.readUInt16BE(36), 0);
    peer.cmdSN = 0;
    for (let words = 0; words <= 255; words++) {
      const bhs = peer.header(0x01, 0xc1, words);
      bhs.writeUInt8(words, 4);
      bhs.writeUInt32BE(512, 20);
      const cdb = write10(0, 1);
      cdb.writeUInt8(0x28, 0);
      cdb.copy(bhs, 32);
      peer.socket.write(Buffer.concat([bhs, Buffer.alloc(4 * words, words)]));
      assert.equal((await expect(peer, RESPONSE.dataIn)).bhs.readUInt32BE(16), words);
    }
    peer.close();
  });

  const texts: Record<string, string | Buffer> = {
    "10,000 keys": NAMES + Array.from({ length: 10_000 }, (_, i) => `K${i}=1\0`).join(""),
    "1,000 keys": NAMES + Array.from({ length: 1_000 }, (_, i) => `K${i}=1\0`).join(""),
    "a key without a value": `${NAMES}HeaderDigest\0`,
    "no key": `${NAMES}=None\0`,
    "a name without end": `InitiatorName=${"x".repeat(8000)}\0`,
    "a key without end": `${NAMES}${"K".repeat(7000)}=1\0`,
    "no text at all": Buffer.alloc(8000, 0xff),
    "the same key twice": `${NAMES}MaxBurstLength=512\0MaxBurstLength=1024\0`,
  };
  for (const [what, text] of Object.entries(texts)) {
    test(`login text: ${what}`, async () => {
      const bytes = Buffer.from(text);
      const peer = await kit.connect();
      const closed = once(peer.socket, "close");
      // What one request can't carry goes over several (C bit).
      for (let at = 0; at < bytes.length; at += 8192) {
        const part = login(bytes.subarray(at, at + 8192));
        if (at + 8192 < bytes.length) part.writeUInt8(0x44, 1);
        peer.socket.write(part);
      }
      let answer = await expect(peer, RESPONSE.login);
      while (answer.bhs.readUInt16BE(36) === 0) answer = await expect(peer, RESPONSE.login);
      assert.equal(answer.bhs.readUInt8(36), 2, "initiator error");
      await closed;
    });
  }

  test("login text: without a last NUL, and with nothing but NULs, it is taken as it is meant", async () => {
    for (const text of [NAMES.slice(0, -1), `\0\0${NAMES}\0\0\0`]) {
      const peer = await kit.connect();
      peer.socket.write(login(text));
      assert.equal((await expect(peer, RESPONSE.login)).bhs.readUInt16BE(36), 0);
      peer.close();
    }
  });

  test("not a login first", async () => {
    for (const opcode of [0x00, 0x01, 0x02, 0x04, 0x05, 0x06, 0x10, 0x20, 0x3f, 0xff]) {
      const bhs = Buffer.alloc(48);
      bhs.writeUInt8(opcode, 0);
      await ends(bhs);
    }
    await ends(Buffer.from("GET / HTTP/1.1\r\nHost: example.org\r\nAccept: everything\r\n\r\n"));
  });

  test("Data-Out for tasks that there are not is passed over", async () => {
    const peer = await kit.loggedIn("stray");
    for (const [tag, transferTag] of [
      [1, 0xffffffff],
      [2, 5],
      [0xffffffff, 0xffffffff],
    ] as const) {
      peer.send(peer.dataOutHeader(tag, transferTag, 0, 0, 4096), Buffer.alloc(4096));
    }
    const [header, data] = [peer.dataOutHeader(3, 9, 0, 0xfffff000, 200_000), Buffer.alloc(200_000)];
    peer.socket.write(peer.encode(header, data).subarray(0, 100_000));
    peer.socket.write(peer.encode(header, data).subarray(100_000));
    peer.ping(9);
    await expect(peer, RESPONSE.nopIn);
    peer.close();
  });

  test("expected lengths that are too small or too large: residuals tell", async () => {
    const peer = await kit.loggedIn("residuals");
    const cdb = write10(0, 4);
    cdb.writeUInt8(0x28, 0);
    const residual = async (expected: number) => {
      peer.command(1, cdb, 0xc1, expected);
      for (;;) {
        const { opcode, bhs } = await peer.next();
        if (opcode === RESPONSE.scsi || (bhs.readUInt8(1) & 1) !== 0) {
          return [bhs.readUInt8(1) & 0x06, bhs.readUInt32BE(44)];
        }
      }
    };
    assert.deepEqual(await residual(2048), [0, 0]);
    assert.deepEqual(await residual(1000), [4, 1048]);
    assert.deepEqual(await residual(0), [4, 2048]);
    assert.deepEqual(await residual(4096), [2, 2048]);
    assert.deepEqual(await residual(0xffffffff), [2, 0xffffffff - 2048]);
    // A write that announces 4 GiB: no buffer is made for it.
    peer.command(2, write10(0, 1), 0xa1, 0xffffffff);
    assert.equal(await statusOf(peer), "5/24/0");
    // READ(16) of 2 TiB.
    const huge = Buffer.alloc(16);
    huge.writeUInt8(0x88, 0);
    huge.writeUInt32BE(0xffffffff, 10);
    peer.command(3, huge, 0xc1, 0xffffffff);
    assert.match(await statusOf(peer), /^5\/2[14]\/0$/);
    peer.command(4, write10(0xffffffff, 0xffff), 0xa1, 0);
    assert.equal(await statusOf(peer), "5/21/0");
    peer.close();
  });

  test("commands whose flags go the other way, or no way: nothing moves, and residuals say so", async () => {
    const peer = await kit.loggedIn("flags");
    device.content.fill(0x33, 0, 512);
    const read10 = write10(0, 1);
    read10.writeUInt8(0x28, 0);
    const outcome = async (cdb: Buffer, flags: number, expected: number, data = Buffer.alloc(0)) => {
      peer.command(1, cdb, flags, expected, data);
      const { bhs } = await expect(peer, RESPONSE.scsi);
      return [bhs.readUInt8(3), bhs.readUInt8(1) & 0x06, bhs.readUInt32BE(44)];
    };
    // Overflow: what the initiator had room for in the direction of the command is nothing.
    assert.deepEqual(await outcome(write10(0, 1), 0xc1, 512), [0, 4, 512], "WRITE with R");
    assert.deepEqual(await outcome(write10(0, 1), 0x81, 0), [0, 4, 512], "WRITE with neither");
    assert.deepEqual(await outcome(read10, 0x81, 0), [0, 4, 512], "READ with neither");
    assert.deepEqual(await outcome(read10, 0xa1, 512, Buffer.alloc(512)), [0, 4, 512], "READ with W");
    assert(device.content.subarray(0, 512).every((byte) => byte === 0x33));
    peer.close();
  });

  test("NACA is refused: there is no ACA here", async () => {
    const peer = await kit.loggedIn("naca");
    const read10 = write10(0, 1);
    read10.writeUInt8(0x28, 0);
    read10.writeUInt8(0x04, 9);
    peer.command(1, read10, 0xc1, 512);
    assert.equal(await statusOf(peer), "5/24/0");
    const testUnitReady = Buffer.alloc(16);
    testUnitReady.writeUInt8(0x04, 5);
    peer.command(2, testUnitReady, 0x81, 0);
    assert.equal(await statusOf(peer), "5/24/0");
    peer.close();
  });

  test("more write buffers than a session may have: told to wait, and served again afterwards", async () => {
    const peer = await kit.loggedIn("greedy");
    const bytes = 15 * MIB;
    let full = 0;
    for (let tag = 1; tag <= 20; tag++) peer.command(tag, write10(0, 1), 0xa1, bytes);
    for (let i = 0; i < 20; i++) {
      const { opcode, bhs } = await peer.next();
      if (opcode === RESPONSE.r2t) continue;
      assert.deepEqual([opcode, bhs.readUInt8(3)], [RESPONSE.scsi, 0x28]);
      full += 1;
    }
    assert(full > 0 && target.buffers.usedBytes <= target.limits.sessionBufferBytesMax);
    peer.manage(100, 2);
    await expect(peer, RESPONSE.task);
    assert.equal(await write(peer, 101, 0, Buffer.alloc(512), ALL_SOLICITED), "good");
    peer.close();
  });

  test("writes that never get their data, in several sessions: there is room for others' all the same", async () => {
    const peers: RawInitiator[] = [];
    for (let i = 0; i < 8; i++) {
      const peer = await kit.loggedIn(`hoarder-${i}`);
      for (let tag = 1; tag <= 12; tag++) peer.command(tag, write10(0, 1), 0xa1, 15 * MIB);
      for (let tag = 1; tag <= 12; tag++) await peer.next();
      peers.push(peer);
    }
    assert(target.buffers.isScarce);
    const honest = await kit.loggedIn("honest");
    const data = Buffer.alloc(MIB, 0x5a);
    assert.equal(await write(honest, 1, 0, data, ALL_SOLICITED), "good");
    for (const peer of [...peers, honest]) peer.close();
  });

  test("discovery sessions take no room from those of targets", async () => {
    const peers: RawInitiator[] = [];
    const discover = async () => {
      const peer = await kit.connect();
      peers.push(peer);
      return peer.login("iqn.2026-01.test:explorer", undefined, ["SessionType=Discovery"]);
    };
    for (let i = 0; i < target.limits.discoverySessionsMax; i++) assert.equal(await discover(), 0);
    assert.equal(await discover(), 0x0302);
    peers.push(await kit.loggedIn("worker"));
    for (const peer of peers) peer.close();
  });

  test("a peer that stops reading holds up itself alone, and gets all when it reads on", async () => {
    const peer = await kit.loggedIn("deaf", ["MaxRecvDataSegmentLength=262144"]);
    peer.socket.pause();
    device.content.fill(0x77, 0, MIB);
    for (let tag = 1; tag <= 100; tag++) peer.read10(tag, 0, 2048);
    for (let round = 0; round < 20; round++) await isServed();
    assert(target.backlogBytes <= target.limits.backlogBytesMax + 2 * MIB, `${target.backlogBytes} wait`);
    assert(target.backlogBytes > 0);
    peer.socket.resume();
    let received = 0;
    while (received < 100 * MIB) {
      const { data } = await expect(peer, RESPONSE.dataIn);
      assert(data.every((byte, i) => i % 4096 !== 0 || byte === 0x77));
      received += data.length;
    }
    assert.equal(target.backlogBytes, 0);
    peer.close();
  });

  test("1,000 half-open connections: others log in meanwhile", async () => {
    const peers: RawInitiator[] = [];
    for (let i = 0; i < 1000; i++) {
      const peer = await kit.connect();
      peer.socket.write(login(NAMES).subarray(0, i % 60));
      peers.push(peer);
      assert(target.connectionCount <= target.limits.pendingConnectionsMax + 2);
      if (i % 100 !== 99) continue;
      await isServed();
      (await kit.loggedIn("meanwhile")).close();
    }
    for (const peer of peers) peer.close();
  });

  test("byte by byte", async () => {
    const peer = await kit.connect();
    const drip = async (bytes: Buffer) => {
      for (const byte of bytes) {
        peer.socket.write(Buffer.of(byte));
        await new Promise((resolve) => setImmediate(resolve));
      }
    };
    await drip(login(`${NAMES}HeaderDigest=CRC32C\0DataDigest=CRC32C\0ImmediateData=Yes\0`));
    assert.equal((await expect(peer, RESPONSE.login)).bhs.readUInt16BE(36), 0);
    peer.headerDigest = true;
    peer.dataDigest = true;
    peer.cmdSN = 0;
    const bhs = peer.header(0x01, 0xa1, 1);
    bhs.writeUIntBE(100, 5, 3);
    bhs.writeUInt32BE(512, 20);
    write10(0, 1).copy(bhs, 32);
    await drip(peer.encode(bhs, Buffer.alloc(100, 0x61)));
    const r2t = await expect(peer, RESPONSE.r2t);
    const header = peer.dataOutHeader(1, r2t.bhs.readUInt32BE(20), 0, 100, 412);
    await drip(peer.encode(header, Buffer.alloc(412, 0x61)));
    assert.equal(await statusOf(peer), "good");
    assert(device.content.subarray(0, 512).every((byte) => byte === 0x61));
    peer.close();
  });

  test("a connection dropped inside a write: nothing of it is written", async () => {
    device.content.fill(0x10, 0, 8192);
    for (const sent of [0, 1, 48, 4000, 8000]) {
      const peer = await kit.loggedIn("dropped");
      peer.command(1, write10(0, 16), 0xa1, 8192);
      const { bhs } = await expect(peer, RESPONSE.r2t);
      const header = peer.dataOutHeader(1, bhs.readUInt32BE(20), 0, 0, 8192);
      peer.socket.write(peer.encode(header, Buffer.alloc(8192, 0x20)).subarray(0, sent));
      peer.socket.destroySoon();
      await once(peer.socket, "close");
    }
    await onlySteadyIsLeft();
    assert(device.content.subarray(0, 8192).every((byte) => byte === 0x10));
  });

  test("a connection dropped inside a write that another's reset had ended already", async () => {
    const [peer, other] = [await kit.loggedIn("ended"), await kit.loggedIn("resetter")];
    peer.command(1, write10(0, 400), 0xa1, 204_800);
    const { bhs } = await expect(peer, RESPONSE.r2t);
    const header = peer.dataOutHeader(1, bhs.readUInt32BE(20), 0, 0, 204_800);
    const bytes = peer.encode(header, Buffer.alloc(204_800));
    peer.socket.write(bytes.subarray(0, 100_000));
    // The first half has to have arrived before the reset: the target works for another until it must have.
    for (let i = 0; i < 20; i++) await isServed();
    other.manage(1, 4);
    await expect(other, RESPONSE.task);
    const closed = once(peer.socket, "close");
    peer.close();
    await closed;
    other.close();
  });

  test("a storm of logins", async () => {
    for (let wave = 0; wave < 10; wave++) {
      const names = Array.from({ length: 30 }, (_, i) => `storm-${wave}-${i}`);
      const peers = await Promise.all(names.map((name) => kit.loggedIn(name)));
      await isServed();
      for (const [i, peer] of peers.entries()) {
        if (i % 2 === 0) peer.send(peer.header(0x46, 0x80, 1));
        else peer.close();
      }
    }
  });

  test("one session more than a target takes is refused by the book; a reinstated one is none more", async () => {
    const peers: RawInitiator[] = [];
    while (target.sessions(NAME).length < target.limits.sessionsPerTargetMax) {
      peers.push(await kit.loggedIn(`many-${peers.length}`));
    }
    const last = await kit.connect();
    assert.equal(await last.login("iqn.2026-01.test:last", NAME), 0x0302);
    const again = await kit.connect();
    again.isid = peers[0]?.isid ?? 0;
    assert.equal(await again.login("iqn.2026-01.test:many-0", NAME), 0);
    for (const peer of [...peers, again]) peer.close();
  });
});
