/** CHAP as users set it up, by the API, with libiscsi's and qemu's initiators. */
import { strict as assert } from "node:assert";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, describe, test } from "node:test";
import { BlockClient } from "../clients/block-client.ts";
import { GatewayProcess } from "../clients/gateway.ts";
import { run } from "../clients/iscsi.ts";
import { makeCached } from "./volume-kit.ts";

const INITIATOR = "iqn.1994-05.com.example:chap";
const TARGET = "iqn.1997-05.com.amazon:guarded";
const IN = "from-initiator";
const OUT = "from-the-target";

describe("CHAP, set by the API", () => {
  const folder = mkdtempSync(join(tmpdir(), "sg-chap-"));
  const gateway = new GatewayProcess(join(folder, "data"), ["--log-level", "info"]);
  let targetArn = "";

  before(async () => {
    await gateway.start();
    const VolumeARN = await makeCached(gateway, "guarded");
    const { CachediSCSIVolumes } = await gateway.boto.gateway("describe_cached_iscsi_volumes", {
      VolumeARNs: [VolumeARN],
    });
    targetArn = CachediSCSIVolumes[0].VolumeiSCSIAttributes.TargetARN;
  });
  after(async () => {
    await gateway.kill();
    rmSync(folder, { recursive: true, force: true });
  });

  /** Whether libiscsi gets in, as `user%secret` and with what it wants the target to prove. */
  async function inquiry(credentials: string, query = "", initiator = INITIATOR): Promise<boolean> {
    const at = credentials === "" ? "" : `${credentials}@`;
    const url = `iscsi://${at}${gateway.portal}/${TARGET}/0${query}`;
    const { status, output } = await run("iscsi-inq", ["-i", initiator, url]);
    assert(status === 0 || /Authentication failure|CHAP_R/.test(output), output);
    return status === 0;
  }

  test("an open target asks nobody; the first credential ends sessions that have proved nothing", async () => {
    assert(await inquiry(""));
    const client = await BlockClient.open(gateway.portal, "guarded", INITIATOR);
    await client.write(0, Buffer.alloc(4096, 0x11));
    await gateway.boto.gateway("update_chap_credentials", {
      TargetARN: targetArn,
      InitiatorName: INITIATOR,
      SecretToAuthenticateInitiator: IN,
      SecretToAuthenticateTarget: OUT,
    });
    await assert.rejects(client.read(0, 8), /closed/);
  });

  test("one way and mutual, and no other way in", async () => {
    assert.equal(await inquiry(""), false);
    assert.equal(await inquiry(`${INITIATOR}%${IN}`), true);
    assert.equal(await inquiry(`${INITIATOR}%${IN}`, "", "iqn.1994-05.com.example:other"), false);
    assert.equal(await inquiry(`${INITIATOR}%from-initiatoR`), false);
    assert.equal(await inquiry(`${INITIATOR}%${IN}`, `?target_user=${TARGET}&target_password=${OUT}`), true);
    assert.equal(await inquiry(`${INITIATOR}%${IN}`, `?target_user=${TARGET}&target_password=other`), false);
  });

  test("it outlives a restart, secrets are in no log, and without credentials the target is open again", async () => {
    await gateway.crash();
    assert.equal(await inquiry(""), false);
    assert.equal(await inquiry(`${INITIATOR}%${IN}`), true);
    for (const secret of [IN, OUT]) assert(!gateway.log.includes(secret), "a secret in the log");
    assert.match(gateway.log, /the target wants CHAP/);
    await gateway.boto.gateway("delete_chap_credentials", { TargetARN: targetArn, InitiatorName: INITIATOR });
    assert.equal(await inquiry(""), true);
  });
});
