/** Imports that break off anywhere: they go on, and nothing is fetched twice but the part that they were at. */
import { strict as assert } from "node:assert";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, describe, test } from "node:test";
import { FaultyStore } from "../test/kit/faulty-store.ts";
import { ManualClock } from "../test/kit/manual-clock.ts";
import { SeededRandom } from "../test/kit/seeded-random.ts";
import { keysOf, options as vaultOptions } from "../test/kit/vault-kit.ts";
import { MemoryStore } from "./objects/memory.ts";
import { type ObjectStore, type PutOptions, StoreError } from "./objects/object-store.ts";
import type { SnapshotId, VolumeId } from "./platform/ids.ts";
import { systemDisk } from "./platform/system-disk.ts";
import { bringOver, IMPORT_BLOCK_BYTES, type ImportContent, type ImportState } from "./server-import.ts";
import { OWNER_FILE } from "./server-vault-access.ts";
import { Vault } from "./vault/vault.ts";

const root = mkdtempSync(join(tmpdir(), "sg-import-"));
after(() => rmSync(root, { recursive: true, force: true }));

const RUNS = 40;
const GAP = 8;
const VOLUME = "vol-0000000000000000a" as VolumeId;
const SNAPSHOT = "snap-0000000000000000b" as SnapshotId;
const GATEWAY = Buffer.alloc(16, 9);

/** Two blocks in every eight; of random bytes, and here and there zeros. */
class Content implements ImportContent {
  readonly sizeBytes = RUNS * GAP * IMPORT_BLOCK_BYTES;
  readonly runCount = RUNS;
  readonly bytes: Buffer[];
  /** How often each run was read. */
  readonly reads = new Array<number>(RUNS).fill(0);
  /** So many reads are answered. */
  left = Number.POSITIVE_INFINITY;

  constructor(random: SeededRandom) {
    this.bytes = Array.from({ length: RUNS }, (_, i) =>
      i % 7 === 3 ? Buffer.alloc(2 * IMPORT_BLOCK_BYTES) : random.bytes(2 * IMPORT_BLOCK_BYTES),
    );
  }

  blocksOf(run: number): readonly number[] {
    return [run * GAP, run * GAP + 1];
  }

  async read(run: number, into: Buffer): Promise<void> {
    if (this.left <= 0) throw new Error("the other side is gone");
    this.left -= 1;
    this.reads[run] = (this.reads[run] ?? 0) + 1;
    this.bytes[run]?.copy(into);
  }

  close(): void {}
}

/** Holds the first root back, whose writer hears of no answer, until a root of the same name is written. */
class LateStore extends FaultyStore {
  isLate = false;
  #held: { readonly key: string; readonly body: Buffer } | undefined;

  override async put(key: string, body: Buffer, options?: PutOptions): Promise<"created" | "exists"> {
    if (!key.includes("/roots/")) return super.put(key, body, options);
    if (this.#held === undefined) {
      this.#held = { key, body };
      throw new StoreError("unavailable", "it arrives later", { ambiguous: true });
    }
    if (this.isLate && this.#held.key === key) {
      this.isLate = false;
      await super.put(key, this.#held.body);
    }
    return super.put(key, body, options);
  }
}

const isStillLate = (store: LateStore): boolean => store.isLate;

class Import {
  readonly content: Content;
  readonly store = new FaultyStore(new MemoryStore());
  readonly folder = mkdtempSync(join(root, "one-"));
  readonly resumedAt: number[] = [];
  partBytes = 256 * 1024;
  /** What the vault has in place of `store`. */
  behind: ObjectStore = this.store;
  readonly #indexPath = join(this.folder, "index.sqlite");
  readonly #first: ImportState = {
    ...{ format: 1, name: "it", fingerprint: "", ownerId: "command", volumeId: VOLUME, snapshotId: SNAPSHOT },
    startedAtMs: 5,
  };

  constructor(seed: number) {
    this.content = new Content(new SeededRandom(seed));
    writeFileSync(join(this.folder, OWNER_FILE), GATEWAY);
  }

  open(ownerId = "command", indexPath = this.#indexPath): Promise<Vault> {
    return Vault.open(vaultOptions(this.behind, { ownerId, indexPath, packBytes: 64 * 1024 }));
  }

  /** As one process does it; its end takes nothing with it but what it had in memory. */
  async run(): Promise<void> {
    const vault = await this.open();
    const text = systemDisk.readFile(join(this.folder, "import.json"))?.toString("utf8");
    const state = text === undefined ? this.#first : (JSON.parse(text) as ImportState);
    const options = {
      ...{ dataDir: this.folder, description: "d", region: "us-east-1", accountId: "0".repeat(12) },
      onProgress: () => {},
      onResume: (bytes: number) => void this.resumedAt.push(bytes),
    };
    const limits = { uploadedBytes: this.partBytes, ms: 1e9 };
    try {
      await bringOver(vault, this.folder, state, this.content, options, limits, new ManualClock());
    } finally {
      await vault.close();
    }
  }

  async expectWhole(): Promise<void> {
    const vault = await this.open(GATEWAY.toString("hex"), ":memory:");
    const [record, ...others] = await vault.records.listSnapshots();
    assert(record !== undefined && others.length === 0);
    assert.deepEqual([record.snapshotId, record.startedAtMs, record.description], [SNAPSHOT, 5, "d"]);
    const zeros = Buffer.alloc((GAP - 2) * IMPORT_BLOCK_BYTES);
    for (const [run, bytes] of this.content.bytes.entries()) {
      const found = await vault.readBlocks(record.rootKey, run * GAP, GAP);
      assert(found.equals(Buffer.concat([bytes, zeros])), `run ${run}`);
    }
    const nonZero = this.content.bytes.filter((bytes) => !bytes.equals(Buffer.alloc(bytes.length))).length;
    assert.equal(record.fullBytes, nonZero * 2 * IMPORT_BLOCK_BYTES);
    // Nothing is left of the parts; and what is there goes with the snapshot, as the volume is the gateway's.
    assert.deepEqual(await keysOf(this.store, "volumes/"), [record.rootKey]);
    assert.deepEqual(await vault.listOwnVolumes(), [VOLUME]);
    await vault.close();
  }
}

describe("imports", () => {
  test("one that breaks off goes on with the part that it was at", async () => {
    for (const left of [0, 1, 5, 20, 39]) {
      const it = new Import(left);
      it.content.left = left;
      await assert.rejects(it.run(), /the other side is gone/);
      it.content.left = Number.POSITIVE_INFINITY;
      await it.run();
      await it.expectWhole();
      const again = it.content.reads.filter((count) => count > 1).length;
      // A part is two runs and what was on its way, of 128 KiB each.
      assert(again <= 8, `${again} runs were read again after ${left}`);
      if (left >= 20) assert((it.resumedAt[0] ?? 0) > 0);
    }
  });

  test("whichever request to the bucket gets no answer, it goes on, and comes to the same", async () => {
    const random = new SeededRandom(77);
    for (let seed = 0; seed < 6; seed++) {
      const it = new Import(seed);
      let until = random.below(60);
      it.store.fault = () => {
        until -= 1;
        return until < 0 ? (until % 2 === 0 ? "before" : "after") : undefined;
      };
      let runs = 0;
      for (; ; runs++) {
        try {
          await it.run();
          break;
        } catch {
          assert(runs < 60, "it does not come forward");
          until = 20 + random.below(60);
          // Where a part would end now is not where it has ended, as time has its share in it.
          it.partBytes = (1 + random.below(5)) * 64 * 1024;
        }
      }
      it.store.fault = () => undefined;
      await it.expectWhole();
    }
  });

  test("a part's root that arrives late, after its import was called again, is no hole", async () => {
    const it = new Import(5);
    const late = new LateStore(it.store);
    it.behind = late;
    await assert.rejects(it.run(), /arrives later/);
    // Left to itself, the part would now become a longer one.
    it.partBytes = 1e9;
    late.isLate = true;
    await it.run();
    assert(!isStillLate(late), "the late root has not met that of the second run");
    await it.expectWhole();
  });

  test("one whose parts are gone from the bucket does not go on with what is not there", async () => {
    const it = new Import(3);
    it.content.left = 30;
    await assert.rejects(it.run(), /the other side is gone/);
    it.content.left = Number.POSITIVE_INFINITY;
    await it.store.delete(await keysOf(it.store, "volumes/"));
    await assert.rejects(it.run(), /is not in the bucket any more: begin anew with --abandon/);
  });
});
