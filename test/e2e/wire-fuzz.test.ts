/** Odd requests to the EC2, EBS direct and lifecycle APIs, from their models: an answer for each, never an internal error. */
import { strict as assert } from "node:assert";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, describe, test } from "node:test";
import { DLM_MODEL, EBS_MODEL, EC2_MODEL } from "../../src/api/wire/validator.ts";
import { GatewayProcess } from "../clients/gateway.ts";
import { type RawRequest, send } from "../clients/signed-request.ts";
import { oddForm, oddRestRequest } from "../kit/odd-input.ts";
import { SeededRandom } from "../kit/seeded-random.ts";
import { fileStore } from "./store.ts";
import { completed, createSnapshot, GIB, makeCached } from "./volume-kit.ts";

const ROUNDS = Number(process.env.SLUICEGATE_FUZZ_ROUNDS ?? 25);
const SEED = Number(process.env.SLUICEGATE_FUZZ_SEED ?? 1);
const FORM = { "content-type": "application/x-www-form-urlencoded; charset=utf-8" };

describe("odd requests", () => {
  const folder = mkdtempSync(join(tmpdir(), "sg-fuzz-"));
  const gateway = new GatewayProcess(join(folder, "data"), [
    ...fileStore.options(folder),
    ...["--cache-size", "256MiB", "--upload-buffer-size", "256MiB"],
  ]);
  const known: string[] = [];
  before(async () => {
    await gateway.start();
    const arn = await makeCached(gateway, "fuzzed", GIB);
    const snapshotId = await createSnapshot(gateway, arn);
    await completed(gateway, snapshotId);
    const { SnapshotId } = await gateway.boto.ebs("start_snapshot", { VolumeSize: 1 });
    const { Volumes } = await gateway.boto.ec2("describe_volumes");
    known.push(snapshotId, SnapshotId, Volumes[0].VolumeId, Volumes[0].Attachments[0].InstanceId, arn);
    known.push(
      "snap-00000000000000000",
      "policy-1",
      "us-east-1",
      "us-east-1a",
      "name",
      "key",
      "tag:k",
      "12:30",
    );
    known.push("arn:aws:iam::000000000000:role/dlm", "arn:aws:dlm:us-east-1:000000000000:policy/policy-1");
  });
  after(async () => {
    await gateway.kill();
    rmSync(folder, { recursive: true, force: true });
  });

  async function expectAnswer(operation: string, request: RawRequest): Promise<number> {
    const { status, text } = await send(gateway.botoSettings(), request);
    const { path, headers, body = "" } = request;
    const what = JSON.stringify({ path, headers, body: body.slice(0, 5000) });
    assert(status < 500 && status !== 403, `seed ${SEED}: ${operation} ${what}: ${status} ${text}`);
    return status;
  }

  test("EC2", async () => {
    const random = new SeededRandom(SEED);
    const good = new Set<string>();
    for (let round = 0; round < ROUNDS; round++) {
      for (const operation of Object.keys(EC2_MODEL.operations)) {
        const body = oddForm(EC2_MODEL, operation, random, known);
        const status = await expectAnswer(operation, { service: "ec2", headers: FORM, body });
        if (status === 200) good.add(operation);
      }
    }
    // They are not so odd that nothing comes through.
    assert(good.size >= 5, [...good].join());
  });

  for (const [service, model] of [["ebs", EBS_MODEL] as const, ["dlm", DLM_MODEL] as const])
    test(service, async () => {
      const random = new SeededRandom(SEED);
      for (let round = 0; round < ROUNDS; round++) {
        for (const operation of Object.keys(model.operations)) {
          await expectAnswer(operation, { service, ...oddRestRequest(model, operation, random, known) });
        }
      }
    });
});
