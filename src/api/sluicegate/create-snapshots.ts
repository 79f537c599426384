import { GatewayError } from "../../gateway/errors.ts";
import type { Services } from "../../gateway/services.ts";
import type { Operation } from "../operation.ts";
import { checkTags, type TagShape } from "../tags.ts";

interface Input {
  readonly VolumeARNs: readonly string[];
  readonly SnapshotDescription: string;
  readonly Tags?: readonly TagShape[];
}

interface Output {
  readonly Snapshots: readonly { readonly VolumeARN: string; readonly SnapshotId: string }[];
}

/**
 * CreateSnapshots: snapshots of several volumes at one instant. No write that waited for the acknowledgement of another
 * one is in its volume's snapshot while that other is missing. All of them are made or none.
 */
export const createSnapshots: Operation<Services, Input, Output> = {
  name: "CreateSnapshots",
  async handle({ snapshots, volumes }, { VolumeARNs, SnapshotDescription, Tags }) {
    const tags = checkTags(Tags);
    const rows = [];
    for (const arn of VolumeARNs) rows.push(await volumes.byArn(arn));
    if (new Set(rows.map(({ id }) => id)).size < rows.length) {
      throw new GatewayError("InvalidParameters", "A volume is named twice.");
    }
    const made = await snapshots.createTogether(rows, SnapshotDescription, tags);
    return { Snapshots: made.map(({ id, volume_arn }) => ({ VolumeARN: volume_arn, SnapshotId: id })) };
  },
};
