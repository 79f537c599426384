/** The EC2 API of snapshots, volumes and tags: Debian's boto3, the newest SDK, aws-cli. */
import { strict as assert } from "node:assert";
import { copyFileSync, mkdirSync, mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, describe, test } from "node:test";
import {
  CopySnapshotCommand,
  CreateSnapshotsCommand,
  DescribeLockedSnapshotsCommand,
  DescribeSnapshotsCommand,
  DescribeVolumesCommand,
  EC2Client,
  LockSnapshotCommand,
  paginateDescribeSnapshots,
  UnlockSnapshotCommand,
} from "@aws-sdk/client-ec2";
import { BotoError } from "../clients/boto.ts";
import { GatewayProcess, sluicegate } from "../clients/gateway.ts";
import { qemuIo, runOk, volumeUrl } from "../clients/iscsi.ts";
import { send } from "../clients/signed-request.ts";
import { fileStore } from "./store.ts";
import { completed, GIB, gatewayArn, makeCached, until } from "./volume-kit.ts";

const SIZES = ["--cache-size", "256MiB", "--upload-buffer-size", "256MiB"];
const NONE = "snap-00000000000000000";

describe("the EC2 API", () => {
  const folder = mkdtempSync(join(tmpdir(), "sg-ec2-"));
  const bucket = join(folder, "bucket");
  mkdirSync(bucket);
  const gateway = new GatewayProcess(join(folder, "data"), [...fileStore.options(bucket), ...SIZES]);
  let sdk: EC2Client;
  const volumes: string[] = [];
  const snapshots: string[] = [];
  // biome-ignore lint/suspicious/noExplicitAny: the shapes are the service's; a test looks only at what it expects.
  const ec2 = (method: string, args: object = {}): Promise<any> => gateway.boto.ec2(method, args);

  before(async () => {
    await gateway.start();
    const { endpoint, accessKeyId, secretAccessKey } = gateway.botoSettings();
    sdk = new EC2Client({ endpoint, region: "us-east-1", credentials: { accessKeyId, secretAccessKey } });
    for (const name of ["one", "two"]) {
      const arn = await makeCached(gateway, name, GIB, { Tags: [{ Key: "of", Value: name }] });
      volumes.push(arn.slice(arn.lastIndexOf("/") + 1).toLowerCase());
      await qemuIo(volumeUrl(gateway.portal, name), "write -P 1 0 1M", "flush");
    }
  });
  after(async () => {
    sdk.destroy();
    await gateway.kill();
    rmSync(folder, { recursive: true, force: true });
  });

  async function refused(call: Promise<unknown>, code: string, status = 400): Promise<void> {
    await assert.rejects(call, (error) => {
      assert(error instanceof BotoError, String(error));
      assert.deepEqual([error.code, error.status], [code, status], error.message);
      return true;
    });
  }

  test("CreateSnapshot, and every filter finds what it has to", async () => {
    const TagSpecifications = [
      {
        ResourceType: "snapshot",
        Tags: [
          { Key: "env", Value: "prod*1" },
          { Key: "n", Value: "0" },
        ],
      },
    ];
    for (const [i, VolumeId] of [volumes[0], volumes[0], volumes[1]].entries()) {
      const Description = `number ${i}`;
      const made = await ec2("create_snapshot", {
        VolumeId,
        Description,
        ...(i === 0 && { TagSpecifications }),
      });
      assert.deepEqual(
        [made.VolumeId, made.Description, made.State, made.VolumeSize],
        [VolumeId, Description, "pending", 1],
      );
      await completed(gateway, made.SnapshotId);
      snapshots.push(made.SnapshotId);
    }
    await ec2("wait:snapshot_completed", { SnapshotIds: snapshots });
    const [a, b, c] = snapshots as [string, string, string];
    const started = (await ec2("describe_snapshots", { SnapshotIds: [a] })).Snapshots[0].StartTime as string;
    const cases: [string, string[], string[]][] = [
      ["description", ["number 0"], [a]],
      ["description", ["number ?"], [a, b, c]],
      ["description", ["*2", "*1"], [b, c]],
      ["encrypted", ["true"], [a, b, c]],
      ["encrypted", ["false"], []],
      ["owner-alias", ["amazon"], []],
      ["owner-id", ["000000000000"], [a, b, c]],
      ["progress", ["100%"], [a, b, c]],
      ["snapshot-id", [b], [b]],
      ["start-time", [`${started.slice(0, 23)}*`], [a]],
      ["status", ["completed"], [a, b, c]],
      ["status", ["pending", "error"], []],
      ["storage-tier", ["standard"], [a, b, c]],
      ["transfer-type", ["standard"], []],
      ["tag:env", ["prod\\*1"], [a]],
      ["tag:env", ["prod\\*2"], []],
      ["tag:env", ["p*1"], [a]],
      ["tag-key", ["n"], [a]],
      ["volume-id", [volumes[1] ?? ""], [c]],
      // As Storage Gateway shows it.
      ["volume-id", [(volumes[1] ?? "").toUpperCase().replace("VOL", "vol")], [c]],
      ["snapshot-id", [`snap-${b.slice(5).toUpperCase()}`], [b]],
      ["volume-size", ["1"], [a, b, c]],
      ["volume-size", ["2"], []],
    ];
    for (const [Name, Values, expected] of cases) {
      const { Snapshots } = await ec2("describe_snapshots", { Filters: [{ Name, Values }] });
      assert.deepEqual(
        Snapshots.map((one: { SnapshotId: string }) => one.SnapshotId),
        [...expected].sort(),
        `${Name} ${Values}`,
      );
      const newest = await sdk.send(new DescribeSnapshotsCommand({ Filters: [{ Name, Values }] }));
      assert.equal(newest.Snapshots?.length ?? 0, expected.length);
    }
    // What XML can't hold is shown as what it is not; it stands in nobody's way.
    const odd = await ec2("create_snapshot", { VolumeId: volumes[0], Description: "a\u0001<&>\u{1F4BE}" });
    assert.equal(odd.Description, "a\uFFFD<&>\u{1F4BE}");
    await completed(gateway, odd.SnapshotId);
    await ec2("delete_snapshot", { SnapshotId: odd.SnapshotId });
    const both = [
      { Name: "volume-id", Values: [volumes[0]] },
      { Name: "description", Values: ["*1"] },
    ];
    assert.equal((await ec2("describe_snapshots", { Filters: both })).Snapshots[0].SnapshotId, b);
    const count = async (args: object) => (await ec2("describe_snapshots", args)).Snapshots.length;
    assert.equal(await count({ OwnerIds: ["self"] }), 3);
    assert.equal(await count({ OwnerIds: ["amazon"] }), 0);
    assert.equal(await count({ OwnerIds: ["000000000000", "111111111111"] }), 3);
    assert.equal(await count({ RestorableByUserIds: ["self"] }), 3);
    assert.equal(await count({ RestorableByUserIds: ["111111111111"] }), 0);
    await refused(
      ec2("describe_snapshots", { Filters: [{ Name: "colour", Values: ["red"] }] }),
      "InvalidParameterValue",
    );
    await refused(ec2("describe_snapshots", { SnapshotIds: [a, NONE] }), "InvalidSnapshot.NotFound");
    await refused(ec2("describe_snapshots", { SnapshotIds: ["snap-xyz"] }), "InvalidSnapshotID.Malformed");
    await refused(
      ec2("describe_snapshots", { SnapshotIds: [a], MaxResults: 5 }),
      "InvalidParameterCombination",
    );
    await refused(ec2("describe_snapshots", { MaxResults: 4 }), "InvalidParameterValue");
    await refused(ec2("describe_snapshots", { MaxResults: 5, NextToken: "???" }), "InvalidParameterValue");
    await refused(ec2("describe_snapshots", { DryRun: true }), "DryRunOperation", 412);
    await refused(ec2("create_snapshot", { VolumeId: volumes[0], DryRun: true }), "DryRunOperation", 412);
    await refused(ec2("create_snapshot", { VolumeId: "vol-00000000000000000" }), "InvalidVolume.NotFound");
    await refused(ec2("create_snapshot", { VolumeId: "vol-x" }), "InvalidVolumeID.Malformed");
    await refused(
      ec2("create_snapshot", { VolumeId: volumes[0], Description: "x".repeat(256) }),
      "InvalidParameterValue",
    );
  });

  test("CreateSnapshots: of a gateway's volumes at one instant, without those that are excluded, with their tags", async () => {
    const { Volumes } = await ec2("describe_volumes", { VolumeIds: [volumes[0]] });
    const { InstanceId } = Volumes[0].Attachments[0];
    const made = await ec2("create_snapshots", {
      InstanceSpecification: { InstanceId },
      Description: "a set",
      CopyTagsFromSource: "volume",
      TagSpecifications: [{ ResourceType: "snapshot", Tags: [{ Key: "set", Value: "1" }] }],
    });
    assert.deepEqual(
      made.Snapshots.map((one: { VolumeId: string; Tags: object[]; State: string }) => [
        one.VolumeId,
        one.Tags,
      ]),
      volumes
        .map((id, i) => [
          id,
          [
            { Key: "set", Value: "1" },
            { Key: "of", Value: i === 0 ? "one" : "two" },
          ],
        ])
        .sort(),
    );
    const SnapshotIds = made.Snapshots.map((one: { SnapshotId: string }) => one.SnapshotId);
    for (const id of SnapshotIds) await completed(gateway, id);
    const { Snapshots } = await ec2("describe_snapshots", { SnapshotIds });
    assert.deepEqual(new Set(Snapshots.map((one: { StartTime: string }) => one.StartTime)).size, 1);
    const [excluded, kept] = volumes;
    const some = await sdk.send(
      new CreateSnapshotsCommand({
        InstanceSpecification: { InstanceId, ExcludeDataVolumeIds: [excluded ?? ""] },
      }),
    );
    assert.deepEqual(
      some.Snapshots?.map((one) => [one.VolumeId, one.Encrypted, one.Progress]),
      [[kept, true, "0%"]],
    );
    const create = (args: object) => ec2("create_snapshots", { InstanceSpecification: args });
    await refused(create({ InstanceId: "i-00000000000000000" }), "InvalidInstanceID.NotFound");
    await refused(create({ InstanceId: "box" }), "InvalidInstanceID.Malformed");
    await refused(create({ InstanceId, ExcludeDataVolumeIds: volumes }), "InvalidParameterValue");
    for (const id of [...SnapshotIds, some.Snapshots?.[0]?.SnapshotId]) {
      await completed(gateway, id);
      await ec2("delete_snapshot", { SnapshotId: id });
    }
  });

  test("pages hold everything once, in both SDKs; aws-cli pages by itself", async () => {
    const [source] = snapshots;
    const copies: string[] = [];
    for (let i = 0; i < 9; i++) {
      const args = { SourceRegion: "us-east-1", SourceSnapshotId: source ?? "", Description: `copy ${i}` };
      copies.push((await sdk.send(new CopySnapshotCommand(args))).SnapshotId ?? "");
    }
    const all = [...snapshots, ...copies].sort();
    const pages: string[][] = [];
    for await (const page of paginateDescribeSnapshots({ client: sdk, pageSize: 5 }, {}))
      pages.push((page.Snapshots ?? []).map(({ SnapshotId = "" }) => SnapshotId));
    assert.deepEqual(
      pages.map(({ length }) => length),
      [5, 5, 2],
    );
    assert.deepEqual(pages.flat(), all);
    const boto = await ec2("paginate:describe_snapshots", { PaginationConfig: { PageSize: 5 } });
    const ids = (page: { Snapshots: { SnapshotId: string }[] }) =>
      page.Snapshots.map((one) => one.SnapshotId);
    assert.deepEqual(boto.flatMap(ids), all);
    const { endpoint, accessKeyId, secretAccessKey } = gateway.botoSettings();
    const env = {
      AWS_ACCESS_KEY_ID: accessKeyId,
      AWS_SECRET_ACCESS_KEY: secretAccessKey,
      AWS_REGION: "us-east-1",
    };
    const cli = await runOk(
      "/usr/bin/aws",
      [
        "--endpoint-url",
        endpoint,
        "ec2",
        "describe-snapshots",
        "--page-size",
        "5",
        "--query",
        "length(Snapshots)",
      ],
      env,
    );
    assert.equal(cli.trim(), "12");
    // A copy holds what its source did, also after that is gone, and makes a volume.
    const gone = copies[0] ?? "";
    const copy = await ec2("copy_snapshot", {
      SourceRegion: "us-east-1",
      SourceSnapshotId: gone,
      Description: "last",
    });
    for (const SnapshotId of copies) await ec2("delete_snapshot", { SnapshotId });
    const made = await ec2("create_volume", {
      AvailabilityZone: "us-east-1a",
      SnapshotId: copy.SnapshotId,
      ClientToken: "a-token",
      TagSpecifications: [{ ResourceType: "volume", Tags: [{ Key: "Name", Value: "of-the-copy" }] }],
    });
    assert.deepEqual([made.Size, made.SnapshotId, made.Encrypted], [1, copy.SnapshotId, true]);
    await qemuIo(volumeUrl(gateway.portal, "of-the-copy"), "read -P 1 0 1M", "read -P 0 1M 1M");
    await ec2("delete_snapshot", { SnapshotId: copy.SnapshotId });
    const bad = (args: object) =>
      ec2("copy_snapshot", { SourceRegion: "us-east-1", SourceSnapshotId: source, ...args });
    await refused(bad({ SourceSnapshotId: NONE }), "InvalidSnapshot.NotFound");
    await refused(bad({ SourceRegion: "eu-west-1" }), "InvalidParameterValue");
    await refused(bad({ KmsKeyId: "alias/x" }), "UnsupportedOperation");
    await refused(
      bad({ TagSpecifications: [{ ResourceType: "volume", Tags: [] }] }),
      "InvalidParameterValue",
    );
  });

  test("volumes: made empty or of a snapshot, described, enlarged, deleted", async () => {
    const args = {
      AvailabilityZone: "us-east-1a",
      Size: 2,
      ClientToken: "again",
      TagSpecifications: [{ ResourceType: "volume", Tags: [{ Key: "Name", Value: "made-by-ec2" }] }],
    };
    const made = await ec2("create_volume", args);
    assert.deepEqual(
      [made.Size, made.AvailabilityZone, made.Tags],
      [2, "us-east-1a", [{ Key: "Name", Value: "made-by-ec2" }]],
    );
    assert.equal(made.Attachments[0].Device, "iqn.1997-05.com.amazon:made-by-ec2");
    const { VolumeId } = made;
    await ec2("wait:volume_available", { VolumeIds: [VolumeId] });
    const filtered = await sdk.send(
      new DescribeVolumesCommand({
        Filters: [
          { Name: "tag:Name", Values: ["made-*"] },
          { Name: "size", Values: ["2"] },
          { Name: "attachment.instance-id", Values: ["i-*"] },
          { Name: "status", Values: ["available"] },
        ],
      }),
    );
    assert.deepEqual(
      filtered.Volumes?.map((one) => one.VolumeId),
      [VolumeId],
    );
    // One that was never modified is not there, and is refused when it is named.
    const modifications = (input: object) => ec2("describe_volumes_modifications", input);
    await refused(modifications({ VolumeIds: [VolumeId] }), "InvalidVolumeModification.NotFound");
    const nobody = await modifications({ Filters: [{ Name: "volume-id", Values: [VolumeId] }] });
    assert.deepEqual(nobody.VolumesModifications, []);
    const { VolumeModification } = await ec2("modify_volume", { VolumeId, Size: 3 });
    assert.deepEqual([VolumeModification.OriginalSize, VolumeModification.TargetSize], [2, 3]);
    for (const input of [
      { VolumeIds: [VolumeId] },
      {
        Filters: [
          { Name: "original-size", Values: ["2"] },
          { Name: "modification-state", Values: ["completed"] },
        ],
      },
    ])
      assert.deepEqual((await modifications(input)).VolumesModifications, [VolumeModification]);
    assert.deepEqual(
      (await modifications({ Filters: [{ Name: "target-size", Values: ["2"] }] })).VolumesModifications,
      [],
    );
    assert.equal((await ec2("describe_volumes", { VolumeIds: [VolumeId] })).Volumes[0].Size, 3);
    await refused(ec2("modify_volume", { VolumeId, Size: 1 }), "InvalidParameterValue");
    await ec2("delete_volume", { VolumeId });
    await refused(ec2("describe_volumes", { VolumeIds: [VolumeId] }), "InvalidVolume.NotFound");
    await refused(ec2("delete_volume", { VolumeId }), "InvalidVolume.NotFound");
    await refused(ec2("create_volume", { AvailabilityZone: "us-east-1a" }), "MissingParameter");
    await refused(ec2("create_volume", { AvailabilityZone: "us-east-1z", Size: 1 }), "InvalidZone.NotFound");
    await refused(
      ec2("create_volume", { AvailabilityZone: "us-east-1a", SnapshotId: NONE }),
      "InvalidSnapshot.NotFound",
    );
    const stored = await gatewayArn(gateway, "STORED");
    await refused(
      ec2("create_volume", { AvailabilityZone: "us-east-1a", Size: 1, OutpostArn: stored }),
      "UnsupportedOperation",
    );
    const { Regions } = await ec2("describe_regions");
    assert.deepEqual(
      Regions.map((one: { RegionName: string }) => one.RegionName),
      ["us-east-1"],
    );
    await refused(ec2("describe_regions", { RegionNames: ["eu-west-1"] }), "InvalidParameterValue");
    const zones = await ec2("describe_availability_zones", {
      Filters: [{ Name: "state", Values: ["available"] }],
    });
    assert.deepEqual(
      zones.AvailabilityZones.map((one: { ZoneName: string; ZoneId: string }) => [one.ZoneName, one.ZoneId]),
      [["us-east-1a", "use1-az1"]],
    );
  });

  test("tags of snapshots and volumes", async () => {
    const [a] = snapshots;
    const [v] = volumes;
    await ec2("create_tags", {
      Resources: [a, v],
      Tags: [
        { Key: "k", Value: "1" },
        { Key: "l", Value: "" },
      ],
    });
    const tags = async (...Filters: object[]) =>
      (await ec2("describe_tags", { Filters })).Tags.map(
        (tag: Record<string, string>) => `${tag.ResourceType} ${tag.Key}=${tag.Value}`,
      );
    assert.deepEqual((await tags({ Name: "key", Values: ["k"] })).sort(), ["snapshot k=1", "volume k=1"]);
    assert.deepEqual(
      await tags({ Name: "tag:k", Values: ["1"] }, { Name: "resource-type", Values: ["volume"] }),
      ["volume k=1"],
    );
    await ec2("delete_tags", { Resources: [a, v], Tags: [{ Key: "k", Value: "2" }, { Key: "l" }] });
    assert.deepEqual((await tags({ Name: "key", Values: ["k", "l"] })).sort(), [
      "snapshot k=1",
      "volume k=1",
    ]);
    const pages = await ec2("paginate:describe_tags", { PaginationConfig: { PageSize: 5 } });
    assert.equal(pages.flatMap((page: { Tags: object[] }) => page.Tags).length, (await tags()).length);
    const many = Array.from({ length: 49 }, (_, i) => ({ Key: `t${i}`, Value: "" }));
    await refused(ec2("create_tags", { Resources: [a], Tags: many }), "TagLimitExceeded");
    await refused(ec2("create_tags", { Resources: [NONE], Tags: many }), "InvalidSnapshot.NotFound");
    await refused(ec2("create_tags", { Resources: ["i-1"], Tags: many }), "InvalidID");
    await refused(
      ec2("create_tags", { Resources: [a], Tags: [{ Key: "aws:x", Value: "" }] }),
      "InvalidParameterValue",
    );
    await ec2("delete_tags", { Resources: [v] });
    assert.deepEqual(await tags({ Name: "resource-id", Values: [v] }), []);
  });

  test("who may restore: said in both ways, kept, reset", async () => {
    const [SnapshotId] = snapshots;
    const shared = async () =>
      (await ec2("describe_snapshot_attribute", { SnapshotId, Attribute: "createVolumePermission" }))
        .CreateVolumePermissions;
    const modify = (args: object) =>
      ec2("modify_snapshot_attribute", { SnapshotId, Attribute: "createVolumePermission", ...args });
    assert.deepEqual(await shared(), []);
    await modify({ OperationType: "add", UserIds: ["222222222222", "111111111111"] });
    await modify({
      CreateVolumePermission: { Add: [{ Group: "all" }], Remove: [{ UserId: "222222222222" }] },
    });
    assert.deepEqual(await shared(), [{ UserId: "111111111111" }, { Group: "all" }]);
    const found = await ec2("describe_snapshots", { RestorableByUserIds: ["111111111111"] });
    assert.deepEqual(
      found.Snapshots.map((one: { SnapshotId: string }) => one.SnapshotId),
      [SnapshotId],
    );
    await ec2("reset_snapshot_attribute", { SnapshotId, Attribute: "createVolumePermission" });
    assert.deepEqual(await shared(), []);
    await refused(modify({}), "MissingParameter");
    await refused(modify({ UserIds: ["111111111111"] }), "MissingParameter");
    await refused(modify({ OperationType: "add", UserIds: ["me"] }), "InvalidUserID.Malformed");
    await refused(modify({ OperationType: "add", GroupNames: ["some"] }), "InvalidParameterValue");
    await refused(
      ec2("describe_snapshot_attribute", { SnapshotId: NONE, Attribute: "productCodes" }),
      "InvalidSnapshot.NotFound",
    );
  });

  test("a locked snapshot can't be deleted, not even by a gateway that has come back from the bucket", async () => {
    const [governed = "", complying = "", cooling = ""] = snapshots;
    const code = (call: Promise<unknown>) =>
      call.then(
        () => "done",
        (error: Error) => error.name,
      );
    const lock = (args: object) => sdk.send(new LockSnapshotCommand(args as never));
    const one = await lock({ SnapshotId: governed, LockMode: "governance", LockDuration: 2 });
    assert.deepEqual([one.LockState, one.LockDuration], ["governance", 2]);
    assert.equal(
      (one.LockExpiresOn?.getTime() ?? 0) - (one.LockCreatedOn?.getTime() ?? 0),
      2 * 24 * 3600_000,
    );
    const cool = await lock({
      SnapshotId: cooling,
      LockMode: "compliance",
      LockDuration: 1,
      CoolOffPeriod: 3,
    });
    assert.deepEqual([cool.LockState, cool.CoolOffPeriod], ["compliance-cooloff", 3]);
    const ExpirationDate = new Date(Date.now() + 10 * 24 * 3600_000);
    await lock({ SnapshotId: complying, LockMode: "compliance", ExpirationDate });
    for (const SnapshotId of [governed, complying, cooling])
      await refused(ec2("delete_snapshot", { SnapshotId }), "SnapshotLocked");
    assert.equal(
      await code(lock({ SnapshotId: complying, LockMode: "governance", LockDuration: 90 })),
      "SnapshotLocked",
    );
    assert.equal(
      await code(lock({ SnapshotId: complying, LockMode: "compliance", LockDuration: 9 })),
      "SnapshotLocked",
    );
    assert.equal(
      await code(lock({ SnapshotId: complying, LockMode: "compliance", LockDuration: 11 })),
      "done",
    );
    assert.equal(await code(lock({ SnapshotId: governed, LockMode: "governance", LockDuration: 1 })), "done");
    assert.equal(
      await code(sdk.send(new UnlockSnapshotCommand({ SnapshotId: complying }))),
      "SnapshotLocked",
    );
    assert.equal(await code(sdk.send(new UnlockSnapshotCommand({ SnapshotId: cooling }))), "done");
    assert.equal(await code(sdk.send(new UnlockSnapshotCommand({ SnapshotId: cooling }))), "IncorrectState");
    assert.equal(
      await code(lock({ SnapshotId: cooling, LockMode: "governance" })),
      "InvalidParameterCombination",
    );
    const both = { SnapshotId: cooling, LockMode: "governance", LockDuration: 1, CoolOffPeriod: 1 };
    assert.equal(await code(lock(both)), "InvalidParameterCombination");
    assert.equal(
      await code(lock({ SnapshotId: NONE, LockMode: "governance", LockDuration: 1 })),
      "InvalidSnapshot.NotFound",
    );
    assert.equal(
      await code(lock({ SnapshotId: cooling, LockMode: "governance", LockDuration: 36501 })),
      "InvalidParameterValue",
    );
    assert.equal(
      await code(lock({ SnapshotId: cooling, LockMode: "sometimes", LockDuration: 1 })),
      "InvalidParameterValue",
    );
    const listed = await sdk.send(
      new DescribeLockedSnapshotsCommand({ Filters: [{ Name: "lock-state", Values: ["*"] }] }),
    );
    assert.deepEqual(
      listed.Snapshots?.map(({ SnapshotId, LockState }) => [SnapshotId, LockState]).sort(),
      [
        [governed, "governance"],
        [complying, "compliance"],
      ].sort(),
    );

    const key = join(folder, "key");
    copyFileSync(join(gateway.dataDir, "vault.key"), key);
    await gateway.kill();
    rmSync(gateway.dataDir, { recursive: true });
    const recovered = sluicegate(
      "recover",
      ...fileStore.options(bucket),
      "--key",
      key,
      "--data",
      gateway.dataDir,
      ...SIZES,
    );
    assert.equal(recovered.status, 0, recovered.stderr);
    await gateway.start();
    for (const SnapshotId of [governed, complying])
      await refused(ec2("delete_snapshot", { SnapshotId }), "SnapshotLocked");
    await ec2("delete_snapshot", { SnapshotId: cooling });
    await until("it is gone", async () => {
      const { Snapshots } = await ec2("describe_snapshots");
      return Snapshots.length === 2 ? true : undefined;
    });
  });

  test("nonsense in a form is an error of the caller", async () => {
    const settings = gateway.botoSettings();
    const post = async (body: string) => {
      const headers = { "content-type": "application/x-www-form-urlencoded; charset=utf-8" };
      const { status, text } = await send(settings, { service: "ec2", headers, body });
      return `${status} ${/<Code>(.*)<\/Code>/.exec(text)?.[1]}`;
    };
    assert.equal(await post("Version=2016-11-15"), "400 MissingAction");
    assert.equal(await post("Action=Nothing&Version=2016-11-15"), "400 InvalidAction");
    assert.equal(await post("Action=RunInstances&Version=2016-11-15"), "400 UnsupportedOperation");
    assert.equal(await post("Action=DeleteSnapshot&Version=2016-11-15"), "400 MissingParameter");
    assert.equal(await post("Action=DescribeSnapshots&MaxResults=many"), "400 InvalidParameterValue");
    assert.equal(await post("Action=DescribeSnapshots&DryRun=perhaps"), "400 InvalidParameterValue");
    assert.equal(await post("Action=DescribeSnapshots&Filter.1=x"), "400 InvalidParameterValue");
    const stars = `${"*a".repeat(120)}b`;
    assert.equal(
      await post(
        `Action=DescribeSnapshots&Filter.1.Name=description&Filter.1.Value.1=${encodeURIComponent(stars)}`,
      ),
      "200 undefined",
    );
  });
});
