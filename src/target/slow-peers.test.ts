/** Peers that take too long: to log in, to answer, to send what they were asked for. */
import { strict as assert } from "node:assert";
import { once } from "node:events";
import { after, before, describe, test } from "node:test";
import { ManualClock } from "../../test/kit/manual-clock.ts";
import { expect, RESPONSE, TargetKit, write10 } from "../../test/kit/target-kit.ts";
import { nextTurn } from "../platform/clock.ts";
import { DEFAULT_TARGET_LIMITS } from "./limits.ts";

describe("peers that take too long", () => {
  const clock = new ManualClock();
  const kit = new TargetKit(DEFAULT_TARGET_LIMITS, clock);
  before(() => kit.start());
  after(async () => {
    await kit.stop();
  });

  test("no login in time", async () => {
    const { loginTimeoutMs } = kit.target.limits;
    const peer = await kit.connect();
    const closed = once(peer.socket, "close");
    // Not even one that goes on saying something.
    peer.socket.write(Buffer.from([0x43, 0x87, 0, 0, 0, 0, 0]));
    const other = await kit.loggedIn("in-time");
    clock.advance(loginTimeoutMs);
    await closed;
    other.ping(1);
    await expect(other, RESPONSE.nopIn);
    const bye = once(other.socket, "close");
    other.close();
    await bye;
  });

  test("one that asks for buffers and does not fill them; one that is slow is not", async () => {
    const { pingAfterMs } = kit.target.limits;
    const [hoarder, slow] = [await kit.loggedIn("hoarder"), await kit.loggedIn("slow")];
    const closed = once(hoarder.socket, "close");
    for (const peer of [hoarder, slow]) peer.command(1, write10(0, 8), 0xa1, 4096);
    await expect(hoarder, RESPONSE.r2t);
    const transferTag = (await expect(slow, RESPONSE.r2t)).bhs.readUInt32BE(20);
    for (let i = 0; i < 8; i++) {
      const header = slow.dataOutHeader(1, transferTag, i, i * 512, 512);
      if (i < 7) header.writeUInt8(0, 1);
      slow.send(header, Buffer.alloc(512));
      for (const peer of [hoarder, slow]) {
        if (peer.socket.destroyed) continue;
        // Both are there, and say so.
        peer.ping(100 + i);
        for (;;) {
          const { opcode, bhs } = await peer.next();
          if (opcode === RESPONSE.nopIn && bhs.readUInt32BE(16) !== 0xffffffff) break;
          if (opcode === RESPONSE.scsi) assert.equal(bhs.readUInt8(3), 0);
        }
      }
      clock.advance(pingAfterMs);
      if (i === 2) await closed;
    }
    assert(!slow.socket.destroyed);
    assert(kit.events.some(({ reason }) => reason === "the data of a write does not come"));
    const bye = once(slow.socket, "close");
    slow.close();
    await bye;
  });

  test("one whose data is not taken, as it has answers to take first, is not one that does not send it", async () => {
    const { pingAfterMs } = kit.target.limits;
    const peer = await kit.loggedIn("behind", ["MaxRecvDataSegmentLength=262144"]);
    peer.command(1, write10(0, 8), 0xa1, 4096);
    const transferTag = (await expect(peer, RESPONSE.r2t)).bhs.readUInt32BE(20);
    for (let round = 0; round < 5; round++) {
      peer.socket.pause();
      for (let tag = 2; tag <= 17; tag++) peer.read10(tag, 0, 2048);
      while (kit.target.backlogBytes <= kit.target.limits.backlogBytesMax) await nextTurn();
      clock.advance(pingAfterMs);
      peer.socket.resume();
      for (let left = 16; left > 0; ) {
        const { opcode, bhs } = await peer.next();
        if (opcode === RESPONSE.dataIn && (bhs.readUInt8(1) & 0x01) !== 0) left -= 1;
      }
    }
    peer.send(peer.dataOutHeader(1, transferTag, 0, 0, 4096), Buffer.alloc(4096));
    for (;;) {
      const { opcode, bhs } = await peer.next();
      if (opcode !== RESPONSE.scsi) continue;
      assert.deepEqual([bhs.readUInt32BE(16), bhs.readUInt8(3)], [1, 0]);
      break;
    }
    const bye = once(peer.socket, "close");
    peer.close();
    await bye;
  });

  test("a silent peer is asked, and dropped when it does not answer; one that answers stays", async () => {
    const { pingAfterMs } = kit.target.limits;
    const [silent, polite] = [await kit.loggedIn("silent"), await kit.loggedIn("polite")];
    const closed = once(silent.socket, "close");
    // What the login itself said counts for the first while.
    clock.advance(pingAfterMs);
    clock.advance(pingAfterMs);
    await expect(silent, RESPONSE.nopIn);
    const { bhs } = await expect(polite, RESPONSE.nopIn);
    assert.equal(bhs.readUInt32BE(16), 0xffffffff);
    const answer = polite.header(0x40, 0x80, 0xffffffff);
    answer.writeUInt32BE(bhs.readUInt32BE(20), 20);
    polite.send(answer);
    polite.ping(1);
    await expect(polite, RESPONSE.nopIn);
    clock.advance(pingAfterMs);
    await closed;
    polite.ping(2);
    await expect(polite, RESPONSE.nopIn);
    const bye = once(polite.socket, "close");
    polite.close();
    await bye;
  });
});
