/** `sluicegate volume …`. */
import type { ApiClient } from "./client.ts";
import { ClientError, UsageError } from "./failure.ts";
import {
  clientOf,
  findGateway,
  findSnapshot,
  findVolume,
  type GatewayChoice,
  kindOf,
  nameOf,
  snapshotsOf,
  TARGET_PREFIX,
  type Volume,
  volumesOf,
} from "./inventory.ts";
import { parseSize } from "./options.ts";
import { bytes, pairs, percent, print, table, time } from "./output.ts";

const GIB = 1024 ** 3;
const PORT = 3260;

export async function volumeList(choice: GatewayChoice): Promise<void> {
  const volumes = await volumesOf(clientOf(choice));
  const rows = volumes.map((volume) => [
    volume.VolumeId,
    nameOf(volume),
    kindOf(volume),
    bytes(volume.VolumeSizeInBytes),
    bytes(volume.VolumeUsedInBytes ?? 0),
    statusOf(volume),
  ]);
  print(volumes, () =>
    table(["VOLUME", "NAME", "KIND", "SIZE", "USED", "STATUS"], rows, "there are no volumes"),
  );
}

function statusOf({ VolumeStatus, VolumeProgress }: Volume): string {
  return VolumeProgress === undefined ? VolumeStatus : `${VolumeStatus} ${percent(VolumeProgress)}`;
}

export async function volumeShow(name: string, choice: GatewayChoice): Promise<void> {
  const api = clientOf(choice);
  const volume = await findVolume(api, name);
  const { Initiators } = await api.call<{ Initiators?: string[] }>("ListVolumeInitiators", {
    VolumeARN: volume.VolumeARN,
  });
  const snapshots = await snapshotsOf(api, { VolumeIds: [volume.VolumeId] });
  print({ ...volume, Initiators, Snapshots: snapshots }, () => [
    ...pairs([
      ["Volume", volume.VolumeId],
      ["ARN", volume.VolumeARN],
      ["Kind", kindOf(volume)],
      ["Status", statusOf(volume)],
      ["Size", bytes(volume.VolumeSizeInBytes)],
      ["Used", bytes(volume.VolumeUsedInBytes ?? 0)],
      ["Disk", volume.VolumeDiskId],
      ["Made of", volume.SourceSnapshotId],
      ["Created", volume.CreatedDate === undefined ? undefined : time(volume.CreatedDate)],
      ["CHAP", volume.VolumeiSCSIAttributes.ChapEnabled === true ? "needed" : "not set up"],
      ["Initiators", (Initiators ?? []).join(", ") || "none"],
      ["Snapshots", `${snapshots.length}`],
      ["Newest", snapshots[0] && `${snapshots[0].SnapshotId} of ${time(snapshots[0].StartTime)}`],
    ]),
    "",
    "To attach it on Linux:",
    ...attachCommands(volume, api),
  ]);
}

/** What makes a Linux machine see the volume. */
export function attachCommands(volume: Volume, api: ApiClient): string[] {
  const { NetworkInterfaceId, NetworkInterfacePort } = volume.VolumeiSCSIAttributes;
  const portal = `${NetworkInterfaceId ?? api.endpoint.hostname}:${NetworkInterfacePort ?? PORT}`;
  return [
    `  iscsiadm -m discovery -t sendtargets -p ${portal}`,
    `  iscsiadm -m node -T ${TARGET_PREFIX}${nameOf(volume)} -p ${portal} --login`,
  ];
}

interface CreateFlags extends GatewayChoice {
  readonly gateway?: string;
  readonly snapshot?: string;
  readonly interface: string;
}

/** Makes a stored volume on a free local disk. */
export async function volumeCreateStored(
  name: string,
  disk: string,
  flags: CreateFlags & { readonly preserve?: boolean },
): Promise<void> {
  const api = clientOf(flags);
  const { GatewayARN } = await findGateway(api, flags.gateway, "STORED");
  if (flags.preserve === true && flags.snapshot !== undefined)
    throw new UsageError("--preserve keeps what the disk holds, --snapshot replaces it: only one can be");
  const made = await api.call<{ VolumeARN: string; TargetARN: string }>("CreateStorediSCSIVolume", {
    ...{ GatewayARN, DiskId: disk, PreserveExistingData: flags.preserve === true, TargetName: name },
    NetworkInterfaceId: flags.interface,
    ...(flags.snapshot !== undefined && { SnapshotId: flags.snapshot }),
  });
  await tellMade(api, made);
}

/** Makes a cached volume. */
export async function volumeCreateCached(
  name: string,
  size: string | undefined,
  flags: CreateFlags & { readonly clone?: string },
): Promise<void> {
  const api = clientOf(flags);
  const { GatewayARN } = await findGateway(api, flags.gateway, "CACHED");
  const source = flags.clone === undefined ? undefined : await findVolume(api, flags.clone);
  const sizeBytes =
    size !== undefined
      ? parseSize(size)
      : flags.snapshot !== undefined
        ? (await findSnapshot(api, flags.snapshot)).VolumeSizeInBytes
        : source?.VolumeSizeInBytes;
  if (sizeBytes === undefined) throw new UsageError("a new volume needs a size, such as 10GiB");
  await tellMade(
    api,
    await createCached(api, GatewayARN, name, sizeBytes, flags.interface, {
      ...(flags.snapshot !== undefined && { SnapshotId: flags.snapshot }),
      ...(source !== undefined && { SourceVolumeARN: source.VolumeARN }),
    }),
  );
}

/** Makes a cached volume; what is asked twice under one name is made once. */
export function createCached(
  api: ApiClient,
  GatewayARN: string,
  name: string,
  VolumeSizeInBytes: number,
  NetworkInterfaceId: string,
  more: object,
): Promise<{ VolumeARN: string; TargetARN: string }> {
  return api.call("CreateCachediSCSIVolume", {
    ...{ GatewayARN, VolumeSizeInBytes, TargetName: name, NetworkInterfaceId },
    ClientToken: `sluicegate-${name}`.slice(0, 100),
    ...more,
  });
}

/** The first line is the volume's; a person is also told how to attach it. */
async function tellMade(
  api: ApiClient,
  made: { readonly VolumeARN: string; readonly TargetARN: string },
): Promise<void> {
  const volume = await findVolume(api, made.VolumeARN);
  print(made, () => [
    `${made.VolumeARN}\t${made.TargetARN.split("/").at(-1)}`,
    "To attach it on Linux:",
    ...attachCommands(volume, api),
  ]);
}

/** Deletes a volume; its snapshots stay. */
export async function volumeDelete(
  name: string,
  choice: GatewayChoice & { readonly yes?: boolean },
): Promise<void> {
  const api = clientOf(choice);
  const volume = await findVolume(api, name);
  if (choice.yes !== true) {
    throw new UsageError(
      `${nameOf(volume)} (${volume.VolumeId}, ${bytes(volume.VolumeUsedInBytes ?? 0)} in use) would be deleted; ` +
        "its snapshots stay, what is in none of them is lost. Say --yes to do it",
    );
  }
  await api.call("DeleteVolume", { VolumeARN: volume.VolumeARN });
  print({ VolumeARN: volume.VolumeARN }, () => `${nameOf(volume)} is deleted; its snapshots stay`);
}

export async function volumeResize(name: string, size: string, choice: GatewayChoice): Promise<void> {
  const api = clientOf(choice);
  const { VolumeARN } = await findVolume(api, name);
  const VolumeSizeInBytes = parseSize(size);
  const answer = await api.callOwn("ResizeVolume", { VolumeARN, VolumeSizeInBytes });
  print(answer, () => `${name} has ${VolumeSizeInBytes / GIB} GiB now; rescan it where it is mounted`);
}

export async function volumeRecoveryPoints(
  name: string,
  choice: GatewayChoice & { readonly every?: string },
): Promise<void> {
  const api = clientOf(choice);
  const { VolumeARN } = await findVolume(api, name);
  if (choice.every !== undefined) {
    const IntervalInSeconds = choice.every === "off" ? 0 : Number(choice.every);
    if (!Number.isInteger(IntervalInSeconds)) throw new UsageError("--every takes seconds, or off");
    await api.callOwn("UpdateRecoveryPoints", { VolumeARN, IntervalInSeconds });
  }
  const { RecoveryPoints } = await api.callOwn<{
    RecoveryPoints: { Time: number; VolumeSizeInBytes: number; VolumeUsageInBytes: number }[];
  }>("ListRecoveryPoints", { VolumeARN });
  print(RecoveryPoints, () =>
    RecoveryPoints.map(({ Time, VolumeSizeInBytes, VolumeUsageInBytes }) => {
      const sizes = `${VolumeSizeInBytes / GIB} GiB\t${(VolumeUsageInBytes / GIB).toFixed(3)} GiB used`;
      return `${new Date(Time * 1000).toISOString()}\t${sizes}`;
    }),
  );
}

/** Makes a snapshot of a kept moment, and a new cached volume of it where a target name is given. */
export async function volumeRestore(
  name: string,
  choice: GatewayChoice & { readonly at?: string; readonly target?: string },
): Promise<void> {
  const api = clientOf(choice);
  const volume = await findVolume(api, name);
  const atMs = choice.at === undefined ? undefined : Date.parse(choice.at);
  if (atMs !== undefined && Number.isNaN(atMs)) {
    throw new UsageError(`"${choice.at}" is no time: write 2026-11-23T10:00:00Z`);
  }
  const { SnapshotId, Time } = await api.callOwn<{ SnapshotId: string; Time: number }>(
    "CreateSnapshotFromRecoveryPoint",
    {
      VolumeARN: volume.VolumeARN,
      SnapshotDescription: `${name}${choice.at === undefined ? "" : ` at ${choice.at}`}`,
      ...(atMs !== undefined && { Time: atMs / 1000 }),
    },
  );
  const made =
    choice.target === undefined ? undefined : await restoreTo(api, SnapshotId, volume, choice.target);
  print({ SnapshotId, Time, ...made }, () => [
    `${SnapshotId}\t${new Date(Time * 1000).toISOString()}`,
    ...(made === undefined ? [] : [`${made.VolumeARN}\t${made.TargetARN.split("/").at(-1)}`]),
  ]);
}

async function restoreTo(
  api: ApiClient,
  SnapshotId: string,
  volume: Volume,
  target: string,
): Promise<{ VolumeARN: string; TargetARN: string }> {
  const { GatewayARN } = await findGateway(api, undefined, "CACHED").catch((error: unknown) => {
    if (!(error instanceof ClientError)) throw error;
    throw new ClientError("there is no cached gateway for the new volume");
  });
  return createCached(api, GatewayARN, target, volume.VolumeSizeInBytes, "127.0.0.1", { SnapshotId });
}
