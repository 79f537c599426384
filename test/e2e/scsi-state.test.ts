/** What a logical unit remembers, on the gateway as users run it: through kill -9, and with snapshots beside it. */
import { strict as assert } from "node:assert";
import { mkdtempSync, readdirSync, rmSync, statSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, describe, test } from "node:test";
import { GatewayProcess } from "../clients/gateway.ts";
import { qemuIo, volumeUrl } from "../clients/iscsi.ts";
import { RawInitiator } from "../kit/raw-initiator.ts";
import { senseOf } from "../kit/target-kit.ts";
import { completed, createSnapshot, GIB, makeCached, makeStored } from "./volume-kit.ts";

const GOOD = 0x00;
const CHECK_CONDITION = 0x02;
const CONFLICT = 0x18;
const FLAGS = { write: 0xa1, read: 0xc1 };
const EXCLUSIVE_ACCESS = 3;
const ACTION = { register: 0, reserve: 1, preempt: 4 };
const TEST_UNIT_READY = [0x00];
const READ10 = [0x28, 0, 0, 0, 0, 0, 0, 0, 1];
const SANITIZE_BLOCK_ERASE = [0x48, 0x02];

describe("the state of a logical unit", () => {
  const folder = mkdtempSync(join(tmpdir(), "sg-scsi-state-"));
  const gateway = new GatewayProcess(join(folder, "data"));
  const initiators: RawInitiator[] = [];
  let arn = "";
  let tag = 1;

  before(async () => {
    await gateway.start();
    arn = await makeStored(gateway, "unit");
  });
  after(async () => {
    for (const initiator of initiators) initiator.close();
    await gateway.stop();
    rmSync(folder, { recursive: true, force: true });
  });

  /** A node of a cluster; its port's name is the same at every login. */
  async function node(id: number): Promise<RawInitiator> {
    const initiator = await RawInitiator.connect(Number(gateway.portal.split(":").at(-1)));
    initiators.push(initiator);
    initiator.isid = 0x80000000 + id;
    const status = await initiator.login(`iqn.2026-01.test:node${id}`, "iqn.1997-05.com.amazon:unit");
    assert.equal(status, 0);
    return initiator;
  }

  /** Sends a command, with all its data in one PDU; answers the status, the sense, and the data that came. */
  async function send(initiator: RawInitiator, cdb: readonly number[], data?: Buffer, expected = 512) {
    tag += 1;
    const whole = Buffer.alloc(16);
    Buffer.from(cdb).copy(whole);
    const flags = data === undefined ? FLAGS.read : FLAGS.write;
    initiator.command(tag, whole, flags, data?.length ?? expected, data);
    const parts: Buffer[] = [];
    for (;;) {
      const pdu = await initiator.next();
      if (pdu.opcode === 0x25) parts.push(pdu.data);
      const hasStatus = pdu.opcode === 0x21 || (pdu.opcode === 0x25 && (pdu.bhs.readUInt8(1) & 0x01) !== 0);
      if (!hasStatus) continue;
      const sense = pdu.opcode === 0x21 && pdu.data.length > 0 ? senseOf(pdu.data) : "";
      return { status: pdu.bhs.readUInt8(3), sense, data: Buffer.concat(parts) };
    }
  }

  async function reserveOut(initiator: RawInitiator, action: number, key: bigint, newKey: bigint) {
    const list = Buffer.alloc(24);
    list.writeBigUInt64BE(key, 0);
    list.writeBigUInt64BE(newKey, 8);
    list.writeUInt8(1, 20);
    const { status } = await send(initiator, [0x5f, action, EXCLUSIVE_ACCESS, 0, 0, 0, 0, 0, 24], list);
    return status;
  }

  test("a reservation with APTPL fences a node off after kill -9, too", async () => {
    const one = await node(1);
    assert.equal(await reserveOut(one, ACTION.register, 0n, 11n), GOOD);
    assert.equal(await reserveOut(one, ACTION.reserve, 11n, 0n), GOOD);
    const stranger = await node(2);
    assert.equal((await send(stranger, READ10)).status, CONFLICT);

    await gateway.crash();
    // Each port is told once that there was a power on, at whatever it asks first.
    const again = await node(1);
    const { status, sense } = await send(again, READ10);
    assert.deepEqual([status, sense], [CHECK_CONDITION, "6/29/1"]);
    assert.equal((await send(again, READ10)).status, GOOD);
    assert.equal((await send(await node(1), READ10)).status, GOOD);
    const two = await node(2);
    assert.equal((await send(two, TEST_UNIT_READY)).sense, "6/29/1");
    assert.equal((await send(two, READ10)).status, CONFLICT);
    const volumes = join(gateway.dataDir, "volumes");
    const [file] = readdirSync(volumes, { recursive: true, withFileTypes: true }).filter(
      ({ name }) => name === "logical-unit.json",
    );
    assert(file !== undefined);
    assert.equal(statSync(join(file.parentPath, file.name)).mode & 0o777, 0o600);

    // The other node takes over.
    assert.equal(await reserveOut(two, ACTION.register, 0n, 22n), GOOD);
    assert.equal(await reserveOut(two, ACTION.preempt, 22n, 11n), GOOD);
    assert.equal((await send(two, READ10)).status, GOOD);
    assert.equal((await send(await node(3), TEST_UNIT_READY)).sense, "6/29/1");
    assert.equal((await send(await node(3), READ10)).status, CONFLICT);
    assert.equal(await reserveOut(two, ACTION.register, 22n, 0n), GOOD);
    assert.equal((await send(await node(3), READ10)).status, GOOD);
  });

  test("SANITIZE empties the volume, and leaves the snapshots made before as they were", async () => {
    const url = volumeUrl(gateway.portal, "unit");
    await qemuIo(url, "write -P 90 0 4M", "write -P 91 900M 1M");
    const SnapshotId = await createSnapshot(gateway, arn);
    // While the snapshot's data is still being sent.
    const one = await node(1);
    assert.equal((await send(one, SANITIZE_BLOCK_ERASE, Buffer.alloc(0))).status, GOOD);
    await qemuIo(url, "read -P 0 0 4M", "read -P 0 900M 1M");
    await completed(gateway, SnapshotId);
    await makeCached(gateway, "before", GIB, { SnapshotId });
    await qemuIo(volumeUrl(gateway.portal, "before"), "read -P 90 0 4M", "read -P 91 900M 1M");
  });
});
