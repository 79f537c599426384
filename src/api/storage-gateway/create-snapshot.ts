import type { CreateSnapshotInput, CreateSnapshotOutput } from "@aws-sdk/client-storage-gateway";
import type { Services } from "../../gateway/services.ts";
import type { Operation } from "../operation.ts";
import { checkTags } from "../tags.ts";

/**
 * CreateSnapshot: starts an ad hoc snapshot of one volume.
 *
 * Answers as soon as the point in time is fixed and recorded; the upload goes on behind it. Follow its progress with
 * EC2 DescribeSnapshots.
 */
export const createSnapshot: Operation<Services, CreateSnapshotInput, CreateSnapshotOutput> = {
  name: "CreateSnapshot",
  async handle({ snapshots, volumes }, { VolumeARN, SnapshotDescription, Tags }) {
    const tags = checkTags(Tags);
    const volume = await volumes.byArn(VolumeARN ?? "");
    const snapshot = await snapshots.create(volume, SnapshotDescription ?? "", tags);
    return { VolumeARN: volumes.arnOf(volume), SnapshotId: snapshot.id };
  },
};
