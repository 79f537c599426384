/** What pages show, asked for again and again while they are open. */
import {
  type CachediSCSIVolume,
  DescribeCachediSCSIVolumesCommand,
  DescribeGatewayInformationCommand,
  DescribeStorediSCSIVolumesCommand,
  type GatewayInfo,
  ListGatewaysCommand,
  ListLocalDisksCommand,
  ListTagsForResourceCommand,
  ListVolumeInitiatorsCommand,
  ListVolumesCommand,
  type StorediSCSIVolume,
  type VolumeInfo,
} from "@aws-sdk/client-storage-gateway";
import { type UseQueryResult, useQuery } from "@tanstack/react-query";
import { useClients } from "../session/context.tsx";
import { type Clients, errorCodeOf } from "./clients.ts";

/** How often a page asks again: calmly, and while something is on its way. */
export const CALM_MS = 10_000;
export const BUSY_MS = 1_500;

/** Of a volume whose gateway is shut down: no status of the API's, which does not tell of one then. */
export const GATEWAY_SHUT_DOWN = "GATEWAY SHUT DOWN";

const PAGE_MAX = 1000;
const PAGES_MAX = 100;

export type Gateway = GatewayInfo & { readonly GatewayARN: string; readonly GatewayType: string };

/** What is set of a gateway. */
export interface GatewayDetails {
  readonly isRunning: boolean;
  readonly timezone: string;
}

export function useGatewayDetails(gatewayArn: string): UseQueryResult<GatewayDetails> {
  const { storageGateway } = useClients();
  return useQuery({
    queryKey: ["gateway", gatewayArn],
    refetchInterval: CALM_MS,
    queryFn: async () => {
      const answer = await storageGateway.send(
        new DescribeGatewayInformationCommand({ GatewayARN: gatewayArn }),
      );
      return {
        isRunning: answer.GatewayState !== "STATE_SHUTDOWN",
        timezone: answer.GatewayTimezone ?? "GMT",
      };
    },
  });
}

export function useGateways(): UseQueryResult<Gateway[]> {
  const { storageGateway } = useClients();
  return useQuery({
    queryKey: ["gateways"],
    refetchInterval: CALM_MS,
    queryFn: () =>
      allPages(async (Marker) => {
        const answer = await storageGateway.send(new ListGatewaysCommand({ Limit: 100, Marker }));
        return { items: (answer.Gateways ?? []) as Gateway[], marker: answer.Marker };
      }),
  });
}

/** A volume as pages show it, stored or cached. */
export interface Volume {
  readonly arn: string;
  /** `vol-…` in lower case, as snapshots name it. */
  readonly id: string;
  readonly gatewayArn: string;
  readonly kind: "stored" | "cached";
  readonly sizeBytes: number;
  readonly usedBytes: number;
  readonly status: string;
  /** Percent, while it is restoring or bootstrapping. */
  readonly progress: number | undefined;
  /** The name that was given; the target's name ends in it. */
  readonly name: string;
  readonly iqn: string;
  readonly host: string;
  readonly port: number;
  readonly chap: boolean;
  /** `ATTACHED`, `DETACHING` or `DETACHED`. */
  readonly attachment: string;
  readonly createdAt: Date | undefined;
  readonly sourceSnapshotId: string | undefined;
  readonly diskId: string | undefined;
  readonly preservedData: boolean;
}

export async function listVolumes(clients: Clients): Promise<Volume[]> {
  const infos = await allPages(async (Marker) => {
    const answer = await clients.storageGateway.send(new ListVolumesCommand({ Limit: PAGE_MAX, Marker }));
    return { items: answer.VolumeInfos ?? [], marker: answer.Marker };
  });
  const groups = Map.groupBy(infos, (info) => `${info.GatewayARN} ${info.VolumeType}`);
  const described = await Promise.all(
    [...groups.values()].map((group) =>
      describe(clients, group).catch((error: unknown) => {
        // Of a gateway that is shut down only the list is known.
        if (errorCodeOf(error) === "GatewayNotConnected") return group.map(shutDownVolume);
        throw error;
      }),
    ),
  );
  return described.flat().sort((a, b) => (a.name < b.name ? -1 : a.name > b.name ? 1 : a.id < b.id ? -1 : 1));
}

async function describe(clients: Clients, infos: VolumeInfo[]): Promise<Volume[]> {
  const VolumeARNs = infos.map(({ VolumeARN }) => VolumeARN ?? "");
  const gatewayArn = infos[0]?.GatewayARN ?? "";
  const { storageGateway } = clients;
  if (infos[0]?.VolumeType === "STORED iSCSI") {
    const answer = await storageGateway.send(new DescribeStorediSCSIVolumesCommand({ VolumeARNs }));
    return (answer.StorediSCSIVolumes ?? []).map((volume) => volumeOf(volume, gatewayArn, "stored"));
  }
  const answer = await storageGateway.send(new DescribeCachediSCSIVolumesCommand({ VolumeARNs }));
  return (answer.CachediSCSIVolumes ?? []).map((volume) => volumeOf(volume, gatewayArn, "cached"));
}

/** A volume whose gateway is shut down, as far as the list tells. */
function shutDownVolume(info: VolumeInfo): Volume {
  const id = (info.VolumeId ?? "").toLowerCase();
  const shape = { VolumeARN: info.VolumeARN, VolumeId: id, VolumeSizeInBytes: info.VolumeSizeInBytes };
  return {
    ...volumeOf(shape, info.GatewayARN ?? "", info.VolumeType === "STORED iSCSI" ? "stored" : "cached"),
    name: id,
    status: GATEWAY_SHUT_DOWN,
    attachment: info.VolumeAttachmentStatus ?? "ATTACHED",
  };
}

function volumeOf(
  volume: StorediSCSIVolume & CachediSCSIVolume,
  gatewayArn: string,
  kind: "stored" | "cached",
): Volume {
  const attributes = volume.VolumeiSCSIAttributes;
  return {
    arn: volume.VolumeARN ?? "",
    id: (volume.VolumeId ?? "").toLowerCase(),
    gatewayArn,
    kind,
    sizeBytes: volume.VolumeSizeInBytes ?? 0,
    usedBytes: volume.VolumeUsedInBytes ?? 0,
    status: volume.VolumeStatus ?? "",
    progress: volume.VolumeProgress,
    name: volume.TargetName ?? "",
    iqn: attributes?.TargetARN?.split("/target/")[1] ?? "",
    host: attributes?.NetworkInterfaceId ?? "",
    port: attributes?.NetworkInterfacePort ?? 3260,
    chap: attributes?.ChapEnabled === true,
    attachment: volume.VolumeAttachmentStatus ?? "ATTACHED",
    createdAt: volume.CreatedDate,
    sourceSnapshotId: volume.SourceSnapshotId?.toLowerCase(),
    diskId: volume.VolumeDiskId,
    preservedData: volume.PreservedExistingData === true,
  };
}

/** Whether a volume's status will change by itself. */
export function isChanging({ status, progress, attachment }: Volume): boolean {
  return (
    progress !== undefined ||
    attachment === "DETACHING" ||
    /CREATING|RESTORING|BOOTSTRAPPING|DELETING|DETACHING/.test(status)
  );
}

export function useVolumes(): UseQueryResult<Volume[]> {
  const clients = useClients();
  return useQuery({
    queryKey: ["volumes"],
    queryFn: () => listVolumes(clients),
    refetchInterval: ({ state }) => (state.data?.some(isChanging) ? BUSY_MS : CALM_MS / 2),
  });
}

export function useInitiators(volumeArn: string | undefined): UseQueryResult<string[]> {
  const { storageGateway } = useClients();
  return useQuery({
    queryKey: ["initiators", volumeArn],
    enabled: volumeArn !== undefined,
    refetchInterval: CALM_MS / 2,
    queryFn: async () => {
      const answer = await storageGateway.send(new ListVolumeInitiatorsCommand({ VolumeARN: volumeArn }));
      return answer.Initiators ?? [];
    },
  });
}

export interface LocalDisk {
  readonly id: string;
  readonly gatewayArn: string;
  readonly path: string;
  readonly sizeBytes: number;
  /** `AVAILABLE`, `CACHE STORAGE`, `UPLOAD BUFFER` or `STORED iSCSI VOLUME`. */
  readonly use: string;
  readonly status: string;
  readonly resource: string | undefined;
}

export function useLocalDisks(gatewayArn: string | undefined): UseQueryResult<LocalDisk[]> {
  const { storageGateway } = useClients();
  return useQuery({
    queryKey: ["disks", gatewayArn],
    enabled: gatewayArn !== undefined,
    refetchInterval: CALM_MS,
    queryFn: async () => {
      const answer = await storageGateway.send(new ListLocalDisksCommand({ GatewayARN: gatewayArn }));
      return (answer.Disks ?? []).map((disk) => ({
        id: disk.DiskId ?? "",
        gatewayArn: gatewayArn ?? "",
        path: disk.DiskPath ?? "",
        sizeBytes: disk.DiskSizeInBytes ?? 0,
        use: disk.DiskAllocationType ?? "",
        status: disk.DiskStatus ?? "",
        resource: disk.DiskAllocationResource,
      }));
    },
  });
}

export interface Tag {
  readonly key: string;
  readonly value: string;
}

export function useResourceTags(arn: string | undefined): UseQueryResult<Tag[]> {
  const { storageGateway } = useClients();
  return useQuery({
    queryKey: ["tags", arn],
    enabled: arn !== undefined,
    refetchInterval: CALM_MS,
    queryFn: async () => {
      const answer = await storageGateway.send(new ListTagsForResourceCommand({ ResourceARN: arn }));
      return (answer.Tags ?? []).map(({ Key = "", Value = "" }) => ({ key: Key, value: Value }));
    },
  });
}

/** All pages of a listing; as many as a gateway can have. */
async function allPages<T>(
  ask: (marker: string | undefined) => Promise<{ items: T[]; marker: string | undefined }>,
): Promise<T[]> {
  const found: T[] = [];
  let marker: string | undefined;
  for (let i = 0; i < PAGES_MAX; i++) {
    const page = await ask(marker);
    found.push(...page.items);
    marker = page.marker;
    if (marker === undefined) break;
  }
  return found;
}
