/**
 * The requests that botocore documents as examples (test/fixtures/storage-gateway-examples.json), by boto3, in an
 * environment in which they make sense: what they name is replaced by what there is here, all else is sent as it stands.
 */
import { strict as assert } from "node:assert";
import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, describe, test } from "node:test";
import { createDiskFile } from "../../src/gateway/disks.ts";
import { CoverageRecorder } from "../api-coverage/recorder.ts";
import { GatewayProcess } from "../clients/gateway.ts";
import { snakeCase } from "../clients/storage-gateway.ts";
import {
  completed,
  createSnapshot,
  GIB,
  makeCached,
  makeStored,
  gatewayArn as ofKind,
} from "./volume-kit.ts";

interface Example {
  readonly operation: string;
  readonly input: Readonly<Record<string, unknown>>;
}

const MIB = 1024 ** 2;
const examples = JSON.parse(
  readFileSync(new URL("../fixtures/storage-gateway-examples.json", import.meta.url), "utf8"),
) as Example[];
/** Those that are for stored gateways; the others are sent to a cached one. */
const STORED = [
  "AddWorkingStorage",
  "CreateStorediSCSIVolume",
  "DescribeStorediSCSIVolumes",
  "DescribeWorkingStorage",
];

/** What takes things away comes last; else by name, in which an update comes after what describes it. */
function inOrder(a: Example, b: Example): number {
  const rank = ({ operation }: Example) =>
    /^(Update|Create|Activate)/.test(operation) ? 0 : /^Delete/.test(operation) ? 2 : 1;
  return rank(a) - rank(b) || (a.operation < b.operation ? -1 : 1);
}

describe("botocore's examples", () => {
  const folder = mkdtempSync(join(tmpdir(), "sg-examples-"));
  const sizes = ["--cache-size", "256MiB", "--upload-buffer-size", "256MiB"];
  const gateway = new GatewayProcess(join(folder, "data"), sizes);
  const coverage = new CoverageRecorder("examples");
  const call = (operation: string, input: object = {}) => gateway.boto.gateway(snakeCase(operation), input);
  let cached = "";
  let stored = "";
  let volume = "";
  let stone = "";
  let snapshot = "";
  let disks = 0;
  before(async () => {
    await gateway.start();
    cached = await ofKind(gateway, "CACHED");
    stored = await ofKind(gateway, "STORED");
    volume = await makeCached(gateway, "example");
    await makeCached(gateway, "example-2");
    stone = await makeStored(gateway, "example-stored");
    snapshot = await createSnapshot(gateway, volume);
    await completed(gateway, snapshot);
    await call("AddTagsToResource", { ResourceARN: cached, Tags: [{ Key: "another", Value: "" }] });
  });
  after(async () => {
    await gateway.kill();
    rmSync(folder, { recursive: true, force: true });
  });

  const newDisk = (sizeBytes: number) => {
    disks += 1;
    return createDiskFile(gateway.dataDir, `example-${disks}`, sizeBytes).diskId as string;
  };
  const newKey = async () => {
    const answer = await fetch(`${gateway.endpoint}/?activationRegion=us-east-1`, { redirect: "manual" });
    return new URL(answer.headers.get("location") ?? "").searchParams.get("activationKey") ?? "";
  };
  /** A gateway that can be taken apart. */
  const newGateway = async (GatewayName: string) => {
    const place = { GatewayTimezone: "GMT", GatewayRegion: "us-east-1", GatewayType: "CACHED" };
    const answer = await call("ActivateGateway", { ActivationKey: await newKey(), GatewayName, ...place });
    return answer.GatewayARN as string;
  };

  /** The example's input with what there is here in place of what it names. */
  async function prepared({ operation, input }: Example): Promise<Record<string, unknown>> {
    const isStored = STORED.includes(operation);
    const scratch = ["DeleteGateway", "ResetCache", "ShutdownGateway", "StartGateway"].includes(operation);
    const here: Record<string, () => unknown> = {
      ActivationKey: newKey,
      GatewayARN: () => (scratch ? newGateway(`for ${operation}`) : isStored ? stored : cached),
      ResourceARN: () => cached,
      VolumeARN: () =>
        operation === "DeleteVolume" ? makeCached(gateway, "to-delete", GIB, { GatewayARN: cached }) : volume,
      VolumeARNs: () => [isStored ? stone : volume],
      TargetARN: () => `${cached}/target/iqn.1997-05.com.amazon:example`,
      SnapshotId: () => snapshot,
      DiskId: () => newDisk(GIB),
      DiskIds: () => [newDisk(64 * MIB), newDisk(64 * MIB)],
      Marker: async () => {
        const { Marker: _, ...first } = await prepared({ operation, input: without(input, "Marker") });
        return (await call(operation, { ...first, Limit: 1 })).Marker;
      },
    };
    const members = Object.entries(input).map(async ([name, value]) => [
      name,
      await (here[name]?.() ?? value),
    ]);
    return Object.fromEntries(await Promise.all(members));
  }

  for (const example of examples.sort(inOrder)) {
    test(example.operation, async () => {
      const answer = await call(example.operation, await prepared(example));
      coverage.count("storagegateway", example.operation, "examples");
      // Two examples make volumes of the same target name.
      if (/^Create.*Volume$/.test(example.operation))
        await call("DeleteVolume", { VolumeARN: answer.VolumeARN });
    });
  }

  test("results", () => {
    assert(examples.length > 40);
    coverage.finish();
  });
});

function without(input: Readonly<Record<string, unknown>>, name: string): Record<string, unknown> {
  return Object.fromEntries(Object.entries(input).filter(([member]) => member !== name));
}
