/** `sluicegate snapshot …`: made, listed, watched, compared, taken away, and mounted for a look. */
import { READ_ONLY_TAG } from "../gateway/volumes.ts";
import { delay, stayAlive, systemClock } from "../platform/clock.ts";
import type { ApiClient } from "./client.ts";
import { ClientError, EXIT, UsageError } from "./failure.ts";
import {
  clientOf,
  findGateway,
  findSnapshot,
  findVolume,
  type GatewayChoice,
  nameOf,
  pickVolume,
  type Snapshot,
  snapshotsOf,
  volumesOf,
} from "./inventory.ts";
import { bytes, pairs, print, table, time } from "./output.ts";
import { clearBar, showBar } from "./progress-bar.ts";
import { attachCommands, createCached } from "./volume.ts";

const POLL_MS = 500;
const DIRECT_BLOCK_BYTES = 512 * 1024;
const DIFF_PAGE = 10_000;
/** A volume that was made to look into a snapshot. */
const MOUNTED_TAG = "sluicegate:mounted";

/** Snapshots of several volumes at one instant. */
export async function snapshotCreate(
  names: readonly string[],
  choice: GatewayChoice & { readonly description: string; readonly wait?: boolean },
): Promise<void> {
  const api = clientOf(choice);
  const volumes = await volumesOf(api);
  const VolumeARNs = names.map((name) => pickVolume(volumes, name).VolumeARN);
  const { Snapshots } = await api.callOwn<{ Snapshots: { VolumeARN: string; SnapshotId: string }[] }>(
    "CreateSnapshots",
    { VolumeARNs, SnapshotDescription: choice.description },
  );
  if (choice.wait === true)
    await follow(
      api,
      Snapshots.map(({ SnapshotId }) => SnapshotId),
    );
  print(Snapshots, () => Snapshots.map(({ SnapshotId }, i) => `${SnapshotId}\t${names[i]}`));
}

export async function snapshotList(
  choice: GatewayChoice & { readonly volume?: string; readonly state?: string },
): Promise<void> {
  const api = clientOf(choice);
  const volumes = await volumesOf(api);
  const filter = {
    ...(choice.volume !== undefined && { VolumeIds: [idOf(choice.volume, volumes)] }),
    ...(choice.state !== undefined && { State: choice.state }),
  };
  const snapshots = await snapshotsOf(api, filter);
  const names = new Map(volumes.map((volume) => [volume.VolumeId.toLowerCase(), nameOf(volume)]));
  const rows = snapshots.map((snapshot) => [
    snapshot.SnapshotId,
    names.get(snapshot.VolumeId) ?? snapshot.VolumeId,
    time(snapshot.StartTime),
    bytes(snapshot.VolumeSizeInBytes),
    stateOf(snapshot),
    snapshot.Description,
  ]);
  print(snapshots, () =>
    table(["SNAPSHOT", "VOLUME", "OF", "SIZE", "STATE", "DESCRIPTION"], rows, "there are no snapshots"),
  );
}

/** A volume that is gone is known by its id alone. */
function idOf(name: string, volumes: Awaited<ReturnType<typeof volumesOf>>): string {
  return /^vol-[0-9a-f]{17}$/i.test(name) ? name : pickVolume(volumes, name).VolumeId;
}

function stateOf({ State, Progress }: Snapshot): string {
  return State === "pending" ? `pending ${Progress} %` : State;
}

export async function snapshotShow(id: string, choice: GatewayChoice): Promise<void> {
  const snapshot = await findSnapshot(clientOf(choice), id);
  print(snapshot, () =>
    pairs([
      ["Snapshot", snapshot.SnapshotId],
      ["Volume", snapshot.VolumeARN],
      ["Description", snapshot.Description],
      ["State", stateOf(snapshot)],
      ["Reason", snapshot.Reason],
      ["Of", time(snapshot.StartTime)],
      ["Completed", snapshot.CompletionTime === undefined ? undefined : time(snapshot.CompletionTime)],
      ["Size", bytes(snapshot.VolumeSizeInBytes)],
      ["Holds", bytes(snapshot.FullBytes)],
      ["Tags", snapshot.Tags.map(({ Key, Value }) => `${Key}=${Value}`).join(", ") || undefined],
    ]),
  );
}

/** Shows how far snapshots have come, until each is completed or has failed. */
export async function snapshotWatch(ids: readonly string[], choice: GatewayChoice): Promise<void> {
  const snapshots = await follow(clientOf(choice), ids);
  print(snapshots, () => snapshots.map(({ SnapshotId, State }) => `${SnapshotId}\t${State}`));
}

async function follow(api: ApiClient, ids: readonly string[]): Promise<Snapshot[]> {
  const letGo = stayAlive();
  try {
    for (;;) {
      const snapshots: Snapshot[] = [];
      for (const id of ids) snapshots.push(await findSnapshot(api, id));
      const failed = snapshots.find(({ State }) => State === "error");
      const done = snapshots.reduce(
        (sum, { State, Progress }) => sum + (State === "completed" ? 100 : Progress),
        0,
      );
      if (failed !== undefined) {
        clearBar();
        throw new ClientError(`${failed.SnapshotId} has failed: ${failed.Reason ?? "no reason is known"}`);
      }
      if (snapshots.every(({ State }) => State === "completed")) {
        clearBar();
        return snapshots;
      }
      showBar(ids.length === 1 ? (ids[0] ?? "") : `${ids.length} snapshots`, done, 100 * ids.length);
      await delay(systemClock, POLL_MS);
    }
  } finally {
    letGo();
  }
}

export async function snapshotDelete(
  ids: readonly string[],
  choice: GatewayChoice & { readonly yes?: boolean },
): Promise<void> {
  const api = clientOf(choice);
  const snapshots: Snapshot[] = [];
  for (const id of ids) snapshots.push(await findSnapshot(api, id));
  if (choice.yes !== true) {
    const what = snapshots
      .map(({ SnapshotId, Description }) => `${SnapshotId} ("${Description}")`)
      .join(", ");
    throw new UsageError(`${what} would be deleted, for good. Say --yes to do it`);
  }
  for (const { SnapshotId } of snapshots) await api.callEc2("DeleteSnapshot", { SnapshotId });
  print({ Deleted: ids }, () => ids.map((id) => `${id} is deleted`));
}

/** Makes a cached volume of a snapshot. */
export async function snapshotRestore(
  id: string,
  name: string,
  choice: GatewayChoice & { readonly gateway?: string; readonly size?: string; readonly interface: string },
): Promise<void> {
  const api = clientOf(choice);
  const snapshot = await findSnapshot(api, id);
  const { GatewayARN } = await findGateway(api, choice.gateway, "CACHED");
  const made = await createCached(api, GatewayARN, name, snapshot.VolumeSizeInBytes, choice.interface, {
    SnapshotId: snapshot.SnapshotId,
  });
  const volume = await findVolume(api, made.VolumeARN);
  print(made, () => [
    `${made.VolumeARN}\t${made.TargetARN.split("/").at(-1)}`,
    ...attachCommands(volume, api),
  ]);
}

/**
 * Offers a snapshot as a target of its own, for a look into it: write-protected, so that an initiator sees it as it was.
 */
export async function snapshotMount(
  id: string,
  choice: GatewayChoice & { readonly name?: string; readonly interface: string },
): Promise<void> {
  const api = clientOf(choice);
  const snapshot = await findSnapshot(api, id);
  const { GatewayARN } = await findGateway(api, undefined, "CACHED");
  const name = choice.name ?? `mounted-${snapshot.SnapshotId}`;
  const made = await createCached(api, GatewayARN, name, snapshot.VolumeSizeInBytes, choice.interface, {
    SnapshotId: snapshot.SnapshotId,
    Tags: [
      { Key: MOUNTED_TAG, Value: snapshot.SnapshotId },
      { Key: READ_ONLY_TAG, Value: "" },
    ],
  });
  const { VolumeARN } = made;
  await api.callOwn("UpdateRecoveryPoints", { VolumeARN, IntervalInSeconds: 0 });
  const volume = await findVolume(api, VolumeARN);
  print(made, () => [
    made.TargetARN.split("/").at(-1) ?? "",
    ...attachCommands(volume, api),
    "It can only be read (mount -o ro; of a file system that was in use also -o noload or norecovery). Afterwards:",
    `  sluicegate snapshot unmount ${name}`,
  ]);
}

/** Ends a look into a snapshot. Refuses to delete a volume that was not made for one. */
export async function snapshotUnmount(name: string, choice: GatewayChoice): Promise<void> {
  const api = clientOf(choice);
  const volumes = await volumesOf(api);
  const mounted = volumes.find((volume) => nameOf(volume) === `mounted-${name.toLowerCase()}`);
  const { VolumeARN } = mounted ?? pickVolume(volumes, name);
  const { Tags } = await api.call<{ Tags?: { Key: string }[] }>("ListTagsForResource", {
    ResourceARN: VolumeARN,
  });
  if (!(Tags ?? []).some(({ Key }) => Key === MOUNTED_TAG))
    throw new ClientError(`${name} is not one of those that "snapshot mount" has made`);
  await api.call("DeleteVolume", { VolumeARN });
  print({ VolumeARN }, () => `${name} is not offered any more`);
}

interface ChangedPage {
  readonly ChangedBlocks: readonly { readonly BlockIndex: number }[];
  readonly NextToken?: string;
}

/** Tells where two snapshots of one volume differ. Exit code 3 where they do, as diff(1) says by 1. */
export async function snapshotDiff(
  first: string,
  second: string,
  choice: GatewayChoice & { readonly blocks?: boolean },
): Promise<void> {
  const api = clientOf(choice);
  await findSnapshot(api, first);
  const { SnapshotId } = await findSnapshot(api, second);
  const ranges: [first: number, last: number][] = [];
  let count = 0;
  let pageToken: string | undefined;
  do {
    const page: ChangedPage = await api.getEbs(`/snapshots/${SnapshotId}/changedblocks`, {
      ...{ firstSnapshotId: first.toLowerCase(), maxResults: String(DIFF_PAGE) },
      ...(pageToken !== undefined && { pageToken }),
    });
    for (const { BlockIndex } of page.ChangedBlocks) {
      count += 1;
      const last = ranges.at(-1);
      if (last !== undefined && last[1] === BlockIndex - 1) last[1] = BlockIndex;
      else ranges.push([BlockIndex, BlockIndex]);
    }
    pageToken = page.NextToken;
  } while (pageToken !== undefined);
  const spans = ranges.map(([from, to]) => ({
    OffsetInBytes: from * DIRECT_BLOCK_BYTES,
    LengthInBytes: (to - from + 1) * DIRECT_BLOCK_BYTES,
  }));
  const answer = { ChangedBytes: count * DIRECT_BLOCK_BYTES, BlockBytes: DIRECT_BLOCK_BYTES, Ranges: spans };
  print(answer, () => [
    count === 0
      ? "they are the same"
      : `${bytes(answer.ChangedBytes)} in ${spans.length} ranges differ (in blocks of ${bytes(DIRECT_BLOCK_BYTES)})`,
    ...(choice.blocks === true
      ? table(
          ["OFFSET", "LENGTH"],
          spans.map((span) => [String(span.OffsetInBytes), bytes(span.LengthInBytes)]),
          "",
        )
      : []),
  ]);
  if (count > 0) process.exitCode = EXIT.amiss;
}
