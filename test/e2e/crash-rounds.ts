/**
 * kill -9 of the real gateway in the middle of a write load, again and again: every acknowledged write has to be there
 * afterwards, and every snapshot has to hold what it was promised to hold.
 */
import { strict as assert } from "node:assert";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { delay, systemClock } from "../../src/platform/clock.ts";
import { BlockClient } from "../clients/block-client.ts";
import { GatewayProcess } from "../clients/gateway.ts";
import { checkSnapshot, type SnapshotExpectation, StampedLoad } from "../clients/stamped-load.ts";
import { SeededRandom } from "../kit/seeded-random.ts";
import { createSnapshot, GIB, makeCached, makeStored, snapshotState, until } from "./volume-kit.ts";

/** The part of each volume that is written to: small, so that blocks are written again while they are frozen. */
const SECTORS = 24 * 128;
const DEPTH = 8;
const LOAD_MS_MAX = 1_500;

interface Loaded {
  readonly name: string;
  readonly arn: string;
  readonly load: StampedLoad;
}

interface Taken {
  readonly snapshotId: string;
  readonly expectation: SnapshotExpectation;
}

export interface RoundsResult {
  readonly writes: number;
  readonly snapshots: number;
  readonly failedSnapshots: number;
}

/** Runs so many rounds; `tell` gets a line about each. */
export async function crashRounds(
  rounds: number,
  seed: number,
  tell: (line: string) => void,
): Promise<RoundsResult> {
  const random = new SeededRandom(seed);
  const folder = mkdtempSync(join(tmpdir(), "sg-crash-"));
  // A cache that does not hold what is written, and a buffer that gets full.
  const sizes = ["--cache-size", "8MiB", "--upload-buffer-size", "4MiB"];
  const gateway = new GatewayProcess(join(folder, "data"), sizes);
  const taken: Taken[] = [];
  try {
    await gateway.start();
    const volumes: Loaded[] = [
      {
        name: "crash-stored",
        arn: await makeStored(gateway, "crash-stored"),
        load: new StampedLoad(SECTORS, random),
      },
      {
        name: "crash-cached",
        arn: await makeCached(gateway, "crash-cached"),
        load: new StampedLoad(SECTORS, random),
      },
    ];
    for (let round = 1; round <= rounds; round++) {
      await loadAndKill(gateway, volumes, taken, random);
      await gateway.start();
      for (const { name, load } of volumes) {
        const client = await BlockClient.open(gateway.portal, name);
        await load.settle(client);
        client.close();
      }
      const writes = volumes.reduce((sum, { load }) => sum + load.acknowledgedWrites, 0);
      tell(`round ${round}: ${writes} acknowledged writes are there, ${taken.length} snapshots taken`);
    }
    const failedSnapshots = await checkAll(gateway, taken);
    const writes = volumes.reduce((sum, { load }) => sum + load.acknowledgedWrites, 0);
    return { writes, snapshots: taken.length, failedSnapshots };
  } finally {
    await gateway.kill();
    rmSync(folder, { recursive: true, force: true });
  }
}

async function loadAndKill(
  gateway: GatewayProcess,
  volumes: readonly Loaded[],
  taken: Taken[],
  random: SeededRandom,
): Promise<void> {
  const clients = await Promise.all(volumes.map(({ name }) => BlockClient.open(gateway.portal, name)));
  const running = volumes.map(({ load }, i) => load.run(clients[i] as BlockClient, DEPTH));
  const snapshots = volumes.map(async ({ arn, load }) => {
    const expectation = load.snapshotBegins();
    try {
      taken.push({ snapshotId: await createSnapshot(gateway, arn), expectation });
    } finally {
      load.snapshotTaken(expectation);
    }
  });
  // Killed at any moment: before the answers, between them, or in the middle of the uploads.
  await delay(systemClock, random.below(LOAD_MS_MAX));
  await gateway.kill();
  await Promise.allSettled([...running, ...snapshots]);
  for (const client of clients) client.close();
}

/** Every snapshot that was answered ends, and one that is completed holds what it has to. */
async function checkAll(gateway: GatewayProcess, taken: readonly Taken[]): Promise<number> {
  let failed = 0;
  for (const [i, { snapshotId, expectation }] of taken.entries()) {
    const state = await until(`${snapshotId} ends`, async () => {
      const { State } = await snapshotState(gateway, snapshotId);
      return State === "pending" ? undefined : State;
    });
    if (state === "error") {
      failed += 1;
      continue;
    }
    const name = `crash-copy-${i}`;
    const VolumeARN = await makeCached(gateway, name, GIB, { SnapshotId: snapshotId });
    const client = await BlockClient.open(gateway.portal, name);
    await checkSnapshot(client, expectation);
    client.close();
    await until("the copy is gone", () =>
      gateway.boto.gateway("delete_volume", { VolumeARN }).then(
        () => true,
        () => undefined,
      ),
    );
  }
  assert(taken.length > 0, "no snapshot was ever answered");
  return failed;
}
