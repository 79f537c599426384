/** The vault on a real S3 server behind a line that fails in every way lines fail. */
import { strict as assert } from "node:assert";
import { randomBytes } from "node:crypto";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, describe, test } from "node:test";
import { SeededRandom } from "../../test/kit/seeded-random.ts";
import { expectContent, options, randomChanges, upload } from "../../test/kit/vault-kit.ts";
import { FaultProxy, type HttpFault } from "../../test/servers/fault-proxy.ts";
import { ConditionalStore } from "../objects/conditional.ts";
import { HedgingStore } from "../objects/hedging.ts";
import { RetryingStore } from "../objects/retrying.ts";
import { S3Store } from "../objects/s3.ts";
import { systemClock } from "../platform/clock.ts";
import { systemRandom } from "../platform/random.ts";
import { Vault } from "./vault.ts";

const endpoint = process.env.SLUICEGATE_TEST_S3_ENDPOINT;
const bucket = process.env.SLUICEGATE_TEST_S3_BUCKET ?? "";
const skip = endpoint === undefined ? "no S3 server: SLUICEGATE_TEST_S3_ENDPOINT is not set" : false;
const LIMITS = { attempts: 6, pauseMs: 5, pauseMsMax: 50 };
const EPOCHS = 6;

describe("the vault on a bad line to a real S3 server", { skip }, () => {
  let proxy: FaultProxy;
  before(async () => {
    proxy = await FaultProxy.open(endpoint ?? "");
  });
  after(() => proxy?.close());

  function open(prefix: string): S3Store {
    return new S3Store({ bucket, prefix, endpoint: proxy.endpoint, region: "us-east-1", pathStyle: true });
  }

  function whole(prefix: string): ConditionalStore {
    const retrying = new RetryingStore(
      new HedgingStore(open(prefix), systemClock),
      systemClock,
      systemRandom,
      LIMITS,
    );
    return new ConditionalStore(retrying, systemRandom, assert.fail);
  }

  /** Every third request goes wrong, in that way. */
  async function lives(faults: readonly HttpFault[]): Promise<void> {
    const random = new SeededRandom(faults.length);
    const prefix = `faults-${randomBytes(6).toString("hex")}/`;
    let met = 0;
    proxy.fault = () => {
      if (random.below(3) > 0) return undefined;
      met += 1;
      return faults[random.below(faults.length)];
    };
    try {
      const vault = await Vault.open({ ...options(whole(prefix)), random: systemRandom, clock: systemClock });
      const model = new Map<number, Buffer>();
      let parentRootKey: string | undefined;
      for (let epoch = 1; epoch <= EPOCHS; epoch++) {
        const changes = randomChanges(random, 40);
        for (const [block, content] of changes) model.set(block, content);
        // What is broken off is repeated, as the gateway does it.
        for (let attempt = 1; ; attempt++) {
          try {
            parentRootKey = (await upload(vault, { epoch, changes, parentRootKey })).rootKey;
            break;
          } catch (error) {
            assert(attempt < 20 && (error as { kind?: string }).kind === "unavailable", String(error));
          }
        }
      }
      proxy.fault = () => undefined;
      await expectContent(vault, parentRootKey ?? "", model);
      await vault.close();
      // And to somebody who has nothing but the bucket.
      const other = await Vault.open({ ...options(whole(prefix)), random: systemRandom, clock: systemClock });
      await expectContent(other, parentRootKey ?? "", model);
      const { problemCount } = await other.verify(100);
      assert.equal(problemCount, 0);
      await other.close();
      assert(met > 10, `only ${met} faults`);
    } finally {
      proxy.fault = () => undefined;
    }
  }

  for (const fault of ["slowDown", "lostAnswer", "halfAnswer", "refused", "skewed"] as const)
    test(`${fault}: nothing is lost, nothing is wrong`, () => lives([fault]));

  test("all of them at once", () => lives(["slowDown", "lostAnswer", "halfAnswer", "refused", "skewed"]));

  test("a conditional write whose answer is lost tells of its own object", async () => {
    const store = whole(`lost-${randomBytes(6).toString("hex")}/`);
    await store.put("first", Buffer.from("x"), { ifAbsent: true });
    let isFirst = true;
    proxy.fault = (method) => {
      const fault = method === "PUT" && isFirst ? "lostAnswer" : undefined;
      if (method === "PUT") isFirst = false;
      return fault;
    };
    assert.equal(await store.put("k", Buffer.from("mine"), { ifAbsent: true }), "exists");
    assert.equal((await store.get("k")).toString(), "mine");
    proxy.fault = () => undefined;
  });

  test("credentials that are exchanged while it runs are found", async () => {
    const folder = mkdtempSync(join(tmpdir(), "sg-credentials-"));
    const file = join(folder, "credentials");
    const { AWS_ACCESS_KEY_ID, AWS_SECRET_ACCESS_KEY, AWS_SHARED_CREDENTIALS_FILE } = process.env;
    const write = (id: string, secret: string) =>
      writeFileSync(file, `[default]\naws_access_key_id = ${id}\naws_secret_access_key = ${secret}\n`);
    try {
      delete process.env.AWS_ACCESS_KEY_ID;
      delete process.env.AWS_SECRET_ACCESS_KEY;
      process.env.AWS_SHARED_CREDENTIALS_FILE = file;
      write("AKIANOBODY", "nothing");
      const store = open(`exchanged-${randomBytes(6).toString("hex")}/`);
      await assert.rejects(store.put("k", Buffer.from("v")), { kind: "denied" });
      write(AWS_ACCESS_KEY_ID ?? "", AWS_SECRET_ACCESS_KEY ?? "");
      assert.equal(await store.put("k", Buffer.from("v")), "created");
      proxy.fault = () => "expired";
      await assert.rejects(store.get("k"), { kind: "denied" });
      proxy.fault = () => undefined;
      assert.equal((await store.get("k")).toString(), "v");
      await store.close();
    } finally {
      process.env.AWS_ACCESS_KEY_ID = AWS_ACCESS_KEY_ID;
      process.env.AWS_SECRET_ACCESS_KEY = AWS_SECRET_ACCESS_KEY;
      if (AWS_SHARED_CREDENTIALS_FILE === undefined) delete process.env.AWS_SHARED_CREDENTIALS_FILE;
      else process.env.AWS_SHARED_CREDENTIALS_FILE = AWS_SHARED_CREDENTIALS_FILE;
      rmSync(folder, { recursive: true, force: true });
    }
  });
});
