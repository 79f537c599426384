/** What peers make the target keep is bounded, for all of them together too, and comes back. */
import { strict as assert } from "node:assert";
import { once } from "node:events";
import { afterEach, beforeEach, describe, test } from "node:test";
import { ManualClock } from "../../test/kit/manual-clock.ts";
import type { RawInitiator } from "../../test/kit/raw-initiator.ts";
import { expect, OTHER, RESPONSE, TargetKit } from "../../test/kit/target-kit.ts";
import { nextTurn } from "../platform/clock.ts";
import { DataBuffers } from "./data-buffers.ts";
import { DEFAULT_TARGET_LIMITS } from "./limits.ts";
import { totalBacklogBytes } from "./transmitter.ts";

const KIB = 1024;
const MIB = 1024 * KIB;
const LARGE_PDUS = ["MaxRecvDataSegmentLength=262144"];
const LIMITS = {
  ...DEFAULT_TARGET_LIMITS,
  totalBufferBytesMax: 8 * MIB,
  totalBacklogBytesMax: 8 * MIB,
};

describe("buffers of writes", () => {
  const clock = new ManualClock();
  const buffers = new DataBuffers(64 * MIB, clock);
  const many = (count: number, bytes: number) =>
    Array.from({ length: count }, () => {
      const buffer = buffers.take(bytes);
      assert(buffer?.length === bytes);
      return buffer;
    });
  const giveAll = (all: readonly Buffer[]) => {
    for (const buffer of all) buffers.give(buffer);
  };

  test("are kept while they are needed again, and go back to the system when they have not been for a while", () => {
    giveAll(many(32, MIB));
    assert.equal(buffers.freeBytes, 32 * MIB);
    // A few are in use again and again, as those of a session that writes.
    for (let i = 0; i < 12; i++) {
      giveAll(many(3, MIB));
      clock.advance(5_000);
    }
    assert.equal(buffers.freeBytes, 3 * MIB);
    clock.advance(20_000);
    assert.equal(buffers.freeBytes, 0);
    assert.equal(clock.nextDueMs, undefined, "nothing to do, and no timer for it");
  });

  test("have a limit, with those that are kept, whatever their sizes", () => {
    const before = process.memoryUsage().arrayBuffers;
    for (const bytes of [MIB, 64 * KIB, 4 * MIB, 4 * KIB, 16 * MIB]) {
      const all = many((64 * MIB) / bytes, bytes);
      assert.equal(buffers.take(1), undefined);
      assert.equal(buffers.usedBytes + buffers.freeBytes, 64 * MIB);
      giveAll(all);
    }
    // At once, without the collector of garbage.
    assert(process.memoryUsage().arrayBuffers - before < 80 * MIB);
    clock.advance(20_000);
    assert(process.memoryUsage().arrayBuffers - before < 16 * MIB);
    assert.deepEqual([buffers.usedBytes, buffers.freeBytes], [0, 0]);
  });
});

describe("memory that peers take", () => {
  let kit: TargetKit;
  let steady: RawInitiator;
  beforeEach(async () => {
    kit = new TargetKit(LIMITS);
    await kit.start();
    steady = await kit.loggedIn("steady", [], OTHER);
  });
  afterEach(() => kit.stop());

  /** The target has worked for another session so often. */
  async function turns(count: number): Promise<void> {
    for (let i = 0; i < count; i++) {
      steady.read10(i, 0, 1);
      await expect(steady, RESPONSE.dataIn);
    }
  }

  /** Ends the peers, until only so many connections are left. */
  async function gone(peers: readonly RawInitiator[], left = 1): Promise<void> {
    await Promise.all(peers.map((peer) => Promise.all([once(peer.socket, "close"), peer.close()])));
    while (kit.target.connectionCount > left) await nextTurn();
  }

  test("reads that a device takes its time with: no more buffers than there may be, the rest is told to come again", async () => {
    const release = kit.device.hold();
    const peer = await kit.loggedIn("waiting", LARGE_PDUS);
    for (let tag = 1; tag <= 100; tag++) peer.read10(tag, 0, (256 * KIB) / 512);
    for (let refused = 0; refused < 100 - LIMITS.totalBufferBytesMax / (256 * KIB); refused++) {
      const { bhs } = await expect(peer, RESPONSE.scsi);
      assert.equal(bhs.readUInt8(3), 0x08, "BUSY");
    }
    assert.equal(kit.target.buffers.usedBytes, LIMITS.totalBufferBytesMax);
    release();
    await expect(peer, RESPONSE.dataIn);
    await gone([peer]);
    await turns(1);
    assert.equal(kit.target.buffers.usedBytes, 0);
  });

  test("many peers that do not read: all together keep a bounded backlog, and it is given back", async () => {
    const peers: RawInitiator[] = [];
    for (let i = 0; i < 24; i++) {
      const peer = await kit.loggedIn(`deaf-${i}`, LARGE_PDUS);
      peer.socket.pause();
      for (let tag = 1; tag <= 64; tag++) peer.read10(tag, 0, MIB / 512);
      peers.push(peer);
    }
    await turns(200);
    const { backlogBytes } = kit.target;
    assert(backlogBytes > 0);
    // One that has no backlog may go on by one turn, so that nobody waits for others for ever.
    const most = LIMITS.totalBacklogBytesMax + peers.length * 2 * MIB;
    assert(backlogBytes <= most, `${backlogBytes} bytes wait`);
    const [first, ...others] = peers;
    assert(first !== undefined);
    await gone(others, 2);
    first.socket.resume();
    for (let received = 0; received < 64 * MIB; )
      received += (await expect(first, RESPONSE.dataIn)).data.length;
    await turns(1);
    assert.equal(totalBacklogBytes(), 0);
  });

  test("what waited for many peers is given back as they go, and does not wait for a collection of garbage", async () => {
    const roomy = new TargetKit({ ...LIMITS, totalBacklogBytesMax: 64 * MIB });
    await roomy.start();
    const before = process.memoryUsage().arrayBuffers;
    const peers: RawInitiator[] = [];
    for (let i = 0; i < 24; i++) {
      const peer = await roomy.loggedIn(`deaf-${i}`, LARGE_PDUS);
      peer.socket.pause();
      for (let tag = 1; tag <= 64; tag++) peer.read10(tag, 0, MIB / 512);
      peers.push(peer);
    }
    while (roomy.target.backlogBytes < 64 * MIB) await nextTurn();
    const held = process.memoryUsage().arrayBuffers - before;
    assert(held > 64 * MIB, `${held} bytes are held`);
    for (const peer of peers) peer.close();
    while (roomy.target.connectionCount > 0) await nextTurn();
    await roomy.stop();
    const left = process.memoryUsage().arrayBuffers - before;
    assert(left < 32 * MIB, `${left} of ${held} bytes are left`);
  });

  test("small answers to a peer that does not read cost what they are, not a slab each", async () => {
    const peer = await kit.loggedIn("mute", LARGE_PDUS);
    peer.socket.pause();
    // Until nothing goes out any more.
    for (let tag = 1; kit.target.backlogBytes === 0; tag++) {
      peer.read10(tag, 0, (256 * KIB) / 512);
      await turns(2);
    }
    const before = process.memoryUsage().arrayBuffers;
    for (let tag = 100; tag < 300; tag++) {
      peer.ping(tag);
      await turns(1);
    }
    const grown = process.memoryUsage().arrayBuffers - before;
    assert(grown < 64 * MIB, `${grown} bytes for 200 answers`);
    await gone([peer]);
  });
});
