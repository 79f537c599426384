/** CreateSnapshot, CreateSnapshots, CopySnapshot, DeleteSnapshot. */
import type {
  CopySnapshotRequest,
  CopySnapshotResult,
  CreateSnapshotRequest,
  CreateSnapshotsRequest,
  CreateSnapshotsResult,
  DeleteSnapshotRequest,
  Snapshot,
  SnapshotInfo,
} from "@aws-sdk/client-ec2";
import { gatewayOfInstance } from "../../gateway/instance-ids.ts";
import type { Services } from "../../gateway/services.ts";
import type { VolumeView } from "../../gateway/volumes.ts";
import { Ec2Error } from "../ec2-error.ts";
import type { Operation } from "../operation.ts";
import {
  checkedDescription,
  checkedSnapshotId,
  checkedTags,
  checkedVolumeId,
  dryRun,
  refuseKms,
  snapshotNotFound,
  volumeNotFound,
  wantedTags,
} from "./checks.ts";
import { snapshotShape } from "./snapshot-shape.ts";

export const deleteSnapshot: Operation<Services, DeleteSnapshotRequest, object> = {
  name: "DeleteSnapshot",
  async handle({ snapshots }, { SnapshotId, DryRun }) {
    const id = checkedSnapshotId(SnapshotId);
    if ((await snapshots.find(id)) === undefined) throw snapshotNotFound(id);
    if (DryRun === true) throw dryRun();
    await snapshots.remove(id);
    return {};
  },
};

/** CreateSnapshot: what the Storage Gateway operation of this name does, by volume id. */
export const createSnapshot: Operation<Services, CreateSnapshotRequest, Snapshot> = {
  name: "CreateSnapshot",
  async handle({ snapshots, volumes }, input, { accountId }) {
    const id = checkedVolumeId(input.VolumeId);
    const volume = (await volumes.list()).find((row) => row.id === id && row.state !== "deleting");
    if (volume === undefined) throw volumeNotFound(id);
    const description = checkedDescription(input.Description);
    const tags = wantedTags(input.TagSpecifications, "snapshot");
    if (input.DryRun === true) throw dryRun();
    const row = await snapshots.create(volume, description, tags);
    return snapshotShape({ row, tags, progressPercent: 0 }, accountId);
  },
};

/**
 * CreateSnapshots: of all volumes of a gateway at one instant, except those that are excluded. Where EC2 has an instance
 * there is a gateway here: its id as that of an instance (instance-ids.ts), as DescribeVolumes shows it, or as it is.
 */
export const createSnapshots: Operation<Services, CreateSnapshotsRequest, CreateSnapshotsResult> = {
  name: "CreateSnapshots",
  async handle({ snapshots, volumes, gateways, tags: allTags }, input, { accountId }) {
    const { InstanceId = "", ExcludeDataVolumeIds = [] } = input.InstanceSpecification ?? {};
    const gatewayId = gatewayOfInstance(InstanceId);
    if (gatewayId === undefined)
      throw new Ec2Error("InvalidInstanceID.Malformed", `Invalid id: "${InstanceId}" (expecting "i-...")`);
    if (!(await gateways.list()).some(({ id }) => id === gatewayId))
      throw new Ec2Error("InvalidInstanceID.NotFound", `The instance ID '${InstanceId}' does not exist`);
    const excluded = new Set(ExcludeDataVolumeIds.map(checkedVolumeId));
    const attached = (await volumes.list()).filter(
      (row) => row.gateway_id === gatewayId && row.state === "active" && row.attachment === "attached",
    );
    const stranger = [...excluded].find((id) => !attached.some((row) => row.id === id));
    if (stranger !== undefined) throw volumeNotFound(stranger);
    const own = attached.filter((row) => !excluded.has(row.id));
    if (own.length === 0)
      throw new Ec2Error("InvalidParameterValue", `The instance '${InstanceId}' has no volumes to snapshot.`);
    const description = checkedDescription(input.Description);
    const tags = wantedTags(input.TagSpecifications, "snapshot");
    const keys = new Set(tags.map(({ key }) => key));
    const ofVolumes =
      input.CopyTagsFromSource === "volume" ? await allTags.ofVolumes() : new Map<string, never[]>();
    const copied = new Map(
      own.map(({ id }) => [id, (ofVolumes.get(id) ?? []).filter(({ key }) => !keys.has(key))]),
    );
    for (const more of copied.values())
      checkedTags([...tags, ...more].map(({ key, value }) => ({ Key: key, Value: value })));
    if (input.DryRun === true) throw dryRun();
    const tagsOf = (id: VolumeView["row"]["id"]) => [...tags, ...(copied.get(id) ?? [])];
    const rows = await snapshots.createTogether(own, description, tagsOf);
    return {
      Snapshots: rows.map((row): SnapshotInfo => {
        const all = tagsOf(row.volume_id);
        const { SnapshotId, VolumeId, State, VolumeSize, StartTime, Progress, OwnerId, Description, Tags } =
          snapshotShape({ row, tags: all, progressPercent: 0 }, accountId);
        const info = {
          SnapshotId,
          VolumeId,
          State,
          VolumeSize,
          StartTime,
          Progress,
          OwnerId,
          Description,
          Tags,
        };
        return { ...info, Encrypted: true };
      }),
    };
  },
};

/** CopySnapshot: another name for the same content, within this region. It costs nothing, and is complete at once. */
export const copySnapshot: Operation<Services, CopySnapshotRequest, CopySnapshotResult> = {
  name: "CopySnapshot",
  async handle({ snapshots }, input, { region }) {
    const id = checkedSnapshotId(input.SourceSnapshotId);
    for (const other of [input.SourceRegion, input.DestinationRegion]) {
      if (other !== undefined && other !== region)
        throw new Ec2Error("InvalidParameterValue", `There is one region here, ${region}, and not ${other}.`);
    }
    refuseKms(input.KmsKeyId);
    const source = await snapshots.find(id);
    if (source === undefined) throw snapshotNotFound(id);
    if (source.state !== "completed")
      throw new Ec2Error("IncorrectState", `The snapshot '${id}' is ${source.state}, not completed.`);
    const tags = wantedTags(input.TagSpecifications, "snapshot");
    const description = checkedDescription(input.Description);
    if (input.DryRun === true) throw dryRun();
    const row = await snapshots.copy(source, description, tags);
    return { SnapshotId: row.id, Tags: tags.map(({ key, value }) => ({ Key: key, Value: value })) };
  },
};
