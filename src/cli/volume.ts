/** `sluicegate volume …`: what AWS's own tools have no words for. They ask the running gateway. */
import { ApiClient, ClientError } from "./client.ts";
import { parseSize } from "./options.ts";

const GIB = 1024 ** 3;
const TARGET_PREFIX = "iqn.1997-05.com.amazon:";

/** Which gateway, and where. */
export interface GatewayChoice {
  readonly data: string;
  readonly region: string;
}

interface Volume {
  readonly VolumeARN: string;
  readonly VolumeId: string;
  readonly VolumeType: string;
  readonly VolumeStatus: string;
  readonly VolumeSizeInBytes: number;
  readonly VolumeProgress?: number;
  readonly TargetName?: string;
  readonly VolumeiSCSIAttributes: { readonly TargetARN: string };
}

export async function volumeList(choice: GatewayChoice): Promise<void> {
  for (const volume of await volumesOf(client(choice))) {
    const progress = volume.VolumeProgress === undefined ? "" : ` ${volume.VolumeProgress.toFixed(1)} %`;
    const size = `${volume.VolumeSizeInBytes / GIB} GiB`;
    const columns = [
      volume.VolumeId,
      nameOf(volume),
      volume.VolumeType,
      size,
      volume.VolumeStatus + progress,
    ];
    process.stdout.write(`${columns.join("\t")}\n`);
  }
}

export async function volumeResize(name: string, size: string, choice: GatewayChoice): Promise<void> {
  const api = client(choice);
  const { VolumeARN } = await find(api, name);
  const VolumeSizeInBytes = parseSize(size);
  await api.callOwn("ResizeVolume", { VolumeARN, VolumeSizeInBytes });
  process.stdout.write(`${name} has ${VolumeSizeInBytes / GIB} GiB now; rescan it where it is mounted\n`);
}

export async function volumeRecoveryPoints(
  name: string,
  choice: GatewayChoice & { readonly every?: string },
): Promise<void> {
  const api = client(choice);
  const { VolumeARN } = await find(api, name);
  if (choice.every !== undefined) {
    const IntervalInSeconds = choice.every === "off" ? 0 : Number(choice.every);
    if (!Number.isInteger(IntervalInSeconds)) throw new ClientError("--every takes seconds, or off");
    await api.callOwn("UpdateRecoveryPoints", { VolumeARN, IntervalInSeconds });
  }
  const { RecoveryPoints } = await api.callOwn<{
    RecoveryPoints: { Time: number; VolumeSizeInBytes: number; VolumeUsageInBytes: number }[];
  }>("ListRecoveryPoints", { VolumeARN });
  for (const { Time, VolumeSizeInBytes, VolumeUsageInBytes } of RecoveryPoints) {
    const sizes = `${VolumeSizeInBytes / GIB} GiB\t${(VolumeUsageInBytes / GIB).toFixed(3)} GiB used`;
    process.stdout.write(`${new Date(Time * 1000).toISOString()}\t${sizes}\n`);
  }
}

/** Makes a snapshot of a kept moment, and a new cached volume of it where a target name is given. */
export async function volumeRestore(
  name: string,
  choice: GatewayChoice & { readonly at?: string; readonly target?: string },
): Promise<void> {
  const api = client(choice);
  const volume = await find(api, name);
  const atMs = choice.at === undefined ? undefined : Date.parse(choice.at);
  if (atMs !== undefined && Number.isNaN(atMs)) {
    throw new ClientError(`"${choice.at}" is no time: write 2026-11-23T10:00:00Z`);
  }
  const { SnapshotId, Time } = await api.callOwn<{ SnapshotId: string; Time: number }>(
    "CreateSnapshotFromRecoveryPoint",
    {
      VolumeARN: volume.VolumeARN,
      SnapshotDescription: `${name}${choice.at === undefined ? "" : ` at ${choice.at}`}`,
      ...(atMs !== undefined && { Time: atMs / 1000 }),
    },
  );
  process.stdout.write(`${SnapshotId}\t${new Date(Time * 1000).toISOString()}\n`);
  if (choice.target === undefined) return;
  const { Gateways } = await api.call<{ Gateways: { GatewayARN: string; GatewayType: string }[] }>(
    "ListGateways",
    {},
  );
  const gateway = Gateways.find(({ GatewayType }) => GatewayType === "CACHED");
  if (gateway === undefined) throw new ClientError("there is no cached gateway for the new volume");
  const made = await api.call<{ VolumeARN: string; TargetARN: string }>("CreateCachediSCSIVolume", {
    GatewayARN: gateway.GatewayARN,
    SnapshotId,
    VolumeSizeInBytes: volume.VolumeSizeInBytes,
    TargetName: choice.target,
    NetworkInterfaceId: "127.0.0.1",
    ClientToken: `restore-${choice.target}`,
  });
  process.stdout.write(`${made.VolumeARN}\t${made.TargetARN.split("/").at(-1)}\n`);
}

/** Snapshots of several volumes at one instant. */
export async function snapshotCreate(
  names: readonly string[],
  choice: GatewayChoice & { readonly description: string },
): Promise<void> {
  const api = client(choice);
  const volumes = await volumesOf(api);
  const VolumeARNs = names.map((name) => pick(volumes, name).VolumeARN);
  const { Snapshots } = await api.callOwn<{ Snapshots: { VolumeARN: string; SnapshotId: string }[] }>(
    "CreateSnapshots",
    { VolumeARNs, SnapshotDescription: choice.description },
  );
  for (const [i, { SnapshotId }] of Snapshots.entries()) process.stdout.write(`${SnapshotId}\t${names[i]}\n`);
}

/** The API, and the ARN of the volume that is meant by an id, an ARN or the name of its target. */
export async function volumeNamed(
  name: string,
  choice: GatewayChoice,
): Promise<{ readonly api: ApiClient; readonly arn: string }> {
  const api = client(choice);
  return { api, arn: (await find(api, name)).VolumeARN };
}

function client({ data, region }: GatewayChoice): ApiClient {
  return ApiClient.of(data, region);
}

async function volumesOf(api: ApiClient): Promise<Volume[]> {
  const { VolumeInfos } = await api.call<{ VolumeInfos: { VolumeARN: string; VolumeType: string }[] }>(
    "ListVolumes",
    {},
  );
  const of = (type: string) =>
    VolumeInfos.filter(({ VolumeType }) => VolumeType === type).map(({ VolumeARN }) => VolumeARN);
  const [stored, cached] = [of("STORED iSCSI"), of("CACHED iSCSI")];
  const found: Volume[] = [];
  if (stored.length > 0) {
    const answer = await api.call<{ StorediSCSIVolumes: Volume[] }>("DescribeStorediSCSIVolumes", {
      VolumeARNs: stored,
    });
    found.push(...answer.StorediSCSIVolumes);
  }
  if (cached.length > 0) {
    const answer = await api.call<{ CachediSCSIVolumes: Volume[] }>("DescribeCachediSCSIVolumes", {
      VolumeARNs: cached,
    });
    found.push(...answer.CachediSCSIVolumes);
  }
  return found;
}

async function find(api: ApiClient, name: string): Promise<Volume> {
  return pick(await volumesOf(api), name);
}

/** The volume that is meant by an id, an ARN or the name of its target. */
function pick(volumes: readonly Volume[], name: string): Volume {
  const wanted = name.toLowerCase();
  const volume = volumes.find((each) =>
    [each.VolumeId, each.VolumeARN, nameOf(each)].some((text) => text.toLowerCase() === wanted),
  );
  if (volume === undefined) throw new ClientError(`there is no volume ${name}`);
  return volume;
}

function nameOf(volume: Volume): string {
  return (volume.VolumeiSCSIAttributes.TargetARN.split("/").at(-1) ?? "").replace(TARGET_PREFIX, "");
}
