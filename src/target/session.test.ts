/** Sessions by the book (RFC 7143), spoken to PDU by PDU: numbers, task management, texts, logins, logout. */
import { strict as assert } from "node:assert";
import { once } from "node:events";
import { after, before, describe, test } from "node:test";
import {
  expect,
  IDENTITY,
  NAME,
  OTHER,
  RESPONSE,
  statusOf,
  TargetKit,
  write10,
} from "../../test/kit/target-kit.ts";
import { systemClock } from "../platform/clock.ts";
import type { ChapCredential, TargetEntry } from "./directory.ts";
import { Target } from "./target.ts";

describe("sessions by the book", () => {
  const kit = new TargetKit();
  const { device, entries, target } = kit;
  before(() => kit.start());
  after(() => kit.stop());

  test("CmdSN: what is not due, or beyond the window, is ignored", async () => {
    const initiator = await kit.loggedIn("cmdsn");
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
    const initiator = await kit.loggedIn("window");
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
    const initiator = await kit.loggedIn("immediate");
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
    const initiator = await kit.loggedIn("tags");
    initiator.command(7, write10(0, 1), 0xa1, 512);
    const { bhs } = await expect(initiator, RESPONSE.r2t);
    initiator.command(7, write10(0, 1), 0xa1, 512);
    assert.equal((await expect(initiator, RESPONSE.reject)).bhs.readUInt8(2), 0x09);
    initiator.send(initiator.dataOutHeader(7, bhs.readUInt32BE(20), 0, 0, 512), Buffer.alloc(512, 0x44));
    assert.equal(await statusOf(initiator), "good");
    const letIt = device.hold();
    initiator.read10(8, 0, 1);
    initiator.read10(8, 0, 1);
    assert.equal((await expect(initiator, RESPONSE.reject)).bhs.readUInt8(2), 0x09);
    letIt();
    await expect(initiator, RESPONSE.dataIn);
    initiator.close();
  });

  test("task management: each function, and what it answers", async () => {
    const initiator = await kit.loggedIn("tasks");
    const answer = async () => (await expect(initiator, RESPONSE.task)).bhs.readUInt8(2);
    initiator.manage(100, 1, 42);
    assert.equal(await answer(), 1, "there is no such task");
    initiator.command(1, write10(0, 1), 0xa1, 512);
    await expect(initiator, RESPONSE.r2t);
    initiator.manage(101, 1, 1);
    assert.equal(await answer(), 0, "a task that collects its data");
    assert.equal(target.buffers.usedBytes, 0);
    for (const action of [2, 4, 5, 6]) {
      const letIt = device.hold();
      initiator.command(2, write10(0, 1), 0xa1, 512, Buffer.alloc(512, 0x55));
      initiator.command(3, write10(0, 16), 0xa1, 8192);
      await expect(initiator, RESPONSE.r2t);
      initiator.manage(110 + action, action);
      // The answer says that nothing touches the device any more: it can't come before the write is through.
      initiator.ping(120);
      await expect(initiator, RESPONSE.nopIn);
      letIt();
      assert.equal(await answer(), 0, `function ${action}`);
      assert.equal(target.buffers.usedBytes, 0);
      if (action < 5) continue;
      initiator.command(4, Buffer.alloc(16), 0x81, 0);
      assert.match(await statusOf(initiator), /^6\/29\//, "a reset is told");
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

  test("CLEAR TASK SET ends the commands of others too, and tells those that had any", async () => {
    const [one, two, idle] = [
      await kit.loggedIn("clear-1"),
      await kit.loggedIn("clear-2"),
      await kit.loggedIn("clear-3"),
    ];
    two.command(1, write10(0, 1), 0xa1, 512);
    await expect(two, RESPONSE.r2t);
    one.manage(1, 4);
    assert.equal((await expect(one, RESPONSE.task)).bhs.readUInt8(2), 0);
    for (const [peer, told] of [
      [one, "good"],
      [two, "6/2f/0"],
      [idle, "good"],
    ] as const) {
      peer.command(2, Buffer.alloc(16), 0x81, 0);
      assert.equal(await statusOf(peer), told);
      peer.close();
    }
  });

  test("a cold reset ends every session of the target, and of no other", async () => {
    const [one, two] = [await kit.loggedIn("cold-1"), await kit.loggedIn("cold-2")];
    const other = await kit.loggedIn("cold-3", [], OTHER);
    const closed = [once(one.socket, "close"), once(two.socket, "close")];
    one.manage(1, 7);
    await expect(one, RESPONSE.task);
    await Promise.all(closed);
    other.ping(1);
    await expect(other, RESPONSE.nopIn);
    other.close();
  });

  test("PDUs that there are not, or that come from targets only, are rejected by reason", async () => {
    const initiator = await kit.loggedIn("unknown");
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
      const reject = await expect(initiator, RESPONSE.reject);
      assert.equal(reject.bhs.readUInt8(2), reason, `opcode ${opcode.toString(16)}`);
      assert(reject.data.equals(bhs), "with the header that it is about");
    }
    initiator.close();
  });

  test("a text request that is the last one and goes on (F and C) is rejected", async () => {
    const initiator = await kit.loggedIn("text-fc");
    initiator.text(1, 0xc0, 0xffffffff, "SendTargets=All\0");
    assert.equal((await expect(initiator, RESPONSE.reject)).bhs.readUInt8(2), 4);
    initiator.close();
  });

  test("text requests: in parts, with answers in parts, and out of place", async () => {
    const initiator = await kit.loggedIn("text", ["MaxRecvDataSegmentLength=512"]);
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
    assert.match(said, new RegExp(`TargetName=${NAME}\0TargetAddress=127.0.0.1:${kit.port},1\0`));
    assert.match(said, /Unknown-Key=NotUnderstood\0/);
    assert(!said.includes(OTHER), "a normal session is shown its own target only");
    initiator.text(4, 0x80, 1, "");
    assert.equal((await expect(initiator, RESPONSE.reject)).bhs.readUInt8(2), 0x09, "nothing to go on with");
    initiator.text(5, 0x80, 0xffffffff, "no pair");
    assert.equal((await expect(initiator, RESPONSE.reject)).bhs.readUInt8(2), 0x04);
    initiator.close();
  });

  test("discovery: long answers come in parts; commands are rejected there", async () => {
    const names = Array.from({ length: 40 }, (_, i) => `iqn.1997-05.com.amazon:many-${i}`);
    for (const name of names) entries.set(name, { targetName: name, device, identity: IDENTITY });
    const initiator = await kit.connect();
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
    assert.equal((await expect(initiator, RESPONSE.reject)).bhs.readUInt8(2), 0x04);
    initiator.close();
  });

  test("logout: for the session, for its connection, for another, for recovery", async () => {
    const initiator = await kit.loggedIn("logout");
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
    const first = await kit.loggedIn("again");
    const letIt = device.hold();
    first.command(1, write10(0, 1), 0xa1, 512, Buffer.alloc(512, 0x01));
    first.manage(2, 99);
    await expect(first, RESPONSE.task);
    const closed = once(first.socket, "close");
    const second = await kit.connect();
    second.isid = first.isid;
    assert.equal(await second.login("iqn.2026-01.test:again", NAME), 0);
    await closed;
    second.command(1, write10(0, 1), 0xa1, 512, Buffer.alloc(512, 0x02));
    second.command(1, write10(0, 1), 0xa1, 512, Buffer.alloc(512, 0x03));
    assert.equal(
      (await expect(second, RESPONSE.reject)).bhs.readUInt8(2),
      0x09,
      "it is held, and its tag in use",
    );
    letIt();
    assert.equal(await statusOf(second), "good");
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
    const initiator = await kit.loggedIn("kept", [], OTHER);
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
    const refused = await kit.connect();
    assert.equal(await refused.login("iqn.2026-01.test:kept", OTHER), 0x0201);
    assert.deepEqual(target.sessions(OTHER), []);
    set([]);
    (await kit.loggedIn("kept", [], OTHER)).close();
  });

  test("IPv6, and several portals in what discovery shows", async () => {
    const six = await target.listen("::1", 0);
    const initiator = await kit.connect("::1", six.port);
    assert.equal(await initiator.login("iqn.2026-01.test:six", NAME), 0);
    initiator.text(1, 0x80, 0xffffffff, "SendTargets=\0");
    const { data } = await expect(initiator, RESPONSE.text);
    const addresses = [...data.toString().matchAll(/TargetAddress=([^\0]+)/g)].map(([, address]) => address);
    assert.deepEqual(addresses, [`[::1]:${six.port},1`, `127.0.0.1:${kit.port},1`]);
    initiator.close();
  });

  test("a shutdown asks initiators to log out, and ends those that do not", async () => {
    const own = new Target({ clock: systemClock, directory: target.directory });
    const { port: ownPort } = await own.listen("127.0.0.1", 0);
    const [polite, deaf] = [await kit.connect(undefined, ownPort), await kit.connect(undefined, ownPort)];
    for (const [name, initiator] of Object.entries({ polite, deaf })) {
      assert.equal(await initiator.login(`iqn.2026-01.test:${name}`, NAME), 0);
    }
    const closed = own.close();
    const { bhs } = await expect(polite, RESPONSE.async);
    assert.equal(bhs.readUInt8(36), 1, "the target wants a logout");
    polite.send(polite.header(0x06, 0x80, 1));
    await expect(polite, RESPONSE.logout);
    await closed;
    await assert.rejects(async () => {
      for (;;) await deaf.next();
    });
  });
});
