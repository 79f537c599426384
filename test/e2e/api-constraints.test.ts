/** Every constraint of every member of every operation, violated once, from the service models; and a fuzzer. */
import { strict as assert } from "node:assert";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, describe, test } from "node:test";
import { validate } from "../../src/api/wire/validator.ts";
import { CoverageRecorder } from "../api-coverage/recorder.ts";
import type { BotoSettings } from "../clients/boto.ts";
import { GatewayProcess } from "../clients/gateway.ts";
import { callJson, send } from "../clients/signed-request.ts";
import { validInput, violations } from "../kit/model-cases.ts";
import { fuzzed, fuzzedInput } from "../kit/model-fuzz.ts";
import { MODEL_SERVICES, shownViolations } from "../kit/model-services.ts";
import { SeededRandom } from "../kit/seeded-random.ts";
import { makeCached, makeStored } from "./volume-kit.ts";

const FUZZ_ROUNDS = Number(process.env.SLUICEGATE_FUZZ_ROUNDS ?? 12);

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

  for (const service of MODEL_SERVICES) {
    const { name, model, operations } = service;
    for (const { name: operation } of operations) {
      test(`${name}:${operation}`, async () => {
        const good = validInput(model, operation);
        assert.deepEqual(validate(model, operation, good), [], "the input it begins with");
        const all = await shownViolations(service, operation, violations(model, operation));
        for (const { violation, request } of all) {
          const answer = await send(settings, request);
          try {
            service.check(violation, answer);
          } catch (error) {
            throw new Error(`${violation.title}: ${answer.status} ${answer.text}`, { cause: error });
          }
          // Our own operations grow with every version; what is promised is AWS's.
          if (name !== "sluicegate") coverage.count(name, operation, "constraints");
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
    const { SnapshotId } = await gateway.boto.gateway("create_snapshot", {
      VolumeARN: arns.at(-3),
      SnapshotDescription: "fuzzed",
    });
    const ids = [
      SnapshotId,
      ...arns.filter((arn) => arn.includes("/vol-")).map((arn) => arn.slice(-21).toLowerCase()),
    ];
    for (let round = 0; round < FUZZ_ROUNDS; round++) {
      for (const service of MODEL_SERVICES) {
        const calls = service.operations.map(async ({ name }) => {
          const isJson = ["storagegateway", "sluicegate"].includes(service.name);
          const make = isJson ? fuzzedInput : fuzzed;
          const input = make(service.model, name, random, isJson ? arns : ids);
          const request = await service.request(name, input);
          if (request === undefined) return;
          const answer = await send(settings, request);
          const where = `seed ${seed}, round ${round}, ${service.name}:${name} ${JSON.stringify(input)}: ${answer.text}`;
          assert(answer.status < 500, where);
          if (answer.status >= 400) assert.match(service.codeOf(answer), /^\w[\w.]+$/, where);
        });
        await Promise.all(calls);
      }
    }
    assert.equal((await callJson(settings, "StorageGateway_20130630.ListGateways", {})).status, 200);
  });
});
