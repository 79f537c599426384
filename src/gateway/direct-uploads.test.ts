import { strict as assert } from "node:assert";
import { createHash } from "node:crypto";
import { closeSync, existsSync, mkdtempSync, openSync, readdirSync, rmSync, writeSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, describe, test } from "node:test";
import { ManualClock } from "../../test/kit/manual-clock.ts";
import { SeededRandom } from "../../test/kit/seeded-random.ts";
import { Catalog } from "../catalog/catalog.ts";
import type { SnapshotRow } from "../catalog/schema.ts";
import { nextTurn } from "../platform/clock.ts";
import { systemDisk } from "../platform/system-disk.ts";
import { DirectError } from "./direct-error.ts";
import { DIRECT_BLOCK_BYTES, DirectSpool } from "./direct-spool.ts";
import { DirectUploads, type NewDirectSnapshot } from "./direct-uploads.ts";
import type { DirectStore, SnapshotStore, SpoolOrder, VolumeHost } from "./ports.ts";
import { Snapshots } from "./snapshots.ts";

const folder = mkdtempSync(join(tmpdir(), "sg-direct-"));
after(() => rmSync(folder, { recursive: true, force: true }));

const MINUTE_MS = 60_000;
const wanted: NewDirectSnapshot = {
  ...{ volumeSizeGib: 1, description: "", tags: [], timeoutMinutes: 10 },
};
const block = (index: number, fill = 1) => {
  const content = Buffer.alloc(DIRECT_BLOCK_BYTES, fill);
  return { index, content, sum: createHash("sha256").update(content).digest("base64") };
};
let benches = 0;

/** Uploads with a vault that reads the spool, or fails as it is told. */
class Bench {
  readonly clock: ManualClock;
  readonly catalog: Catalog;
  readonly snapshots: Snapshots;
  readonly uploads: DirectUploads;
  readonly orders: SpoolOrder[] = [];
  readonly #path: string;
  freeBytes = Number.MAX_SAFE_INTEGER;
  failures: (Error & { kind?: string })[] = [];

  private constructor(catalog: Catalog, path: string, clock: ManualClock) {
    benches += 1;
    this.clock = clock;
    this.catalog = catalog;
    this.#path = path;
    const store = {
      putSnapshot: async () => {},
      deleteSnapshot: async () => {},
      snapshot: async () => undefined,
      uploadSpool: async (order: SpoolOrder) => {
        this.orders.push(order);
        const failure = this.failures.shift();
        if (failure !== undefined) throw failure;
        const spool = DirectSpool.open(systemDisk, order.folder);
        try {
          for (const index of spool.indexes()) spool.read(index);
        } finally {
          spool.close();
        }
        return { rootKey: `volumes/${order.volumeId}/roots/1`, fullBytes: 1 };
      },
    } as unknown as SnapshotStore & DirectStore;
    const parts = { catalog, store, clock, random: new SeededRandom(benches), onProblem: () => {} };
    this.snapshots = new Snapshots({
      ...{ ...parts, host: {} as VolumeHost, volumes: undefined as never },
      onDirectGone: (id) => this.uploads.drop(id),
      onNameGone: async () => {},
    });
    this.uploads = new DirectUploads({
      ...{ ...parts, snapshots: this.snapshots, disk: systemDisk, folder: this.spools },
      freeBytes: () => this.freeBytes,
      realm: { region: "us-east-1", accountId: "000000000000" },
    });
  }

  static async make(): Promise<Bench> {
    const path = join(folder, `bench-${benches}`);
    systemDisk.makeFolder(join(path, "spools"));
    const catalog = await Catalog.open({ sqlitePath: join(path, "catalog.sqlite") });
    const bench = new Bench(catalog, path, new ManualClock());
    await bench.uploads.resume();
    return bench;
  }

  get spools(): string {
    return join(this.#path, "spools");
  }

  /** What a start after a crash is. */
  async restart(): Promise<Bench> {
    await this.end();
    const catalog = await Catalog.open({ sqlitePath: join(this.#path, "catalog.sqlite") });
    const bench = new Bench(catalog, this.#path, this.clock);
    await bench.uploads.resume();
    return bench;
  }

  async end(): Promise<void> {
    await this.uploads.close();
    await this.catalog.close();
  }

  /** The snapshot when it is not pending any more; the clock goes on until then. */
  async ended(id: SnapshotRow["id"]): Promise<SnapshotRow | undefined> {
    for (let turns = 0; turns < 10_000; turns++) {
      const row = await this.catalog.snapshot(id);
      if (row?.state !== "pending") return row;
      this.clock.advance(1000);
      await nextTurn();
    }
    throw new Error(`${id} stays pending`);
  }
}

const refused = (call: Promise<unknown>, kind: string, reason?: string) =>
  assert.rejects(call, (error) => {
    assert(error instanceof DirectError, String(error));
    assert.deepEqual([error.kind, error.reason], [kind, reason], error.message);
    return true;
  });

describe("snapshots out of a client's blocks", () => {
  test("one that gets nothing for as long as it said ends in error; each block is a new beginning", async () => {
    const bench = await Bench.make();
    const { row } = await bench.uploads.start(wanted);
    const other = await bench.uploads.start({ ...wanted, timeoutMinutes: 60 });
    for (let i = 0; i < 3; i++) {
      bench.clock.advance(9 * MINUTE_MS);
      await nextTurn();
      await bench.uploads.put(row.id, block(i));
    }
    bench.clock.advance(11 * MINUTE_MS);
    const ended = await bench.ended(row.id);
    assert.deepEqual([ended?.state, ended?.reason], ["error", "it got no block for 10 minutes"]);
    await refused(bench.uploads.put(row.id, block(9)), "validation", "INVALID_SNAPSHOT_ID");
    await refused(bench.uploads.complete(row.id, 3, undefined), "validation", "INVALID_SNAPSHOT_ID");
    assert.deepEqual(readdirSync(bench.spools), [other.row.id]);
    await bench.end();
  });

  test("a start that is repeated is one start, also after a crash; another request with its token is refused", async () => {
    let bench = await Bench.make();
    const withToken = { ...wanted, clientToken: "t" };
    const [one, two] = await Promise.all([bench.uploads.start(withToken), bench.uploads.start(withToken)]);
    assert.equal(one.row.id, two.row.id);
    bench = await bench.restart();
    assert.equal((await bench.uploads.start(withToken)).row.id, one.row.id);
    await refused(bench.uploads.start({ ...withToken, volumeSizeGib: 2 }), "conflict");
    await bench.end();
  });

  test("a bucket that gives no answer is asked again; anything else ends in error with its reason", async () => {
    const bench = await Bench.make();
    const { row } = await bench.uploads.start(wanted);
    await bench.uploads.put(row.id, block(3));
    bench.failures = [1, 2].map(() => Object.assign(new Error("no answer"), { kind: "unavailable" }));
    assert.equal(await bench.uploads.complete(row.id, 1, undefined), "pending");
    assert.equal((await bench.ended(row.id))?.state, "completed");
    assert.equal(bench.orders.length, 3);
    const bad = await bench.uploads.start(wanted);
    bench.failures = [new Error("it is broken")];
    await bench.uploads.complete(bad.row.id, 0, undefined);
    const ended = await bench.ended(bad.row.id);
    assert.deepEqual([ended?.state, ended?.reason], ["error", "it is broken"]);
    assert.deepEqual(readdirSync(bench.spools), []);
    await bench.end();
  });

  test("a spool that has lost what it was given never becomes a snapshot", async () => {
    let bench = await Bench.make();
    const { row } = await bench.uploads.start(wanted);
    await bench.uploads.put(row.id, block(0));
    bench = await bench.restart();
    const fd = openSync(join(bench.spools, row.id, "segment-000000"), "r+");
    writeSync(fd, Buffer.alloc(512), 0, 512, 64 * 1024 + 4096);
    closeSync(fd);
    await bench.uploads.complete(row.id, 1, undefined);
    const ended = await bench.ended(row.id);
    assert.equal(ended?.state, "error");
    assert.match(ended?.reason ?? "", /block 0 is not what was sent/);
    await bench.end();
  });

  test("a sealed one is uploaded after a crash; one that is deleted meanwhile leaves nothing", async () => {
    let bench = await Bench.make();
    const [kept, gone] = [await bench.uploads.start(wanted), await bench.uploads.start(wanted)];
    bench.failures = Array.from({ length: 99 }, () =>
      Object.assign(new Error("no"), { kind: "unavailable" }),
    );
    for (const { row } of [kept, gone]) {
      await bench.uploads.put(row.id, block(1));
      await bench.uploads.complete(row.id, 1, undefined);
    }
    await bench.snapshots.remove(gone.row.id);
    // Nobody waits for the bucket at the end.
    bench = await bench.restart();
    assert.equal((await bench.ended(kept.row.id))?.state, "completed");
    assert.equal(await bench.ended(gone.row.id), undefined);
    for (let turns = 0; readdirSync(bench.spools).length > 0 && turns < 1000; turns++) await nextTurn();
    assert.deepEqual(readdirSync(bench.spools), []);
    await bench.end();
  });

  test("a disk that is nearly full, and too many at a time, are limits of their own", async () => {
    const bench = await Bench.make();
    const { row } = await bench.uploads.start(wanted);
    bench.freeBytes = 1024 ** 3 - 1;
    await refused(bench.uploads.put(row.id, block(0)), "quota", "DEPENDENCY_SERVICE_QUOTA_EXCEEDED");
    bench.freeBytes = 1024 ** 3;
    await bench.uploads.put(row.id, block(0));
    for (let i = 1; i < 100; i++) await bench.uploads.start(wanted);
    await refused(bench.uploads.start(wanted), "tooMany");
    await bench.snapshots.remove(row.id);
    assert(!existsSync(join(bench.spools, row.id)));
    await bench.uploads.start(wanted);
    await bench.end();
  });
});
