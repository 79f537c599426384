/** What the end-to-end tests of volumes share: making them, waiting for snapshots, and asking again until it is so. */
import { strict as assert } from "node:assert";
import { delay, systemClock } from "../../src/platform/clock.ts";
import { type GatewayProcess, sluicegate } from "../clients/gateway.ts";

export const GIB = 1024 ** 3;
const POLL_MS = 100;

/** Asks until the answer is not undefined; fails after `limitMs`. */
export async function until<T>(
  what: string,
  ask: () => Promise<T | undefined>,
  limitMs = 120_000,
): Promise<T> {
  const endMs = systemClock.monotonicMs() + limitMs;
  for (;;) {
    const answer = await ask();
    if (answer !== undefined) return answer;
    assert(systemClock.monotonicMs() < endMs, `${what}: not within ${limitMs} ms`);
    await delay(systemClock, POLL_MS);
  }
}

/** The ARN of the default gateway of that kind. */
export async function gatewayArn(gateway: GatewayProcess, kind: "STORED" | "CACHED"): Promise<string> {
  const { Gateways } = await gateway.boto.gateway("list_gateways");
  return Gateways.find((each: { GatewayType: string }) => each.GatewayType === kind).GatewayARN;
}

export function makeDisk(gateway: GatewayProcess, name: string, size: string): void {
  const { status, stderr } = sluicegate("disk", "create", name, size, "--data", gateway.dataDir);
  assert.equal(status, 0, stderr);
}

/** A stored volume on a new disk of its name; its ARN. */
export async function makeStored(
  gateway: GatewayProcess,
  name: string,
  size = "1GiB",
  more: object = {},
): Promise<string> {
  makeDisk(gateway, name, size);
  const { VolumeARN } = await gateway.boto.gateway("create_stored_iscsi_volume", {
    GatewayARN: await gatewayArn(gateway, "STORED"),
    DiskId: name,
    PreserveExistingData: false,
    TargetName: name,
    NetworkInterfaceId: "127.0.0.1",
    ...more,
  });
  return VolumeARN;
}

/** A cached volume; its ARN. */
export async function makeCached(
  gateway: GatewayProcess,
  name: string,
  sizeBytes = GIB,
  more: object = {},
): Promise<string> {
  const { VolumeARN } = await gateway.boto.gateway("create_cached_iscsi_volume", {
    GatewayARN: await gatewayArn(gateway, "CACHED"),
    VolumeSizeInBytes: sizeBytes,
    TargetName: name,
    NetworkInterfaceId: "127.0.0.1",
    ClientToken: `token-${name}`,
    ...more,
  });
  return VolumeARN;
}

export async function createSnapshot(gateway: GatewayProcess, VolumeARN: string): Promise<string> {
  const { SnapshotId } = await gateway.boto.gateway("create_snapshot", {
    VolumeARN,
    SnapshotDescription: "a test",
  });
  return SnapshotId;
}

/** How a snapshot stands. */
export async function snapshotState(
  gateway: GatewayProcess,
  snapshotId: string,
): Promise<{ State: string; StateMessage?: string }> {
  const { Snapshots } = await gateway.boto.ec2("describe_snapshots", { SnapshotIds: [snapshotId] });
  return Snapshots[0];
}

/** Waits until the snapshot is completed; fails where it ends otherwise. */
export async function completed(
  gateway: GatewayProcess,
  snapshotId: string,
  limitMs = 120_000,
): Promise<void> {
  await until(
    `${snapshotId} completed`,
    async () => {
      const { State, StateMessage } = await snapshotState(gateway, snapshotId);
      assert.notEqual(State, "error", StateMessage);
      return State === "completed" ? true : undefined;
    },
    limitMs,
  );
}

/** A stored volume's status, or a cached one's. */
export async function statusOf(gateway: GatewayProcess, arn: string): Promise<string> {
  const { VolumeInfos } = await gateway.boto.gateway("list_volumes");
  const isStored = VolumeInfos.some(
    (v: { VolumeARN: string; VolumeType: string }) => v.VolumeARN === arn && v.VolumeType === "STORED iSCSI",
  );
  if (isStored) {
    const answer = await gateway.boto.gateway("describe_stored_iscsi_volumes", { VolumeARNs: [arn] });
    return answer.StorediSCSIVolumes[0].VolumeStatus;
  }
  const answer = await gateway.boto.gateway("describe_cached_iscsi_volumes", { VolumeARNs: [arn] });
  return answer.CachediSCSIVolumes[0].VolumeStatus;
}
