/** What there is on a gateway, as its API tells it, and finding it by what people call it. */
import { ApiClient } from "./client.ts";
import { ClientError } from "./failure.ts";

export const TARGET_PREFIX = "iqn.1997-05.com.amazon:";

/** Which gateway, and where. */
export interface GatewayChoice {
  readonly data: string;
  readonly region: string;
}

export interface Gateway {
  readonly GatewayARN: string;
  readonly GatewayId: string;
  readonly GatewayName: string;
  readonly GatewayType: "STORED" | "CACHED";
}

export interface Volume {
  readonly VolumeARN: string;
  readonly VolumeId: string;
  readonly VolumeType: string;
  readonly VolumeStatus: string;
  readonly VolumeSizeInBytes: number;
  readonly VolumeUsedInBytes?: number;
  readonly VolumeProgress?: number;
  readonly VolumeDiskId?: string;
  readonly SourceSnapshotId?: string;
  readonly CreatedDate?: number;
  readonly TargetName?: string;
  readonly VolumeiSCSIAttributes: {
    readonly TargetARN: string;
    readonly NetworkInterfaceId?: string;
    readonly NetworkInterfacePort?: number;
    readonly ChapEnabled?: boolean;
  };
}

export interface Snapshot {
  readonly SnapshotId: string;
  readonly VolumeId: string;
  readonly VolumeARN: string;
  readonly State: "pending" | "completed" | "error";
  readonly Reason?: string;
  readonly Progress: number;
  readonly Description: string;
  readonly StartTime: number;
  readonly CompletionTime?: number;
  readonly VolumeSizeInBytes: number;
  readonly FullBytes: number;
  readonly Tags: readonly { readonly Key: string; readonly Value: string }[];
}

const PAGES_MAX = 10_000;
const DESCRIBED_AT_ONCE = 100;

export function clientOf({ data, region }: GatewayChoice): ApiClient {
  return ApiClient.of(data, region);
}

/** All pages of a listing operation. */
async function pages<Page extends { readonly Marker?: string }>(
  ask: (marker: { readonly Marker?: string }) => Promise<Page>,
): Promise<Page[]> {
  const found: Page[] = [];
  let marker: { readonly Marker?: string } = {};
  for (let i = 0; i < PAGES_MAX; i++) {
    const page = await ask(marker);
    found.push(page);
    if (page.Marker === undefined) return found;
    marker = { Marker: page.Marker };
  }
  throw new ClientError("the list does not end");
}

export async function gatewaysOf(api: ApiClient): Promise<Gateway[]> {
  const found = await pages((marker) =>
    api.call<{ Gateways: Gateway[]; Marker?: string }>("ListGateways", { Limit: 100, ...marker }),
  );
  return found.flatMap(({ Gateways }) => Gateways);
}

export async function volumesOf(api: ApiClient): Promise<Volume[]> {
  const listed = await pages((marker) =>
    api.call<{ VolumeInfos: { VolumeARN: string; VolumeType: string }[]; Marker?: string }>("ListVolumes", {
      ...{ Limit: 100, ...marker },
    }),
  );
  const infos = listed.flatMap(({ VolumeInfos }) => VolumeInfos);
  const found: Volume[] = [];
  for (const [type, operation, member] of [
    ["STORED iSCSI", "DescribeStorediSCSIVolumes", "StorediSCSIVolumes"],
    ["CACHED iSCSI", "DescribeCachediSCSIVolumes", "CachediSCSIVolumes"],
  ] as const) {
    const arns = infos.filter((info) => info.VolumeType === type).map(({ VolumeARN }) => VolumeARN);
    for (let at = 0; at < arns.length; at += DESCRIBED_AT_ONCE) {
      const VolumeARNs = arns.slice(at, at + DESCRIBED_AT_ONCE);
      const answer = await api.call<Record<string, Volume[]>>(operation, { VolumeARNs });
      found.push(...(answer[member] ?? []));
    }
  }
  return found;
}

/** Snapshots, newest first. */
export async function snapshotsOf(api: ApiClient, filter: object = {}): Promise<Snapshot[]> {
  const found = await pages((marker) =>
    api.callOwn<{ Snapshots: Snapshot[]; Marker?: string }>("ListSnapshots", { ...filter, ...marker }),
  );
  return found.flatMap(({ Snapshots }) => Snapshots);
}

export async function findSnapshot(api: ApiClient, id: string): Promise<Snapshot> {
  if (!/^snap-[0-9a-f]{8,17}$/i.test(id)) throw new ClientError(`"${id}" is no snapshot's id: snap-…`);
  const [snapshot] = await snapshotsOf(api, { SnapshotIds: [id] });
  if (snapshot === undefined) throw new ClientError(`there is no snapshot ${id}`);
  return snapshot;
}

export async function findVolume(api: ApiClient, name: string): Promise<Volume> {
  return pickVolume(await volumesOf(api), name);
}

/** The volume that is meant by an id, an ARN or the name of its target. */
export function pickVolume(volumes: readonly Volume[], name: string): Volume {
  const wanted = name.toLowerCase();
  const volume = volumes.find((each) =>
    [each.VolumeId, each.VolumeARN, nameOf(each)].some((text) => text.toLowerCase() === wanted),
  );
  if (volume === undefined) throw new ClientError(`there is no volume ${name}`);
  return volume;
}

/** The gateway that is meant by a name, an id or an ARN; without any the only one of its kind, or the first. */
export async function findGateway(
  api: ApiClient,
  name: string | undefined,
  kind?: Gateway["GatewayType"],
): Promise<Gateway> {
  const gateways = (await gatewaysOf(api)).filter(
    ({ GatewayType }) => kind === undefined || GatewayType === kind,
  );
  const wanted = name?.toLowerCase();
  const gateway =
    wanted === undefined
      ? (gateways.find(({ GatewayName }) => GatewayName.startsWith("default-")) ?? gateways[0])
      : gateways.find((each) =>
          [each.GatewayName, each.GatewayId, each.GatewayARN].some((text) => text.toLowerCase() === wanted),
        );
  if (gateway === undefined)
    throw new ClientError(
      `there is no ${kind === undefined ? "" : `${kind.toLowerCase()} `}gateway ${name ?? ""}`,
    );
  return gateway;
}

/** The short name of a volume's target. */
export function nameOf(volume: Volume): string {
  return (volume.VolumeiSCSIAttributes.TargetARN.split("/").at(-1) ?? "").replace(TARGET_PREFIX, "");
}

/** What a volume is, in a word. */
export function kindOf({ VolumeType }: Volume): string {
  return VolumeType.toLowerCase().replace(" iscsi", "");
}
