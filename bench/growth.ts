/**
 * What the vault's work grows with: the same data and the same change in volumes of 1 GiB, 64 GiB and 4 TiB, and four
 * times the data in the largest. Each figure should follow the change, or the data, and not the volume's size.
 *
 *   npm run bench:growth
 *
 * The vault's own code over a folder; what a cut costs is P8 of `npm run bench`.
 */
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { DirectoryStore } from "../src/objects/directory.ts";
import { systemClock } from "../src/platform/clock.ts";
import { systemRandom } from "../src/platform/random.ts";
import { Vault } from "../src/vault/vault.ts";
import { FaultyStore } from "../test/kit/faulty-store.ts";
import { MemoryEpoch } from "../test/kit/memory-epoch.ts";
import { SeededRandom } from "../test/kit/seeded-random.ts";

const GIB = 1024 ** 3;
const MIB = 1024 ** 2;
const BLOCK_BYTES = 64 * 1024;
const CHANGED_BLOCKS = 64;
const VOLUME = "vol-0123456789abcdef0";
const CASES = [
  { size: "1 GiB", sizeBytes: GIB, dataBlocks: 1024 },
  { size: "64 GiB", sizeBytes: 64 * GIB, dataBlocks: 1024 },
  { size: "4 TiB", sizeBytes: 4096 * GIB, dataBlocks: 1024 },
  { size: "4 TiB", sizeBytes: 4096 * GIB, dataBlocks: 4096 },
] as const;

interface Figures {
  readonly ms: number;
  readonly requests: number;
}

const HEAD = [
  "volume",
  "data",
  "first upload",
  "64 blocks changed",
  "uploaded",
  "diff",
  "collect",
  "recover",
];
const rows: string[][] = [HEAD];
for (const each of CASES) rows.push(await measure(each));
const widths = HEAD.map((_, i) => Math.max(...rows.map((row) => row[i]?.length ?? 0)));
for (const row of rows)
  process.stdout.write(`${row.map((cell, i) => cell.padEnd(widths[i] ?? 0)).join("  ")}\n`);

async function measure({ size, sizeBytes, dataBlocks }: (typeof CASES)[number]): Promise<string[]> {
  const folder = mkdtempSync(join(tmpdir(), "sg-growth-"));
  const random = new SeededRandom(1);
  const counted = new FaultyStore(await DirectoryStore.open(join(folder, "vault")));
  let indexes = 0;
  const open = () => {
    indexes += 1;
    return Vault.open({
      store: counted,
      keyFile: Buffer.alloc(32, 7),
      indexPath: join(folder, `index-${indexes}.sqlite`),
      ownerId: "0".repeat(32),
      random: systemRandom,
      clock: systemClock,
    });
  };
  const timed = async (action: () => Promise<unknown>): Promise<Figures> => {
    const requests = () => Object.values(counted.calls).reduce((sum, calls) => sum + calls, 0);
    const [before, startMs] = [requests(), systemClock.monotonicMs()];
    await action();
    return { ms: systemClock.monotonicMs() - startMs, requests: requests() - before };
  };
  /** All over the volume: as far from each other as its size lets them be. */
  const blocks = (count: number) =>
    new Map(
      Array.from({ length: count }, () => [random.below(sizeBytes / BLOCK_BYTES), random.bytes(BLOCK_BYTES)]),
    );
  const upload = (vault: Vault, epoch: number, changes: Map<number, Buffer>, parentRootKey?: string) =>
    vault.uploadEpoch(
      new MemoryEpoch({
        volumeId: VOLUME,
        epoch,
        sizeBytes,
        blockBytes: BLOCK_BYTES,
        changes,
        parentRootKey,
      }),
    );
  try {
    const vault = await open();
    let firstKey = "";
    let secondKey = "";
    const first = await timed(async () => {
      firstKey = (await upload(vault, 1, blocks(dataBlocks))).rootKey;
    });
    counted.putBytes = 0;
    const second = await timed(async () => {
      secondKey = (await upload(vault, 2, blocks(CHANGED_BLOCKS), firstKey)).rootKey;
    });
    const uploadedMib = counted.putBytes / MIB;
    const diff = await timed(async () => {
      const { blocks: found } = await vault.changedBlocks(
        firstKey,
        secondKey,
        0,
        sizeBytes / BLOCK_BYTES,
        1e6,
      );
      if (found.length === 0) throw new Error("nothing has changed");
    });
    const collect = await timed(() => vault.collect(true));
    await vault.close();
    // Somebody who has nothing but the bucket: its index is made anew, and the newest moment looked for.
    const recover = await timed(async () => {
      const other = await open();
      const newest = await other.newestRoot(VOLUME as never);
      if (newest?.rootKey !== secondKey) throw new Error("another moment was found");
      await other.close();
    });
    return [
      size,
      `${(dataBlocks * BLOCK_BYTES) / MIB} MiB`,
      told(first),
      told(second),
      `${uploadedMib.toFixed(1)} MiB`,
      ...[diff, collect, recover].map(told),
    ];
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}

function told({ ms, requests }: Figures): string {
  return `${ms.toFixed(0)} ms, ${requests} requests`;
}
