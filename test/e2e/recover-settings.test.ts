/** What was set of a lost gateway is as it was on the machine that takes its place, from the bucket and the key alone. */
import { strict as assert } from "node:assert";
import { copyFileSync, mkdirSync, mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, describe, test } from "node:test";
import { BlockClient } from "../clients/block-client.ts";
import { Boto, BotoError } from "../clients/boto.ts";
import { GatewayProcess, sluicegate } from "../clients/gateway.ts";
import { qemuIo, run, volumeUrl } from "../clients/iscsi.ts";
import { callQuery } from "../clients/signed-request.ts";
import { fileStore } from "./store.ts";
import { completed, createSnapshot, GIB, gatewayArn, makeCached, makeStored, until } from "./volume-kit.ts";

const SIZES = ["--cache-size", "64MiB", "--upload-buffer-size", "64MiB"];
const INITIATOR = "iqn.1994-05.com.example:recovered";
const SECRETS = {
  SecretToAuthenticateInitiator: "from-initiator",
  SecretToAuthenticateTarget: "from-the-target",
};
const WEEK = [
  {
    ...{ StartHourOfDay: 8, StartMinuteOfHour: 0, EndHourOfDay: 17, EndMinuteOfHour: 59 },
    ...{ DaysOfWeek: [1, 2, 3, 4, 5], AverageUploadRateLimitInBitsPerSec: 8_000_000 },
  },
  {
    ...{ StartHourOfDay: 0, StartMinuteOfHour: 0, EndHourOfDay: 23, EndMinuteOfHour: 59 },
    ...{ DaysOfWeek: [0, 6], AverageDownloadRateLimitInBitsPerSec: 16_000_000 },
  },
];

describe("the settings of a lost gateway", () => {
  const folder = mkdtempSync(join(tmpdir(), "sg-settings-"));
  const bucket = join(folder, "bucket");
  mkdirSync(bucket);
  const store = fileStore.options(bucket);
  const key = join(folder, "key");
  const first = new GatewayProcess(join(folder, "first"), [...store, ...SIZES]);
  const second = new GatewayProcess(join(folder, "second"), [...store, ...SIZES]);
  after(async () => {
    await first.kill();
    await second.kill();
    rmSync(folder, { recursive: true, force: true });
  });

  test("schedules, CHAP, limits, windows, tags, locks, policies and detached volumes come back; access keys don't", async () => {
    await first.start();
    copyFileSync(join(first.dataDir, "vault.key"), key);
    const lost = first.botoSettings();
    const cli = (...args: string[]) => {
      const { status, stderr } = sluicegate(...args, "--data", first.dataDir);
      assert.equal(status, 0, stderr);
    };
    const { boto } = first;
    const storedArn = await makeStored(first, "papers", "1GiB", { Tags: [{ Key: "of", Value: "paper" }] });
    const awayArn = await makeCached(first, "away");
    const [stored, cached] = [await gatewayArn(first, "STORED"), await gatewayArn(first, "CACHED")];
    await qemuIo(volumeUrl(first.portal, "papers"), "write -P 1 0 1M", "flush");
    await qemuIo(volumeUrl(first.portal, "away"), "write -P 2 0 1M", "flush");
    const snapshot = await createSnapshot(first, storedArn);
    await completed(first, snapshot);
    // Nothing is written to these: all that they are is the snapshot.
    await makeCached(first, "untouched", GIB, { SnapshotId: snapshot });
    await makeStored(first, "untouched-stored", "1GiB", { SnapshotId: snapshot });

    await boto.gateway("update_snapshot_schedule", {
      ...{ VolumeARN: storedArn, StartAt: 5, RecurrenceInHours: 12, Description: "twice a day" },
      Tags: [{ Key: "made", Value: "by schedule" }],
    });
    cli("schedule", "add", "papers", "0 3 * * 1-5", "--name", "workdays", "--timezone", "Europe/Berlin");
    cli("key", "create", "monitor", "--role", "read-only");
    const { StorediSCSIVolumes } = await boto.gateway("describe_stored_iscsi_volumes", {
      VolumeARNs: [storedArn],
    });
    const { TargetARN } = StorediSCSIVolumes[0].VolumeiSCSIAttributes;
    const chap = { TargetARN, InitiatorName: INITIATOR };
    await boto.gateway("update_chap_credentials", { ...chap, ...SECRETS });
    await boto.gateway("update_bandwidth_rate_limit_schedule", {
      GatewayARN: cached,
      BandwidthRateLimitIntervals: WEEK,
    });
    await boto.gateway("update_bandwidth_rate_limit", {
      GatewayARN: stored,
      AverageUploadRateLimitInBitsPerSec: 123_456_789,
    });
    await boto.gateway("update_maintenance_start_time", {
      ...{ GatewayARN: stored, HourOfDay: 4, MinuteOfHour: 30, DayOfWeek: 6 },
    });
    await boto.gateway("update_gateway_information", {
      ...{ GatewayARN: cached, GatewayName: "renamed", GatewayTimezone: "GMT-3:30" },
    });
    await boto.gateway("add_tags_to_resource", {
      ...{ ResourceARN: cached, Tags: [{ Key: "site", Value: "cellar" }] },
    });
    await boto.ec2("create_tags", { Resources: [snapshot], Tags: [{ Key: "keep", Value: "me" }] });
    const wanted = { SnapshotId: snapshot, LockMode: "governance", LockDuration: "5" };
    assert.equal((await callQuery(lost, "LockSnapshot", wanted)).status, 200);
    const { PolicyId } = await boto.dlm("create_lifecycle_policy", {
      ...{ ExecutionRoleArn: "arn:aws:iam::000000000000:role/dlm", Description: "nightly", State: "ENABLED" },
      PolicyDetails: {
        ResourceTypes: ["VOLUME"],
        TargetTags: [{ Key: "of", Value: "nothing" }],
        Schedules: [
          {
            Name: "nightly",
            CreateRule: { Interval: 24, IntervalUnit: "HOURS", Times: ["23:45"] },
            RetainRule: { Count: 14 },
          },
        ],
      },
      Tags: { team: "storage" },
    });
    await boto.gateway("detach_volume", { VolumeARN: awayArn });
    const attachment = async (gateway: GatewayProcess) => {
      const { CachediSCSIVolumes } = await gateway.boto.gateway("describe_cached_iscsi_volumes", {
        VolumeARNs: [awayArn],
      });
      return CachediSCSIVolumes[0].VolumeAttachmentStatus;
    };
    await until("detached", async () => ((await attachment(first)) === "DETACHED" ? true : undefined));

    /** All that was set, as the API tells it. */
    const told = async (from: GatewayProcess) => {
      const { boto: api, dataDir } = from;
      const settings = () => from.botoSettings();
      const gateway = (method: string, args: object) => api.gateway(method, args);
      const { Policy } = await api.dlm("get_lifecycle_policy", { PolicyId });
      const { Tags } = (await api.ec2("describe_snapshots", { SnapshotIds: [snapshot] })).Snapshots[0];
      const locks = await callQuery(settings(), "DescribeLockedSnapshots", { "SnapshotId.1": snapshot });
      const lock = locks.text.slice(locks.text.indexOf("</requestId>"));
      const schedules = sluicegate("schedule", "list", "papers", "--json", "--data", dataDir);
      const own = (JSON.parse(schedules.stdout) as { Name?: string }[]).filter(({ Name }) => Name !== "");
      return {
        schedule: await gateway("describe_snapshot_schedule", { VolumeARN: storedArn }),
        own: own.map((each) => settingsOf(each)),
        chap: await gateway("describe_chap_credentials", { TargetARN }),
        limits: await gateway("describe_bandwidth_rate_limit", { GatewayARN: stored }),
        week: await gateway("describe_bandwidth_rate_limit_schedule", { GatewayARN: cached }),
        window: await gateway("describe_maintenance_start_time", { GatewayARN: stored }),
        other: await gateway("describe_maintenance_start_time", { GatewayARN: cached }),
        gateways: await gateway("list_gateways", {}),
        gatewayTags: await gateway("list_tags_for_resource", { ResourceARN: cached }),
        volumeTags: await gateway("list_tags_for_resource", { ResourceARN: storedArn }),
        policy: { ...Policy, DateModified: undefined },
        snapshot: { Tags, lock },
        away: await attachment(from),
      };
    };
    const before = await told(first);
    assert.equal(before.own.length, 1);
    assert.match(before.snapshot.lock, /governance/);
    assert.equal(
      before.chap.ChapCredentials[0].SecretToAuthenticateTarget,
      SECRETS.SecretToAuthenticateTarget,
    );
    // What changed last is in the bucket within a second; a stop waits for it.
    await first.stop();
    rmSync(first.dataDir, { recursive: true });

    const recovered = sluicegate("recover", ...store, "--key", key, "--data", second.dataDir, ...SIZES);
    assert.equal(recovered.status, 0, recovered.stderr);
    assert.match(recovered.stdout, /2 gateways .* 3 schedules, 1 CHAP credentials, 1 lifecycle policies/);
    assert.match(recovered.stdout, /untouched {2}as it was made, from the moment \S+ {2}brought back/);
    assert.match(recovered.stdout, /made anew .*access keys/);
    await second.start();
    assert.deepEqual(await told(second), before);

    // The settings hold, and are not only shown.
    const bare = `iscsi://${second.portal}/iqn.1997-05.com.amazon:papers/0`;
    const proved = bare.replace("//", `//${INITIATOR}%${SECRETS.SecretToAuthenticateInitiator}@`);
    assert.notEqual((await run("iscsi-inq", ["-i", INITIATOR, bare])).status, 0);
    assert.equal((await run("iscsi-inq", ["-i", INITIATOR, proved])).status, 0);
    const locked = second.boto.ec2("delete_snapshot", { SnapshotId: snapshot });
    await assert.rejects(locked, (error) => error instanceof BotoError && error.code === "SnapshotLocked");
    await second.boto.gateway("attach_volume", {
      ...{ GatewayARN: cached, VolumeARN: awayArn, NetworkInterfaceId: "127.0.0.1" },
    });
    const client = await BlockClient.open(second.portal, "away");
    assert((await client.read(0, 2048)).equals(Buffer.alloc(2 ** 20, 2)));
    client.close();
    for (const target of ["untouched", "untouched-stored"])
      await qemuIo(volumeUrl(second.portal, target), "read -P 1 0 1M", "read -P 0 1M 1M");

    const stranger = new Boto({ ...lost, endpoint: second.endpoint });
    const refused = stranger.gateway("list_gateways");
    await assert.rejects(refused, { code: "UnrecognizedClientException" });
    stranger.close();
    const { stdout } = sluicegate("key", "list", "--data", second.dataDir);
    assert(!stdout.includes("monitor"), stdout);
  });
});

/** A schedule without how its runs went. */
function settingsOf(schedule: object): object {
  const runs = /^(Next|Last|Missed|Problem|Settled)/;
  return Object.fromEntries(Object.entries(schedule).filter(([name]) => !runs.test(name)));
}
