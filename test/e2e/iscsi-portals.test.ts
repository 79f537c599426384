/** Logins that lead elsewhere, or nowhere for now: redirection, and a volume whose disk has gone. */
import { strict as assert } from "node:assert";
import { mkdtempSync, renameSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, describe, test } from "node:test";
import { GatewayProcess } from "../clients/gateway.ts";
import { qemuIo, volumeUrl } from "../clients/iscsi.ts";
import { RawInitiator } from "../kit/raw-initiator.ts";
import { freePort } from "../servers/free-port.ts";
import { makeStored } from "./volume-kit.ts";

const IQN = "iqn.1997-05.com.amazon:";
const STATUS = { success: 0, movedTemporarily: 0x0101, unavailable: 0x0301, notFound: 0x0203 };

describe("logins that lead elsewhere", () => {
  const folder = mkdtempSync(join(tmpdir(), "sg-portals-"));
  let gateway: GatewayProcess;
  /** Everybody who comes by the first is sent to the second; of the second's, the one target to the third. */
  let portals: string[];

  before(async () => {
    portals = [];
    for (let i = 0; i < 3; i++) portals.push(`127.0.0.1:${await freePort()}`);
    const [first, second, third] = portals;
    const rules = [`${first}=${second}`, `${second}/${IQN}spread=${third}`];
    gateway = new GatewayProcess(join(folder, "data"), [
      ...["--iscsi", portals.join(","), "--iscsi-redirect", rules.join(",")],
    ]);
    await gateway.start();
    for (const name of ["plain", "spread"]) await makeStored(gateway, name);
  });
  after(async () => {
    await gateway.stop();
    rmSync(folder, { recursive: true, force: true });
  });

  /** What a login by the portal is answered: its status, and the text. */
  async function login(portal: number, name: string): Promise<{ status: number; text: string }> {
    const initiator = await RawInitiator.connect(Number(portals[portal]?.split(":")[1]));
    try {
      const status = await initiator.login("iqn.2026-01.test:caller", `${IQN}${name}`);
      return { status, text: initiator.loginText };
    } finally {
      initiator.close();
    }
  }

  test("the answer says where, without a portal group, and to others nothing of the kind", async () => {
    const [, second, third] = portals;
    const moved = STATUS.movedTemporarily;
    assert.deepEqual(await login(0, "plain"), { status: moved, text: `TargetAddress=${second}\0` });
    assert.deepEqual(await login(1, "spread"), { status: moved, text: `TargetAddress=${third}\0` });
    assert.equal((await login(1, "plain")).status, STATUS.success);
    assert.equal((await login(2, "spread")).status, STATUS.success);
    assert.equal((await login(0, "none")).status, STATUS.notFound);
  });

  test("libiscsi goes there by itself, over two steps, too", async () => {
    const [first = "", second = "", third = ""] = portals;
    await qemuIo(volumeUrl(first, "spread"), "write -P 7 0 64k", "flush");
    await qemuIo(volumeUrl(third, "spread"), "read -P 7 0 64k");
    await qemuIo(volumeUrl(first, "plain"), "write -P 9 0 64k");
    await qemuIo(volumeUrl(second, "plain"), "read -P 9 0 64k");
  });

  test("a volume whose disk has gone is not available, which initiators try again; others are served", async () => {
    const disk = join(gateway.dataDir, "disks", "plain");
    await gateway.kill();
    renameSync(disk, `${disk}.away`);
    await gateway.start();
    assert.equal((await login(1, "plain")).status, STATUS.unavailable);
    await qemuIo(volumeUrl(portals[2] ?? "", "spread"), "read -P 7 0 64k");
    await gateway.kill();
    renameSync(`${disk}.away`, disk);
    await gateway.start();
    await qemuIo(volumeUrl(portals[1] ?? "", "plain"), "read -P 9 0 64k");
  });
});
