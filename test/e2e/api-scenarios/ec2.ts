/** The EC2 operations, each called once and looked at for what it did; and requests that each refuses, by its codes. */
import { strict as assert } from "node:assert";
import type { GatewayProcess } from "../../clients/gateway.ts";
import { completed, until } from "../volume-kit.ts";
import type { Call, Refusal } from "./scenario.ts";

const ZONE = "us-east-1a";
const DAY_S = 24 * 3600;

/** `tag` tells this round's volumes from those of the others. */
export async function everyEc2Operation(gateway: GatewayProcess, call: Call, tag: string): Promise<void> {
  assert.equal((await call("DescribeRegions")).Regions[0].RegionName, "us-east-1");
  assert.equal((await call("DescribeAvailabilityZones")).AvailabilityZones[0].ZoneName, ZONE);

  // Volumes.
  const named = (ResourceType: string) => [
    {
      ResourceType,
      Tags: [
        { Key: "Name", Value: tag },
        { Key: "by", Value: tag },
      ],
    },
  ];
  const wanted = {
    AvailabilityZone: ZONE,
    Size: 1,
    ClientToken: `token-${tag}`,
    TagSpecifications: named("volume"),
  };
  const made = await call("CreateVolume", wanted);
  const { VolumeId } = made;
  assert.equal((await call("CreateVolume", wanted)).VolumeId, VolumeId);
  assert.match(VolumeId, /^vol-[0-9a-f]{17}$/);
  const byName = [{ Name: "tag:Name", Values: [tag] }];
  const { Volumes } = await call("DescribeVolumes", { Filters: byName });
  assert.equal(Volumes.length, 1);
  const [volume] = Volumes;
  assert.deepEqual([volume.VolumeId, volume.Size, volume.Encrypted], [VolumeId, 1, true]);
  assert(Math.abs(Date.now() - new Date(volume.CreateTime).getTime()) < DAY_S * 1000);
  const modified = await call("ModifyVolume", { VolumeId, Size: 2 });
  assert.equal(modified.VolumeModification.TargetSize, 2);
  const { VolumesModifications } = await call("DescribeVolumesModifications", { VolumeIds: [VolumeId] });
  assert.deepEqual([VolumesModifications[0].VolumeId, VolumesModifications[0].TargetSize], [VolumeId, 2]);

  // Snapshots.
  const Description = `of ${tag}`;
  const snapshot = await call("CreateSnapshot", {
    VolumeId,
    Description,
    TagSpecifications: named("snapshot"),
  });
  const { SnapshotId } = snapshot;
  assert.deepEqual([snapshot.State, snapshot.VolumeSize, snapshot.Progress], ["pending", 2, "0%"]);
  await completed(gateway, SnapshotId);
  const { Snapshots } = await call("DescribeSnapshots", { SnapshotIds: [SnapshotId] });
  const [described] = Snapshots;
  assert.deepEqual(
    [described.State, described.Progress, described.OwnerId, described.Description, described.VolumeId],
    ["completed", "100%", "000000000000", Description, VolumeId],
  );
  // Debian's clients are older than this member.
  if (tag === "aws-sdk") assert(new Date(described.CompletionTime) >= new Date(described.StartTime));
  const copy = await call("CopySnapshot", { SourceRegion: "us-east-1", SourceSnapshotId: SnapshotId });
  assert.notEqual(copy.SnapshotId, SnapshotId);
  const { InstanceId } = volume.Attachments[0];
  const set = await call("CreateSnapshots", { InstanceSpecification: { InstanceId } });
  assert(set.Snapshots.some((one: { VolumeId: string }) => one.VolumeId === VolumeId));
  for (const one of set.Snapshots) await completed(gateway, one.SnapshotId);

  // Tags.
  await call("CreateTags", { Resources: [SnapshotId, VolumeId], Tags: [{ Key: "more", Value: "1" }] });
  const ofMore = [
    { Name: "key", Values: ["more"] },
    { Name: "resource-id", Values: [SnapshotId, VolumeId] },
  ];
  const { Tags } = await call("DescribeTags", { Filters: ofMore });
  assert.deepEqual(Tags.map((one: { ResourceType: string }) => one.ResourceType).sort(), [
    "snapshot",
    "volume",
  ]);
  await call("DeleteTags", { Resources: [SnapshotId, VolumeId], Tags: [{ Key: "more" }] });
  assert.deepEqual((await call("DescribeTags", { Filters: ofMore })).Tags ?? [], []);

  // Who may restore, and what may not be deleted.
  const permission = { SnapshotId, Attribute: "createVolumePermission" };
  await call("ModifySnapshotAttribute", {
    ...permission,
    OperationType: "add",
    UserIds: ["111111111111"],
  });
  const shared = await call("DescribeSnapshotAttribute", permission);
  assert.deepEqual(shared.CreateVolumePermissions, [{ UserId: "111111111111" }]);
  await call("ResetSnapshotAttribute", permission);
  const reset = await call("DescribeSnapshotAttribute", permission);
  assert.deepEqual(reset.CreateVolumePermissions ?? [], []);
  // Debian's clients are older than locks.
  if (tag === "aws-sdk") await locks(call, SnapshotId);

  // The end of it all.
  for (const one of [snapshot, copy, ...set.Snapshots])
    await call("DeleteSnapshot", { SnapshotId: one.SnapshotId });
  await call("DeleteVolume", { VolumeId });
  await until("the volume is gone", async () => {
    const left = await call("DescribeVolumes", { Filters: byName });
    return (left.Volumes ?? []).length === 0 ? true : undefined;
  });
}

async function locks(call: Call, SnapshotId: string): Promise<void> {
  const locked = await call("LockSnapshot", { SnapshotId, LockMode: "governance", LockDuration: 1 });
  assert.deepEqual([locked.SnapshotId, locked.LockState], [SnapshotId, "governance"]);
  const all = await call("DescribeLockedSnapshots", { SnapshotIds: [SnapshotId] });
  assert.deepEqual(
    all.Snapshots.map((one: { LockState: string; LockDuration: number }) => [
      one.LockState,
      one.LockDuration,
    ]),
    [["governance", 1]],
  );
  assert.equal((await call("UnlockSnapshot", { SnapshotId })).SnapshotId, SnapshotId);
}

const NO_SNAPSHOT = "snap-00000000000000000";
const NO_VOLUME = "vol-00000000000000000";

/** What is there: a volume with a completed snapshot, another with one that is locked and one that is pending. */
export interface Ec2Stage {
  readonly volume: string;
  readonly snapshot: string;
  readonly locked: string;
  readonly pending: string;
  readonly instance: string;
}

export function ec2Refusals({ volume, snapshot, locked, pending, instance }: Ec2Stage): Refusal[] {
  const permission = { SnapshotId: snapshot, Attribute: "createVolumePermission" };
  const copy = { SourceRegion: "us-east-1", SourceSnapshotId: snapshot };
  const zone = { AvailabilityZone: ZONE };
  const lock = { SnapshotId: snapshot, LockMode: "governance" };
  const ofOther = { TagSpecifications: [{ ResourceType: "image", Tags: [{ Key: "k", Value: "v" }] }] };
  const reserved = [{ Key: "aws:k", Value: "v" }];
  const many = Array.from({ length: 51 }, (_, i) => ({ Key: `k${i}`, Value: "v" }));
  const oddFilter = { Filters: [{ Name: "colour", Values: ["red"] }] };
  const idOperations: [string, string, object][] = [
    ["CreateSnapshot", "VolumeId", {}],
    ["DeleteSnapshot", "SnapshotId", {}],
    ["DeleteVolume", "VolumeId", {}],
    ["DescribeSnapshotAttribute", "SnapshotId", { Attribute: "createVolumePermission" }],
    ["LockSnapshot", "SnapshotId", { LockMode: "governance", LockDuration: 1 }],
    ["ModifySnapshotAttribute", "SnapshotId", { OperationType: "add", UserIds: ["111111111111"] }],
    ["ModifyVolume", "VolumeId", { Size: 3 }],
    ["ResetSnapshotAttribute", "SnapshotId", { Attribute: "createVolumePermission" }],
    ["UnlockSnapshot", "SnapshotId", {}],
  ];
  const byId = idOperations.flatMap(([operation, member, more]): Refusal[] => {
    const isVolume = member === "VolumeId";
    const there = isVolume ? volume : operation === "UnlockSnapshot" ? locked : snapshot;
    return [
      [operation, more, "MissingParameter"],
      [
        operation,
        { ...more, [member]: "x" },
        isVolume ? "InvalidVolumeID.Malformed" : "InvalidSnapshotID.Malformed",
      ],
      [
        operation,
        { ...more, [member]: isVolume ? NO_VOLUME : NO_SNAPSHOT },
        isVolume ? "InvalidVolume.NotFound" : "InvalidSnapshot.NotFound",
      ],
      [operation, { ...more, [member]: there, DryRun: true }, "DryRunOperation", 412],
    ];
  });
  return [
    ...byId,
    ["CopySnapshot", { ...copy, SourceRegion: undefined }, "MissingParameter"],
    ["CopySnapshot", { ...copy, SourceRegion: "eu-west-1" }, "InvalidParameterValue"],
    ["CopySnapshot", { ...copy, SourceSnapshotId: "x" }, "InvalidSnapshotID.Malformed"],
    ["CopySnapshot", { ...copy, SourceSnapshotId: NO_SNAPSHOT }, "InvalidSnapshot.NotFound"],
    ["CopySnapshot", { ...copy, SourceSnapshotId: pending }, "IncorrectState"],
    ["CopySnapshot", { ...copy, KmsKeyId: "alias/k" }, "UnsupportedOperation"],
    ["CopySnapshot", { ...copy, DryRun: true }, "DryRunOperation", 412],
    ["CreateSnapshot", { VolumeId: volume, Description: "x".repeat(256) }, "InvalidParameterValue"],
    ["CreateSnapshot", { VolumeId: volume, ...ofOther }, "InvalidParameterValue"],
    ["CreateSnapshots", {}, "MissingParameter"],
    ["CreateSnapshots", { InstanceSpecification: { InstanceId: "box" } }, "InvalidInstanceID.Malformed"],
    [
      "CreateSnapshots",
      { InstanceSpecification: { InstanceId: "i-00000000000000000" } },
      "InvalidInstanceID.NotFound",
    ],
    [
      "CreateSnapshots",
      { InstanceSpecification: { InstanceId: instance, ExcludeDataVolumeIds: [NO_VOLUME] } },
      "InvalidVolume.NotFound",
    ],
    [
      "CreateSnapshots",
      { InstanceSpecification: { InstanceId: instance }, DryRun: true },
      "DryRunOperation",
      412,
    ],
    ["CreateTags", { Resources: [snapshot] }, "MissingParameter"],
    ["CreateTags", { Resources: ["i-1"], Tags: [{ Key: "k", Value: "v" }] }, "InvalidID"],
    [
      "CreateTags",
      { Resources: [NO_SNAPSHOT], Tags: [{ Key: "k", Value: "v" }] },
      "InvalidSnapshot.NotFound",
    ],
    ["CreateTags", { Resources: [NO_VOLUME], Tags: [{ Key: "k", Value: "v" }] }, "InvalidVolume.NotFound"],
    [
      "CreateTags",
      { Resources: ["snap-x"], Tags: [{ Key: "k", Value: "v" }] },
      "InvalidSnapshotID.Malformed",
    ],
    ["CreateTags", { Resources: [snapshot], Tags: reserved }, "InvalidParameterValue"],
    ["CreateTags", { Resources: [snapshot], Tags: many }, "TagLimitExceeded"],
    [
      "CreateTags",
      { Resources: [snapshot], Tags: [{ Key: "k", Value: "v" }], DryRun: true },
      "DryRunOperation",
      412,
    ],
    ["CreateVolume", zone, "MissingParameter"],
    ["CreateVolume", { Size: 1 }, "MissingParameter"],
    ["CreateVolume", { AvailabilityZone: "us-east-1z", Size: 1 }, "InvalidZone.NotFound"],
    ["CreateVolume", { ...zone, SnapshotId: "x" }, "InvalidSnapshotID.Malformed"],
    ["CreateVolume", { ...zone, SnapshotId: NO_SNAPSHOT }, "InvalidSnapshot.NotFound"],
    ["CreateVolume", { ...zone, SnapshotId: pending }, "IncorrectState"],
    ["CreateVolume", { ...zone, SnapshotId: snapshot, Size: 1 }, "InvalidParameterValue"],
    ["CreateVolume", { ...zone, Size: 0 }, "InvalidParameterValue"],
    ["CreateVolume", { ...zone, Size: 1, KmsKeyId: "alias/k" }, "UnsupportedOperation"],
    ["CreateVolume", { ...zone, Size: 3, ClientToken: "refusals" }, "IdempotentParameterMismatch"],
    ["CreateVolume", { ...zone, Size: 1, DryRun: true }, "DryRunOperation", 412],
    ["DeleteSnapshot", { SnapshotId: locked }, "SnapshotLocked"],
    ["DeleteTags", {}, "MissingParameter"],
    ["DeleteTags", { Resources: ["i-1"] }, "InvalidID"],
    ["DeleteTags", { Resources: [NO_SNAPSHOT] }, "InvalidSnapshot.NotFound"],
    ["DeleteTags", { Resources: [snapshot], DryRun: true }, "DryRunOperation", 412],
    ["DescribeAvailabilityZones", { ZoneNames: ["us-east-1z"] }, "InvalidParameterValue"],
    ["DescribeAvailabilityZones", { DryRun: true }, "DryRunOperation", 412],
    ["DescribeLockedSnapshots", { SnapshotIds: [NO_SNAPSHOT] }, "InvalidSnapshot.NotFound"],
    ["DescribeLockedSnapshots", oddFilter, "InvalidParameterValue"],
    ["DescribeLockedSnapshots", { DryRun: true }, "DryRunOperation", 412],
    ["DescribeRegions", { RegionNames: ["eu-west-1"] }, "InvalidParameterValue"],
    ["DescribeRegions", { DryRun: true }, "DryRunOperation", 412],
    ["DescribeSnapshots", { SnapshotIds: [snapshot, NO_SNAPSHOT] }, "InvalidSnapshot.NotFound"],
    ["DescribeSnapshots", { SnapshotIds: ["x"] }, "InvalidSnapshotID.Malformed"],
    ["DescribeSnapshots", { SnapshotIds: [snapshot], MaxResults: 5 }, "InvalidParameterCombination"],
    ["DescribeSnapshots", { MaxResults: 4 }, "InvalidParameterValue"],
    ["DescribeSnapshots", { MaxResults: 5, NextToken: "???" }, "InvalidParameterValue"],
    ["DescribeSnapshots", oddFilter, "InvalidParameterValue"],
    ["DescribeSnapshots", { DryRun: true }, "DryRunOperation", 412],
    ["DescribeTags", oddFilter, "InvalidParameterValue"],
    ["DescribeTags", { MaxResults: 4 }, "InvalidParameterValue"],
    ["DescribeTags", { DryRun: true }, "DryRunOperation", 412],
    ["DescribeVolumes", { VolumeIds: [NO_VOLUME] }, "InvalidVolume.NotFound"],
    ["DescribeVolumes", { VolumeIds: ["x"] }, "InvalidVolumeID.Malformed"],
    ["DescribeVolumes", { VolumeIds: [volume], MaxResults: 5 }, "InvalidParameterCombination"],
    ["DescribeVolumes", oddFilter, "InvalidParameterValue"],
    ["DescribeVolumes", { DryRun: true }, "DryRunOperation", 412],
    ["DescribeVolumesModifications", { VolumeIds: [NO_VOLUME] }, "InvalidVolume.NotFound"],
    ["DescribeVolumesModifications", { VolumeIds: ["x"] }, "InvalidVolumeID.Malformed"],
    ["DescribeVolumesModifications", { VolumeIds: [volume] }, "InvalidVolumeModification.NotFound"],
    ["DescribeVolumesModifications", oddFilter, "InvalidParameterValue"],
    ["DescribeVolumesModifications", { MaxResults: 4 }, "InvalidParameterValue"],
    ["DescribeVolumesModifications", { DryRun: true }, "DryRunOperation", 412],
    ["LockSnapshot", lock, "InvalidParameterCombination"],
    ["LockSnapshot", { ...lock, LockDuration: 1, CoolOffPeriod: 1 }, "InvalidParameterCombination"],
    ["LockSnapshot", { ...lock, LockDuration: 36_501 }, "InvalidParameterValue"],
    ["LockSnapshot", { ...lock, ExpirationDate: 1 }, "InvalidParameterValue"],
    ["LockSnapshot", { ...lock, SnapshotId: locked, LockDuration: 1 }, "SnapshotLocked"],
    ["ModifySnapshotAttribute", { ...permission, UserIds: ["111111111111"] }, "MissingParameter"],
    [
      "ModifySnapshotAttribute",
      { ...permission, OperationType: "add", UserIds: ["me"] },
      "InvalidUserID.Malformed",
    ],
    [
      "ModifySnapshotAttribute",
      { ...permission, OperationType: "add", GroupNames: ["x"] },
      "InvalidParameterValue",
    ],
    ["ModifyVolume", { VolumeId: volume }, "MissingParameter"],
    ["ModifyVolume", { VolumeId: volume, Size: 1 }, "InvalidParameterValue"],
    ["ResetSnapshotAttribute", { ...permission, Attribute: "productCodes" }, "InvalidParameterValue"],
    ["UnlockSnapshot", { SnapshotId: locked }, "SnapshotLocked"],
    ["UnlockSnapshot", { SnapshotId: snapshot }, "IncorrectState"],
  ];
}
