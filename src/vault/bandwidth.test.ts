import { strict as assert } from "node:assert";
import { describe, test } from "node:test";
import { ManualClock } from "../../test/kit/manual-clock.ts";
import { MemoryEpoch } from "../../test/kit/memory-epoch.ts";
import { SeededRandom } from "../../test/kit/seeded-random.ts";
import { BLOCK, options } from "../../test/kit/vault-kit.ts";
import { MemoryStore } from "../objects/memory.ts";
import { TokenBucket } from "../platform/token-bucket.ts";
import { type Bandwidth, Vault } from "./vault.ts";
import { VaultError } from "./vault-error.ts";

const BLOCKS = 200;
const PACK_BYTES = 64 * 1024;
const KIB_64 = 64 * 1024;

function epoch(volume: number, random: SeededRandom): MemoryEpoch {
  const changes = new Map(Array.from({ length: BLOCKS }, (_, i) => [i, random.bytes(BLOCK)] as const));
  const volumeId = `vol-${String(volume).padStart(17, "0")}`;
  return new MemoryEpoch({ volumeId, epoch: 1, sizeBytes: BLOCKS * BLOCK, blockBytes: BLOCK, changes });
}

function bandwidth(clock: ManualClock) {
  return { upload: new TokenBucket(clock), download: new TokenBucket(clock) } satisfies Bandwidth;
}

/** Lets time pass until the work is done; how long it took. */
async function timeOf(clock: ManualClock, work: Promise<unknown>): Promise<number> {
  const startMs = clock.monotonicMs();
  let done = false;
  void work.finally(() => {
    done = true;
  });
  while (!done) {
    for (let i = 0; i < 200 && !done; i++) await new Promise((resolve) => setImmediate(resolve));
    if (!done) clock.advance(50);
    assert(clock.monotonicMs() - startMs < 1e6, "it never ends");
  }
  return clock.monotonicMs() - startMs;
}

describe("the limits of a gateway's line", () => {
  test("hold its uploads and downloads to their rate, and nobody else's", async () => {
    const clock = new ManualClock();
    const random = new SeededRandom(1);
    const vault = await Vault.open(options(new MemoryStore(), { clock, packBytes: PACK_BYTES }));
    const [slow, fast] = [bandwidth(clock), bandwidth(clock)];
    slow.upload.setRate(KIB_64);
    // As many uploads as may be under way at a time wait for the slow line.
    const waiting = [1, 2, 3, 4].map((n) => vault.uploadEpoch(epoch(n, random), undefined, undefined, slow));
    const other = vault.uploadEpoch(epoch(9, random), undefined, undefined, fast);
    assert((await timeOf(clock, other)) < 1_000);
    const tookMs = await timeOf(clock, Promise.all(waiting));
    const expectedMs = (1000 * 4 * BLOCKS * BLOCK) / KIB_64;
    assert(tookMs > 0.8 * expectedMs && tookMs < 1.2 * expectedMs, `${tookMs} ms, expected ${expectedMs}`);

    slow.download.setRate(KIB_64);
    const [uploaded] = await Promise.all(waiting);
    assert(uploaded !== undefined);
    const fetchMs = await timeOf(clock, vault.readBlocks(uploaded.rootKey, 0, BLOCKS, slow));
    assert(fetchMs > (0.6 * 1000 * BLOCKS * BLOCK) / KIB_64, `${fetchMs} ms`);
    await vault.close();
  });

  test("do not hold up the end", async () => {
    const clock = new ManualClock();
    const vault = await Vault.open(options(new MemoryStore(), { clock, packBytes: PACK_BYTES }));
    const slow = bandwidth(clock);
    slow.upload.setRate(1);
    const upload = vault.uploadEpoch(epoch(1, new SeededRandom(2)), undefined, undefined, slow);
    upload.catch(() => {});
    for (let i = 0; i < 2_000; i++) await new Promise((resolve) => setImmediate(resolve));
    await vault.close();
    await assert.rejects(
      upload,
      (error: unknown) => error instanceof VaultError && error.kind === "unavailable",
    );
  });
});
