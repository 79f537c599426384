/** A bucket that is away: what needs it is answered so that clients try again, and everything else goes on. */
import { strict as assert } from "node:assert";
import { mkdtempSync, renameSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, describe, test } from "node:test";
import { BlockClient } from "../clients/block-client.ts";
import { Boto, BotoError } from "../clients/boto.ts";
import { GatewayProcess } from "../clients/gateway.ts";
import { TcpGate } from "../servers/tcp-gate.ts";
import { s3Store } from "./store.ts";
import { completed, createSnapshot, makeCached, snapshotState, until } from "./volume-kit.ts";

interface Away {
  readonly options: readonly string[];
  take(): void;
  bring(): void;
  close(): Promise<void>;
}

const folders = {
  async open(dataDir: string): Promise<Away> {
    const folder = `${dataDir}-vault`;
    return {
      options: ["--store", `file://${folder}`],
      take: () => renameSync(folder, `${folder}.away`),
      bring: () => renameSync(`${folder}.away`, folder),
      close: async () => {},
    };
  },
};

const servers = {
  async open(dataDir: string): Promise<Away> {
    const { hostname, port } = new URL(process.env.SLUICEGATE_TEST_S3_ENDPOINT ?? "");
    const gate = await TcpGate.open(hostname, Number(port));
    const [store = "", url = ""] = s3Store.options(dataDir);
    return {
      options: [store, url, "--s3-endpoint", `http://127.0.0.1:${gate.port}`],
      take: () => gate.refuse(),
      bring: () => gate.reopen(),
      close: () => gate.close(),
    };
  },
};

for (const [name, kind, skip] of [
  ["a folder that is unmounted", folders, false],
  ["an S3 server that refuses connections", servers, s3Store.skip],
] as const) {
  describe(name, { skip }, () => {
    const folder = mkdtempSync(join(tmpdir(), "sg-down-"));
    const dataDir = join(folder, "data");
    let away: Away;
    let gateway: GatewayProcess;
    let arn: string;
    let token: string;
    const snapshots: string[] = [];

    before(async () => {
      away = await kind.open(dataDir);
      const sizes = ["--cache-size", "64MiB", "--upload-buffer-size", "64MiB"];
      gateway = new GatewayProcess(dataDir, [...away.options, ...sizes, "--log-level", "info"]);
      await gateway.start();
      arn = await makeCached(gateway, "down");
      const client = await BlockClient.open(gateway.portal, "down");
      await client.write(0, Buffer.alloc(2 ** 20, 7));
      client.close();
      for (let i = 0; i < 3; i++) {
        const id = await createSnapshot(gateway, arn);
        await completed(gateway, id);
        snapshots.push(id);
      }
      const { Blocks } = await gateway.boto.ebs("list_snapshot_blocks", { SnapshotId: snapshots[1] });
      token = Blocks[0].BlockToken;
      away.take();
      // From here on the gateway knows: the first who ask may wait until it has found out.
      await until("the gateway has noticed", async () => {
        const error = await refusal(copy(gateway.boto, snapshots[0]));
        return error.status === 503 ? true : undefined;
      });
    });
    after(async () => {
      await gateway?.kill();
      await away?.close();
      rmSync(folder, { recursive: true, force: true });
    });

    test("each API has an answer that clients try again after", async () => {
      const { boto } = gateway;
      const ec2 = await refusal(copy(boto, snapshots[0]));
      assert.deepEqual([ec2.code, ec2.status], ["ServiceUnavailable", 503]);
      const json = await refusal(
        boto.gateway("create_snapshot_from_volume_recovery_point", {
          VolumeARN: arn,
          SnapshotDescription: "while it is away",
        }),
      );
      assert.deepEqual(
        [json.className, json.code, json.status, json.errorCode],
        ["ServiceUnavailableError", "ServiceUnavailableError", 503, "ServiceUnavailable"],
      );
      const rest = await refusal(
        boto.ebs("get_snapshot_block", { SnapshotId: snapshots[1], BlockIndex: 0, BlockToken: token }),
      );
      assert.deepEqual([rest.code, rest.status], ["InternalServerException", 503]);
      // A change that the bucket can't take is refused whole.
      const tags = { Resources: [snapshots[0]], Tags: [{ Key: "half", Value: "done" }] };
      assert.equal((await refusal(boto.ec2("create_tags", tags))).status, 503);
      const { Snapshots } = await boto.ec2("describe_snapshots", { SnapshotIds: [snapshots[0]] });
      assert.deepEqual(Snapshots[0].Tags ?? [], []);
    });

    test("what does not need it goes on; it comes back, and all is made up for", async () => {
      const { boto } = gateway;
      const pending = await createSnapshot(gateway, arn);
      assert.equal((await snapshotState(gateway, pending)).State, "pending");
      await boto.gateway("add_tags_to_resource", {
        ResourceARN: arn,
        Tags: [{ Key: "seen", Value: "while it is away" }],
      });
      const { CachediSCSIVolumes } = await boto.gateway("describe_cached_iscsi_volumes", {
        VolumeARNs: [arn],
      });
      assert.equal(CachediSCSIVolumes[0].VolumeStatus, "AVAILABLE");
      const client = await BlockClient.open(gateway.portal, "down");
      await client.write(4096, Buffer.alloc(2 ** 20, 8));
      assert((await client.read(4096, 2048)).equals(Buffer.alloc(2 ** 20, 8)));
      client.close();
      // Whether somebody has locked it stands in the bucket only.
      const [, , doomed = ""] = snapshots;
      assert.equal((await refusal(boto.ec2("delete_snapshot", { SnapshotId: doomed }))).status, 503);
      assert.equal((await snapshotState(gateway, doomed)).State, "completed");

      const before = refusals(gateway);
      const patient = new Boto({ ...gateway.botoSettings(), attempts: 12 });
      try {
        const asked = patient.ec2("retries:copy_snapshot", {
          SourceSnapshotId: snapshots[1],
          SourceRegion: "us-east-1",
        });
        await until("it has been refused once", async () => (refusals(gateway) > before ? true : undefined));
        away.bring();
        assert((await asked) > 0, "boto3 did not try again");
      } finally {
        patient.close();
      }
      await completed(gateway, pending);
      await boto.ec2("delete_snapshot", { SnapshotId: doomed });
      const gone = await refusal(boto.ec2("describe_snapshots", { SnapshotIds: [doomed] }));
      assert.equal(gone.code, "InvalidSnapshot.NotFound");
    });
  });
}

/** How often a copy was refused so far, by the gateway's log. */
function refusals({ log }: GatewayProcess): number {
  return log.split("\n").filter((line) => line.includes('"CopySnapshot"') && line.includes('"status":503'))
    .length;
}

function copy(boto: Boto, SourceSnapshotId: string | undefined): Promise<unknown> {
  return boto.ec2("copy_snapshot", { SourceSnapshotId, SourceRegion: "us-east-1" });
}

async function refusal(answer: Promise<unknown>): Promise<BotoError> {
  try {
    await answer;
  } catch (error) {
    assert(error instanceof BotoError, String(error));
    return error;
  }
  assert.fail("it was carried out");
}
