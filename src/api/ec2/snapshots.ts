/** DeleteSnapshot and CreateSnapshot. */
import type { CreateSnapshotRequest, DeleteSnapshotRequest, Snapshot } from "@aws-sdk/client-ec2";
import type { Services } from "../../gateway/services.ts";
import { parseVolumeId } from "../../platform/ids.ts";
import { Ec2Error } from "../ec2-error.ts";
import type { Operation } from "../operation.ts";
import { checkTags } from "../tags.ts";
import { checkedSnapshotId, dryRun, notFound } from "./describe-snapshots.ts";
import { snapshotShape } from "./snapshot-shape.ts";

const DESCRIPTION_LENGTH_MAX = 255;

export const deleteSnapshot: Operation<Services, DeleteSnapshotRequest, object> = {
  name: "DeleteSnapshot",
  async handle({ snapshots }, { SnapshotId, DryRun }) {
    const id = checkedSnapshotId(SnapshotId);
    if (DryRun === true) throw dryRun();
    if (!(await snapshots.list()).some(({ row }) => row.id === id)) throw notFound(id);
    await snapshots.remove(id);
    return {};
  },
};

/** CreateSnapshot: what the Storage Gateway operation of this name does, by volume id. */
export const createSnapshot: Operation<Services, CreateSnapshotRequest, Snapshot> = {
  name: "CreateSnapshot",
  async handle({ snapshots, volumes }, input, { accountId }) {
    const id = parseVolumeId(input.VolumeId ?? "");
    const volume = (await volumes.list()).find((row) => row.id === id && row.state !== "deleting");
    if (volume === undefined) {
      throw new Ec2Error("InvalidVolume.NotFound", `The volume '${input.VolumeId ?? ""}' does not exist.`);
    }
    const description = input.Description ?? "";
    if (description.length > DESCRIPTION_LENGTH_MAX) {
      throw new Ec2Error(
        "InvalidParameterValue",
        `A description has at most ${DESCRIPTION_LENGTH_MAX} characters.`,
      );
    }
    const wanted = (input.TagSpecifications ?? []).filter((one) => one.ResourceType === "snapshot");
    const tags = checkTags(wanted.flatMap((one) => one.Tags ?? []));
    if (input.DryRun === true) throw dryRun();
    const row = await snapshots.create(volume, description, tags);
    return snapshotShape({ row, tags, progressPercent: 0 }, accountId);
  },
};
