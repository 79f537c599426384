/** Every constraint of every member of every operation, violated once, from the service models; and a fuzzer. */
import { strict as assert } from "node:assert";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, describe, test } from "node:test";
import { sluicegateOperations } from "../../src/api/sluicegate/index.ts";
import { storageGatewayOperations } from "../../src/api/storage-gateway/index.ts";
import { SLUICEGATE_MODEL, STORAGE_GATEWAY_MODEL, validate } from "../../src/api/wire/validator.ts";
import { CoverageRecorder } from "../api-coverage/recorder.ts";
import type { BotoSettings } from "../clients/boto.ts";
import { GatewayProcess } from "../clients/gateway.ts";
import { callJson } from "../clients/signed-request.ts";
import { validInput, violations } from "../kit/model-cases.ts";
import { fuzzedInput } from "../kit/model-fuzz.ts";
import { SeededRandom } from "../kit/seeded-random.ts";
import { makeCached, makeStored } from "./volume-kit.ts";

const FUZZ_ROUNDS = Number(process.env.SLUICEGATE_FUZZ_ROUNDS ?? 12);
const SERVICES = [
  ["storagegateway", "StorageGateway_20130630", STORAGE_GATEWAY_MODEL, storageGatewayOperations],
  ["sluicegate", "Sluicegate_20261101", SLUICEGATE_MODEL, sluicegateOperations],
] as const;

describe("constraints of the service models", () => {
  const folder = mkdtempSync(join(tmpdir(), "sg-constraints-"));
  const sizes = ["--cache-size", "256MiB", "--upload-buffer-size", "256MiB"];
  const gateway = new GatewayProcess(join(folder, "data"), sizes);
  const coverage = new CoverageRecorder("constraints");
  let settings: BotoSettings;
  before(async () => {
    await gateway.start();
    settings = gateway.botoSettings();
  });
  after(async () => {
    await gateway.kill();
    rmSync(folder, { recursive: true, force: true });
  });

  for (const [service, prefix, model, operations] of SERVICES) {
    for (const { name } of operations) {
      test(`${service}:${name}`, async () => {
        assert.deepEqual(validate(model, name, validInput(model, name)), [], "the input it begins with");
        for (const { title, input, error, message } of violations(model, name)) {
          const { status, body } = await callJson(settings, `${prefix}.${name}`, input as object);
          const where = `${title}: ${JSON.stringify(body)}`;
          assert.deepEqual([status, body.__type], [400, error], where);
          assert.match(body.message, message, where);
          assert.equal(body.errorDetails, undefined);
          // Our own operations grow with every version; what is promised is AWS's.
          if (service === "storagegateway") coverage.count(service, name, "constraints");
        }
      });
    }
  }

  test("results", () => coverage.finish());

  test("fuzzed inputs: an answer for each, and never an internal error", async () => {
    const seed = Number(process.env.SLUICEGATE_FUZZ_SEED ?? 7);
    const random = new SeededRandom(seed);
    const { Gateways } = await gateway.boto.gateway("list_gateways");
    const arns = [
      ...Gateways.map((each: { GatewayARN: string }) => each.GatewayARN),
      await makeCached(gateway, "fuzzed"),
      await makeStored(gateway, "fuzzed-stored"),
      `${Gateways[0].GatewayARN}/target/iqn.1997-05.com.amazon:fuzzed`,
    ];
    for (let round = 0; round < FUZZ_ROUNDS; round++) {
      for (const [, prefix, model, operations] of SERVICES) {
        const calls = operations.map(async ({ name }) => {
          const body = fuzzedInput(model, name, random, arns);
          const answer = await callJson(settings, `${prefix}.${name}`, body);
          const where = `seed ${seed}, round ${round}, ${name} ${body}: ${JSON.stringify(answer.body)}`;
          assert(answer.status < 500, where);
          if (answer.status !== 200) assert.equal(typeof answer.body.__type, "string", where);
        });
        await Promise.all(calls);
      }
    }
    assert.equal((await callJson(settings, "StorageGateway_20130630.ListGateways", {})).status, 200);
  });
});
