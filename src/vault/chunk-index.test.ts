import { strict as assert } from "node:assert";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { DatabaseSync } from "node:sqlite";
import { after, describe, test } from "node:test";
import { SeededRandom } from "../../test/kit/seeded-random.ts";
import { ChunkIndex } from "./chunk-index.ts";
import type { DirectoryEntry } from "./pack.ts";

const VAULT = "the-vault";

describe("the chunk index counts what is in it", () => {
  const folder = mkdtempSync(join(tmpdir(), "sg-index-"));
  after(() => rmSync(folder, { recursive: true, force: true }));
  const path = join(folder, "index.sqlite");
  const random = new SeededRandom(4);
  const entries = (packId: string, count: number): DirectoryEntry[] =>
    Array.from({ length: count }, (_, number) => ({
      ...{ packId, name: random.bytes(20), number, kind: 1, compression: 1 },
      ...{ offsetBytes: number * 100, storedBytes: 1 + random.below(90), plainBytes: 4096 },
    }));

  /** All of it counted through, by another connection. */
  function counted() {
    const db = new DatabaseSync(path);
    const { packs } = db.prepare("SELECT count(*) AS packs FROM packs").get() as { packs: number };
    const sums = db
      .prepare(
        "SELECT count(*) AS chunks, total(plain) AS plainBytes, total(stored) AS storedBytes FROM chunks",
      )
      .get();
    db.close();
    return { packs, ...sums };
  }

  test("as packs come, come again, and go", () => {
    const { index } = ChunkIndex.open(path, VAULT);
    assert.deepEqual(index.figures(), { packs: 0, chunks: 0, plainBytes: 0, storedBytes: 0 });
    const known = new Map<string, DirectoryEntry[]>();
    for (let i = 0; i < 120; i++) {
      const packId = `pack-${random.below(40)}`;
      if (random.chance(0.6)) {
        const directory = known.get(packId) ?? entries(packId, 1 + random.below(20));
        known.set(packId, directory);
        index.addPack(packId, directory, random.chance(0.5));
      } else index.dropPacks([packId, `pack-${random.below(40)}`], random.chance(0.2));
      assert.deepEqual(index.figures(), counted());
    }
    assert(index.figures().chunks > 50);
    index.markComplete(VAULT);
    index.close();
  });

  test("without reading it, and in an index from before it was counted", () => {
    const db = new DatabaseSync(path);
    db.exec("DROP TABLE totals");
    db.close();
    const before = counted();
    const { index, fresh } = ChunkIndex.open(path, VAULT);
    assert(!fresh);
    assert.deepEqual(index.figures(), before);
    // What is not there any more, and nobody has told it of, is counted still: nothing is looked through.
    const other = new DatabaseSync(path);
    other.exec("DELETE FROM chunks");
    other.close();
    assert.deepEqual(index.figures(), before);
    index.close();
  });
});
