/** What the operations of EC2 check in the same way. */
import type { TagSpecification } from "@aws-sdk/client-ec2";
import { parseSnapshotId, parseVolumeId, type SnapshotId, type VolumeId } from "../../platform/ids.ts";
import { Ec2Error } from "../ec2-error.ts";
import { checkTags, TAGS_MAX, type TagShape } from "../tags.ts";

const DESCRIPTION_LENGTH_MAX = 255;

/** What a permitted DryRun is answered with. */
export function dryRun(): Ec2Error {
  return new Ec2Error("DryRunOperation", "Request would have succeeded, but DryRun flag is set.", 412);
}

/** The id that a request spells. Throws InvalidSnapshotID.Malformed; a short id is well formed and never ours. */
export function checkedSnapshotId(text: string | undefined): SnapshotId {
  const id = text === undefined ? undefined : parseSnapshotId(text);
  if (id !== undefined) return id;
  if (text !== undefined && /^snap-[0-9a-fA-F]{8}$/.test(text)) throw snapshotNotFound(text);
  throw new Ec2Error("InvalidSnapshotID.Malformed", `Invalid id: "${text ?? ""}" (expecting "snap-...")`);
}

/** The same for a volume: InvalidVolumeID.Malformed. */
export function checkedVolumeId(text: string | undefined): VolumeId {
  const id = text === undefined ? undefined : parseVolumeId(text);
  if (id !== undefined) return id;
  if (text !== undefined && /^vol-[0-9a-fA-F]{8}$/.test(text)) throw volumeNotFound(text);
  throw new Ec2Error("InvalidVolumeID.Malformed", `Invalid id: "${text ?? ""}" (expecting "vol-...")`);
}

export function snapshotNotFound(id: string): Ec2Error {
  return new Ec2Error("InvalidSnapshot.NotFound", `The snapshot '${id}' does not exist.`);
}

export function volumeNotFound(id: string): Ec2Error {
  return new Ec2Error("InvalidVolume.NotFound", `The volume '${id}' does not exist.`);
}

export function checkedDescription(text: string | undefined): string {
  if ((text?.length ?? 0) <= DESCRIPTION_LENGTH_MAX) return text ?? "";
  throw new Ec2Error(
    "InvalidParameterValue",
    `A description has at most ${DESCRIPTION_LENGTH_MAX} characters.`,
  );
}

/** The tags of a request, checked. Throws TagLimitExceeded, or what `checkTags` does. */
export function checkedTags(tags: readonly TagShape[] | undefined): { key: string; value: string }[] {
  if ((tags?.length ?? 0) > TAGS_MAX)
    throw new Ec2Error(
      "TagLimitExceeded",
      `The maximum number of Tags for a resource has been reached: ${TAGS_MAX}.`,
    );
  return checkTags(tags, "any");
}

/** The tags that a request wants for resources of this type. */
export function wantedTags(
  specifications: readonly TagSpecification[] | undefined,
  type: "snapshot" | "volume",
): { key: string; value: string }[] {
  const other = specifications?.find(({ ResourceType }) => ResourceType !== type);
  if (other !== undefined)
    throw new Ec2Error(
      "InvalidParameterValue",
      `'${other.ResourceType ?? ""}' is not a valid taggable resource type for this operation.`,
    );
  return checkedTags((specifications ?? []).flatMap(({ Tags }) => Tags ?? []));
}

/** Everything is encrypted under the vault's key: keys of a KMS are refused. */
export function refuseKms(keyId: string | undefined): void {
  if (keyId !== undefined)
    throw new Ec2Error(
      "UnsupportedOperation",
      "Everything is encrypted under the vault's key, not under KMS keys.",
    );
}
