/** The contract on OpenStack Swift, which has other quirks than Ceph: no conditional writes, Content-MD5 for deletions. */
import { strict as assert } from "node:assert";
import { spawnSync } from "node:child_process";
import { mkdtempSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, describe, test } from "node:test";
import { contract } from "../../test/kit/store-contract.ts";
import { SWIFT_PROGRAMS, startSwift, stopSwift } from "../../test/servers/swift.ts";
import { systemClock } from "../platform/clock.ts";
import { systemRandom } from "../platform/random.ts";
import { ConditionalStore, hasConditionalWrites } from "./conditional.ts";
import { RetryingStore } from "./retrying.ts";
import { S3Store } from "./s3.ts";

const absent = SWIFT_PROGRAMS.filter((name) => spawnSync("which", [name]).status !== 0);
const skip = absent.length === 0 ? false : `missing: ${absent.join(" ")}`;
const folder = mkdtempSync(join(tmpdir(), "sg-swift-"));
const told: string[] = [];
let server: ReturnType<typeof startSwift> | undefined;
after(() => stopSwift(folder));

async function raw(prefix: string): Promise<S3Store> {
  server ??= startSwift(folder);
  const { endpoint, bucket, region, accessKeyId, secretAccessKey } = await server;
  const credentials = { accessKeyId, secretAccessKey };
  return new S3Store({ bucket, prefix, endpoint, region, pathStyle: true, credentials });
}

async function whole(prefix: string): Promise<ConditionalStore> {
  const retrying = new RetryingStore(await raw(prefix), systemClock, systemRandom);
  return new ConditionalStore(retrying, systemRandom, (message) => told.push(message));
}

contract("swift", () => whole("contract/"), { skip, isAtomic: false });

describe("a bucket without conditional writes", { skip }, () => {
  test("is found out, leaves nothing behind, and is told of once", async () => {
    const store = await raw("found-out/");
    assert.equal(await hasConditionalWrites(store, systemRandom), false);
    for await (const { key } of store.list("")) assert.fail(key);
    told.length = 0;
    const conditional = await whole("told/");
    for (const key of ["a", "b"])
      assert.equal(await conditional.put(key, Buffer.from("x"), { ifAbsent: true }), "created");
    assert.equal(told.length, 1);
    assert.match(told[0] ?? "", /s3:\/\/sluicegate-test\/told\/ has no conditional writes/);
  });
});
