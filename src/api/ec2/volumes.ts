/** DescribeVolumes, CreateVolume, DeleteVolume. */
import { createHash } from "node:crypto";
import type {
  CreateVolumeRequest,
  DeleteVolumeRequest,
  DescribeVolumesRequest,
  DescribeVolumesResult,
  Volume,
} from "@aws-sdk/client-ec2";
import { gatewayArn } from "../../gateway/arn.ts";
import type { Services } from "../../gateway/services.ts";
import type { VolumeView } from "../../gateway/volumes.ts";
import { Ec2Error } from "../ec2-error.ts";
import type { Operation } from "../operation.ts";
import {
  checkedSnapshotId,
  checkedVolumeId,
  dryRun,
  refuseKms,
  snapshotNotFound,
  volumeNotFound,
  wantedTags,
} from "./checks.ts";
import { type FilterTable, filterOf } from "./filters.ts";
import { pageOf } from "./paging.ts";
import { zoneIdOf, zoneOf } from "./regions.ts";
import { type DescribedVolume, keptType, volumeShape } from "./volume-shape.ts";

const GIB = 1024 ** 3;
const TARGET_NAME = /^[a-z0-9.-]{1,200}$/;
const TOKEN_LENGTH_MAX = 64;

/** All volumes of all gateways. Each is attached to its gateway, which stands where EC2 has an instance. */
export const describeVolumes: Operation<Services, DescribeVolumesRequest, DescribeVolumesResult> = {
  name: "DescribeVolumes",
  async handle(services, input, { region }) {
    const { VolumeIds = [], MaxResults } = input;
    if (MaxResults !== undefined && VolumeIds.length > 0)
      throw new Ec2Error(
        "InvalidParameterCombination",
        "The parameter volumeSet cannot be used with the parameter maxResults.",
      );
    const wanted = new Set(VolumeIds.map(checkedVolumeId));
    const there = (await services.volumes.list()).filter(({ state }) => state !== "deleting");
    const rows = wanted.size === 0 ? there : there.filter(({ id }) => wanted.has(id));
    const found = new Set(rows.map(({ id }) => id));
    const missing = [...wanted].find((id) => !found.has(id));
    if (missing !== undefined) throw volumeNotFound(missing);
    if (input.DryRun === true) throw dryRun();
    const zone = zoneOf(region);
    const passes = filterOf(input.Filters, FILTERS);
    const isFiltered = (input.Filters?.length ?? 0) > 0;
    // What nobody has asked to filter by is only looked up for the page.
    const all = isFiltered ? await described(services, rows, zone) : rows.map((row) => bare(row, zone));
    const { page, nextToken } = pageOf(all, ({ view }) => view.row.id, input, passes);
    const shown = isFiltered
      ? page
      : await described(
          services,
          page.map(({ view }) => view.row),
          zone,
        );
    return { Volumes: shown.map(volumeShape), NextToken: nextToken };
  },
};

/** Rows with how they are at the moment, and their tags; in their order. */
async function described(
  { volumes, tags }: Services,
  rows: readonly VolumeView["row"][],
  zone: string,
): Promise<DescribedVolume[]> {
  const [views, tagsOf] = await Promise.all([volumes.views(rows), tags.ofVolumes(rows.map(({ id }) => id))]);
  return views.map((view) => ({ view, tags: tagsOf.get(view.row.id) ?? [], zone }));
}

function bare(row: VolumeView["row"], zone: string): DescribedVolume {
  const report = { volumeId: row.id, status: "AVAILABLE", usedBytes: 0, initiators: [] } as const;
  return { view: { row, report }, tags: [], zone };
}

const FILTERS: FilterTable<DescribedVolume> = {
  tagsOf: ({ tags }) => tags,
  names: {
    "attachment.attach-time": (volume) => [...dates(volumeShape(volume).Attachments?.[0]?.AttachTime)],
    "attachment.delete-on-termination": () => ["false"],
    "attachment.device": (volume) => [volumeShape(volume).Attachments?.[0]?.Device ?? ""],
    "attachment.instance-id": (volume) => [volumeShape(volume).Attachments?.[0]?.InstanceId ?? ""],
    "attachment.status": (volume) => [volumeShape(volume).Attachments?.[0]?.State ?? ""],
    "availability-zone": ({ zone }) => [zone],
    "create-time": ({ view }) => [new Date(view.row.created_at).toISOString()],
    encrypted: () => ["true"],
    "fast-restored": () => ["false"],
    "multi-attach-enabled": () => ["false"],
    size: ({ view }) => [String(view.row.size_bytes / GIB)],
    "snapshot-id": ({ view }) => [view.row.source_snapshot_id ?? ""],
    status: (volume) => [volumeShape(volume).State ?? ""],
    "volume-id": ({ view }) => [view.row.id],
    "volume-type": (volume) => [volumeShape(volume).VolumeType ?? ""],
  },
};

function dates(date: Date | undefined): string[] {
  return date === undefined ? [] : [date.toISOString()];
}

/**
 * CreateVolume: a new cached volume, empty or of a snapshot. It comes to the cached gateway whose ARN is in OutpostArn,
 * else to the oldest one. Its target is named by the tag Name, where that is a name that initiators take and no target has.
 */
export const createVolume: Operation<Services, CreateVolumeRequest, Volume> = {
  name: "CreateVolume",
  async handle(services, input, { region, requestId }) {
    const { snapshots, volumes, tags: allTags } = services;
    const { Size, SnapshotId, ClientToken } = input;
    checkZone(input, region);
    refuseKms(input.KmsKeyId);
    if ((ClientToken?.length ?? 0) > TOKEN_LENGTH_MAX)
      throw new Ec2Error(
        "InvalidParameterValue",
        `A client token has at most ${TOKEN_LENGTH_MAX} characters.`,
      );
    const tags = wantedTags(input.TagSpecifications, "volume");
    const snapshotId = SnapshotId === undefined ? undefined : checkedSnapshotId(SnapshotId);
    const snapshot = snapshotId === undefined ? undefined : await snapshots.find(snapshotId);
    if (snapshotId !== undefined && snapshot === undefined) throw snapshotNotFound(snapshotId);
    if (snapshot !== undefined && snapshot.state !== "completed")
      throw new Ec2Error(
        "IncorrectState",
        `The snapshot '${snapshot.id}' is ${snapshot.state}, not completed.`,
      );
    const sizeBytes = Size === undefined ? snapshot?.volume_size_bytes : Size * GIB;
    if (sizeBytes === undefined)
      throw new Ec2Error("MissingParameter", "The request must contain the parameter size or snapshotId.");
    if (snapshot !== undefined && sizeBytes < snapshot.volume_size_bytes)
      throw new Ec2Error("InvalidParameterValue", "The volume is smaller than the snapshot's.");
    const arn = await cachedGateway(services, input.OutpostArn);
    if (input.DryRun === true) throw dryRun();
    const token = ClientToken ?? requestId;
    const ec2Type = keptType(input);
    const row = await volumes.createCached({
      gatewayArn: arn,
      sizeBytes: Math.ceil(sizeBytes / GIB) * GIB,
      ...(snapshotId !== undefined && { snapshotId }),
      networkInterface: services.portal.address,
      ...targetNames(tags, token),
      clientToken: `ec2-${token}`,
      ...(ec2Type !== undefined && { ec2Type }),
      tags,
    });
    const view = await volumes.view(row);
    return volumeShape({ view, tags: await allTags.list(volumes.arnOf(row)), zone: zoneOf(region) });
  },
};

function checkZone({ AvailabilityZone, AvailabilityZoneId }: CreateVolumeRequest, region: string): void {
  if (AvailabilityZone === undefined && AvailabilityZoneId === undefined)
    throw new Ec2Error("MissingParameter", "The request must contain the parameter AvailabilityZone.");
  const other = [
    ...(AvailabilityZone === zoneOf(region) ? [] : [AvailabilityZone]),
    ...(AvailabilityZoneId === zoneIdOf(region) ? [] : [AvailabilityZoneId]),
  ].find((zone) => zone !== undefined);
  if (other !== undefined) throw new Ec2Error("InvalidZone.NotFound", `The zone '${other}' does not exist.`);
}

async function cachedGateway({ gateways, realm }: Services, wantedArn: string | undefined): Promise<string> {
  if (wantedArn !== undefined) {
    const gateway = await gateways.byArn(wantedArn);
    return gatewayArn(realm, gateway.id);
  }
  const cached = (await gateways.list()).filter(({ kind }) => kind === "CACHED");
  const oldest = cached.sort((a, b) => a.created_at - b.created_at)[0];
  if (oldest === undefined)
    throw new Ec2Error("UnsupportedOperation", "There is no cached gateway to make the volume on.");
  return gatewayArn(realm, oldest.id);
}

/** The same for the same token: a request that is repeated is the same request, whatever has been made since. */
function targetNames(tags: readonly { key: string; value: string }[], token: string) {
  const made = `volume-${createHash("sha256").update(token).digest("hex").slice(0, 16)}`;
  const name = tags.find(({ key }) => key === "Name")?.value.toLowerCase() ?? "";
  return TARGET_NAME.test(name) ? { targetName: name, otherTargetName: made } : { targetName: made };
}

/** DeleteVolume: its snapshots stay. One that is in use by an initiator, or has a snapshot under way, is refused. */
export const deleteVolume: Operation<Services, DeleteVolumeRequest, object> = {
  name: "DeleteVolume",
  async handle({ volumes }, { VolumeId, DryRun }) {
    const row = await foundVolume(volumes, VolumeId);
    if (DryRun === true) throw dryRun();
    await volumes.remove(volumes.arnOf(row));
    return {};
  },
};

/** The volume that a request names. Throws InvalidVolume.NotFound. */
export async function foundVolume(
  volumes: Services["volumes"],
  text: string | undefined,
): Promise<VolumeView["row"]> {
  const id = checkedVolumeId(text);
  const row = (await volumes.list()).find((volume) => volume.id === id && volume.state !== "deleting");
  if (row === undefined) throw volumeNotFound(id);
  return row;
}
