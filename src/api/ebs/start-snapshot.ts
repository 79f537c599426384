import { DirectError } from "../../gateway/direct-error.ts";
import { DIRECT_BLOCK_BYTES } from "../../gateway/direct-spool.ts";
import type { Services } from "../../gateway/services.ts";
import type { Operation } from "../operation.ts";
import { checkTags, type TagShape } from "../tags.ts";

interface Input {
  readonly VolumeSize: number;
  readonly ParentSnapshotId?: string;
  readonly Tags?: readonly TagShape[];
  readonly Description?: string;
  readonly ClientToken?: string;
  readonly Encrypted?: boolean;
  readonly KmsKeyArn?: string;
  readonly Timeout?: number;
}

const VOLUME_GIB_MAX = 65_536;
const TIMEOUT_MINUTES_DEFAULT = 60;
const GIB = 1024 ** 3;

/**
 * StartSnapshot: a snapshot that takes blocks until CompleteSnapshot. What is not sent is as in the parent, or zeros.
 * Encrypted it is under the vault's key in any case; keys of a KMS are refused.
 */
export const startSnapshot: Operation<Services, Input, object> = {
  name: "StartSnapshot",
  async handle({ directUploads }, input, { accountId }) {
    const invalid = (
      message: string,
      reason: "INVALID_VOLUME_SIZE" | "INVALID_PARAMETER_VALUE" | "INVALID_CUSTOMER_KEY",
    ) => new DirectError("validation", message, reason);
    if (input.VolumeSize > VOLUME_GIB_MAX)
      throw invalid(`VolumeSize is at most ${VOLUME_GIB_MAX} GiB.`, "INVALID_VOLUME_SIZE");
    if (input.Encrypted !== undefined && input.ParentSnapshotId !== undefined)
      throw invalid("Encrypted can't be given with ParentSnapshotId.", "INVALID_PARAMETER_VALUE");
    if (input.KmsKeyArn !== undefined)
      throw invalid(
        "Snapshots are encrypted under the vault's key, not under KMS keys.",
        "INVALID_CUSTOMER_KEY",
      );
    const { row, tags, parentSnapshotId } = await directUploads.start({
      volumeSizeGib: input.VolumeSize,
      parentSnapshotId: input.ParentSnapshotId,
      description: input.Description ?? "",
      tags: checkTags(input.Tags, "any"),
      clientToken: input.ClientToken,
      timeoutMinutes: input.Timeout ?? TIMEOUT_MINUTES_DEFAULT,
    });
    return {
      SnapshotId: row.id,
      OwnerId: accountId,
      Status: row.state,
      StartTime: new Date(row.started_at),
      VolumeSize: Math.ceil(row.volume_size_bytes / GIB),
      BlockSize: DIRECT_BLOCK_BYTES,
      SseType: "sse-ebs",
      Tags: tags.map(({ key, value }) => ({ Key: key, Value: value })),
      ...(row.description !== "" && { Description: row.description }),
      ...(parentSnapshotId !== null && { ParentSnapshotId: parentSnapshotId }),
    };
  },
};
