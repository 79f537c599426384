/**
 * The operations of EC2, EBS direct and the Data Lifecycle Manager by boto3, aws-cli and the AWS SDK: each called, and
 * looked at for what it did; the errors that they document, provoked; and botocore's examples.
 */
import { strict as assert } from "node:assert";
import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, describe, test } from "node:test";
import { CoverageRecorder } from "../api-coverage/recorder.ts";
import type { BotoSettings } from "../clients/boto.ts";
import { GatewayProcess } from "../clients/gateway.ts";
import { callJson, send } from "../clients/signed-request.ts";
import {
  type ApiCaller,
  openCaller,
  type ServiceName,
  STORAGE_GATEWAY_CLIENTS,
  type StorageGatewayClientName,
  snakeCase,
} from "../clients/storage-gateway.ts";
import { MODEL_SERVICES, type ModelService } from "../kit/model-services.ts";
import { dlmRefusals, everyDlmOperation, POLICY } from "./api-scenarios/dlm.ts";
import { ebsRefusals, everyEbsOperation } from "./api-scenarios/ebs.ts";
import { ec2Refusals, everyEc2Operation } from "./api-scenarios/ec2.ts";
import type { Call, Refusal } from "./api-scenarios/scenario.ts";
import { completed } from "./volume-kit.ts";

interface Example {
  readonly operation: string;
  readonly input: Readonly<Record<string, unknown>>;
}

const examples = JSON.parse(
  readFileSync(new URL("../fixtures/ec2-examples.json", import.meta.url), "utf8"),
) as Example[];

function serviceOf(name: ServiceName): ModelService {
  const service = MODEL_SERVICES.find((one) => one.name === name);
  assert(service !== undefined);
  return service;
}

describe("EC2, EBS direct and the Data Lifecycle Manager", () => {
  const folder = mkdtempSync(join(tmpdir(), "sg-services-"));
  const sizes = ["--cache-size", "256MiB", "--upload-buffer-size", "256MiB"];
  const gateway = new GatewayProcess(join(folder, "data"), sizes);
  const coverage = new CoverageRecorder("snapshot-services");
  const callers: ApiCaller[] = [];
  before(() => gateway.start());
  after(async () => {
    for (const caller of callers) caller.close();
    await gateway.kill();
    rmSync(folder, { recursive: true, force: true });
  });

  function openedHere(name: StorageGatewayClientName, service: ServiceName): ApiCaller {
    const caller = openCaller(name, gateway.botoSettings(), service);
    callers.push(caller);
    return caller;
  }

  for (const name of STORAGE_GATEWAY_CLIENTS) {
    const noted = (service: ServiceName): Call => {
      const caller = openedHere(name, service);
      return async (operation, input) => {
        const answer = await caller.call(operation, input);
        coverage.note(service, operation, "valid", name);
        return answer;
      };
    };
    test(`every operation of EC2 by ${name}`, () => everyEc2Operation(gateway, noted("ec2"), name));
    test(`every operation of EBS direct by ${name}`, async () => {
      await everyEbsOperation(gateway, noted("ebs"), name);
    });
    test(`every operation of the Data Lifecycle Manager by ${name}`, () =>
      everyDlmOperation(noted("dlm"), name));
  }

  /** Sends them as they are, and holds the answers to code and status. */
  async function provoke(name: ServiceName, refusals: readonly Refusal[]): Promise<void> {
    for (const [operation, input, code, status = 400] of refusals)
      await provokeOne(name, [operation, input, code, status], gateway.botoSettings());
  }

  async function provokeOne(
    name: ServiceName,
    [operation, input, code, status = 400]: Refusal,
    settings: BotoSettings,
  ): Promise<void> {
    const service = serviceOf(name);
    const request = await service.request(operation, input);
    assert(request !== undefined);
    const answer = await send(settings, request);
    const where = `${operation} ${JSON.stringify(input).slice(0, 500)}: ${answer.text}`;
    assert.equal(answer.status, status, where);
    const { Reason }: { Reason?: string } = name === "ec2" ? {} : JSON.parse(answer.text);
    const found = service.codeOf(answer) + (Reason === undefined ? "" : ` (${Reason})`);
    assert.equal(found, code, where);
    coverage.note(name, operation, "errors", code);
  }

  test("errors", async () => {
    const { boto } = gateway;
    const zone = { AvailabilityZone: "us-east-1a" };
    const { VolumeId: volume } = await boto.ec2("create_volume", {
      ...zone,
      Size: 2,
      ClientToken: "refusals",
    });
    const snapshots: string[] = [];
    for (let i = 0; i < 2; i++) {
      const { SnapshotId } = await boto.ec2("create_snapshot", { VolumeId: volume });
      await completed(gateway, SnapshotId);
      snapshots.push(SnapshotId);
    }
    const [snapshot = "", locked = ""] = snapshots;
    const lock = { SnapshotId: locked, LockMode: "compliance", LockDuration: 2 };
    await openedHere("aws-sdk", "ec2").call("LockSnapshot", lock);
    const { Volumes } = await boto.ec2("describe_volumes", { VolumeIds: [volume] });
    const usedToken = "of-another-request";
    const started = { VolumeSize: 1, ClientToken: usedToken };
    const { SnapshotId: open } = await boto.ebs("start_snapshot", started);
    const instance = Volumes[0].Attachments[0].InstanceId;
    await provoke("ec2", ec2Refusals({ volume, snapshot, locked, pending: open, instance }));
    const stranger = await startedAndEnded();
    await provoke("ebs", ebsRefusals({ snapshot, stranger, open, usedToken }));
    const { PolicyId } = await boto.dlm("create_lifecycle_policy", POLICY);
    await provoke("dlm", dlmRefusals(PolicyId));
  });

  /** Calls it again and again, as often as it may be good. */
  async function untilRefused(name: ServiceName, refusal: Refusal): Promise<void> {
    const request = await serviceOf(name).request(refusal[0], refusal[1]);
    assert(request !== undefined);
    for (let i = 0; i < 101; i++) if ((await send(gateway.botoSettings(), request)).status >= 400) break;
    await provoke(name, [refusal]);
  }

  /** A snapshot of nothing, of a lineage of its own. */
  async function startedAndEnded(): Promise<string> {
    const { SnapshotId } = await gateway.boto.ebs("start_snapshot", { VolumeSize: 1 });
    await gateway.boto.ebs("complete_snapshot", { SnapshotId, ChangedBlocksCount: 0 });
    await completed(gateway, SnapshotId);
    return SnapshotId;
  }

  test("botocore's examples for EC2, with what there is here in place of what they name", async () => {
    const { boto } = gateway;
    const zone = { AvailabilityZone: "us-east-1a" };
    const make = async () => {
      const { VolumeId } = await boto.ec2("create_volume", { ...zone, Size: 1 });
      const { SnapshotId } = await boto.ec2("create_snapshot", { VolumeId });
      await completed(gateway, SnapshotId);
      return { VolumeId: VolumeId as string, SnapshotId: SnapshotId as string };
    };
    for (const { operation, input } of examples) {
      const { VolumeId, SnapshotId } = await make();
      const here: Record<string, unknown> = {
        ...{ VolumeId, SnapshotId, SourceSnapshotId: SnapshotId, SnapshotIds: [SnapshotId] },
        ...{ Resources: [SnapshotId], SourceRegion: "us-east-1" },
      };
      const prepared = Object.fromEntries(
        Object.entries(input).map(([name, value]) => [name, here[name] ?? value]),
      );
      const answer = await boto.ec2(snakeCase(operation), prepared);
      coverage.count("ec2", operation, "examples");
      if (operation === "CreateSnapshot") await completed(gateway, answer.SnapshotId);
      // A gateway has 32 volumes.
      const volumes = [VolumeId, ...(operation === "CreateVolume" ? [answer.VolumeId] : [])];
      for (const id of operation === "DeleteVolume" ? [] : volumes)
        await boto.ec2("delete_volume", { VolumeId: id });
    }
    assert(examples.length > 15);
  });

  test("what a policy would do, which the API of AWS has no words for", async () => {
    const { PolicyId } = await gateway.boto.dlm("create_lifecycle_policy", POLICY);
    const operation = "DescribePolicyPreview";
    const call = (input: object) =>
      callJson(gateway.botoSettings(), `Sluicegate_20261101.${operation}`, input);
    const { status, body } = await call({ PolicyId });
    assert.deepEqual([status, body.Policies[0].Schedules[0].Creates], [200, []]);
    coverage.note("sluicegate", operation, "valid", "signed request");
    const refused = await call({ PolicyId: "policy-0" });
    assert.deepEqual([refused.status, refused.body.error], [400, { errorCode: "InvalidParameters" }]);
    coverage.note("sluicegate", operation, "errors", "InvalidParameters");
  });

  test("errors: who has no right to, who is not known, and what is too much", async () => {
    const settings = gateway.botoSettings();
    const answer = await callJson(settings, "Sluicegate_20261101.CreateAccessKey", {
      Name: "reader",
      Role: "read-only",
    });
    const { AccessKeyId, SecretAccessKey } = answer.body;
    const reader = { ...settings, accessKeyId: AccessKeyId, secretAccessKey: SecretAccessKey };
    const id = { SnapshotId: "snap-00000000000000000" };
    await provokeOne("ec2", ["DeleteSnapshot", id, "UnauthorizedOperation", 403], reader);
    const start = { VolumeSize: 1 };
    const denied = "AccessDeniedException (UNAUTHORIZED_ACCOUNT)";
    await provokeOne("ebs", ["StartSnapshot", start, denied, 403], reader);
    const list = ["DescribeSnapshots", {}] as const;
    const nobody = { ...settings, accessKeyId: "AKIAIOSFODNN7EXAMPLE" };
    await provokeOne("ec2", [...list, "AuthFailure", 401], nobody);
    const stranger = openCaller("aws-sdk", nobody, "ec2");
    callers.push(stranger);
    await assert.rejects(
      stranger.call(...list),
      /^AuthFailure: AWS was not able to validate the provided access credentials$/,
    );
    const forger = { ...settings, secretAccessKey: "guessed" };
    await provokeOne("ec2", [...list, "SignatureDoesNotMatch", 403], forger);
    await untilRefused("ebs", ["StartSnapshot", start, "ConcurrentLimitExceededException"]);
    await untilRefused("dlm", ["CreateLifecyclePolicy", POLICY, "LimitExceededException", 429]);
  });

  test("results", () => coverage.finish());
});
