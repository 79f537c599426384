/** What CreateSnapshot and the wire answer to bad input, as boto3 and plain HTTP see it; and that nothing is made. */
import { strict as assert } from "node:assert";
import { mkdtempSync, renameSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, describe, test } from "node:test";
import { Boto, BotoError } from "../clients/boto.ts";
import { GatewayProcess, sluicegate } from "../clients/gateway.ts";
import { callJson } from "../clients/signed-request.ts";

const DESCRIPTION = "a description";

describe("CreateSnapshot refuses bad input", () => {
  const folder = mkdtempSync(join(tmpdir(), "sg-errors-"));
  const gateway = new GatewayProcess(join(folder, "data"), [
    "--cache-size",
    "1GiB",
    "--upload-buffer-size",
    "1GiB",
  ]);
  let boto: Boto;
  let arn = "";

  before(async () => {
    await gateway.start();
    boto = new Boto({ ...gateway.botoSettings(), validate: false });
    const { Gateways } = await boto.gateway("list_gateways");
    const cached = Gateways.find((g: { GatewayType: string }) => g.GatewayType === "CACHED");
    const made = await boto.gateway("create_cached_iscsi_volume", {
      GatewayARN: cached.GatewayARN,
      VolumeSizeInBytes: 1024 ** 3,
      TargetName: "v",
      NetworkInterfaceId: "127.0.0.1",
      ClientToken: "token",
    });
    arn = made.VolumeARN;
  });
  after(async () => {
    boto?.close();
    await gateway.kill();
    rmSync(folder, { recursive: true, force: true });
  });

  const tag = (Key: unknown, Value: unknown = "v") => ({ Tags: [{ Key, Value }] });
  const unknownVolume = () => `${arn.slice(0, -17)}${"0".repeat(17)}`;
  const invalid = {
    className: "InvalidGatewayRequestException",
    code: "InvalidGatewayRequestException",
    status: 400,
  };
  const validation = { code: "ValidationException", status: 400 };
  const serialization = { code: "SerializationException", status: 400 };
  const cases: [string, () => object, object, RegExp][] = [
    [
      "an unknown volume",
      () => ({ VolumeARN: unknownVolume() }),
      { ...invalid, errorCode: "VolumeNotFound" },
      /^The specified volume was not found\./,
    ],
    [
      "a malformed ARN",
      () => ({ VolumeARN: `arn:aws:storagegateway:${"x".repeat(60)}` }),
      validation,
      /volumeARN.*regular expression/,
    ],
    [
      "an ARN that is too short",
      () => ({ VolumeARN: "arn:aws:x" }),
      validation,
      /volumeARN.*length greater than or equal to 50/,
    ],
    ["no ARN", () => ({ VolumeARN: undefined }), validation, /volumeARN.*must not be null/],
    [
      "no description",
      () => ({ SnapshotDescription: undefined }),
      validation,
      /snapshotDescription.*must not be null/,
    ],
    [
      "an empty description",
      () => ({ SnapshotDescription: "" }),
      validation,
      /snapshotDescription.*length greater than or equal to 1/,
    ],
    [
      "a description of 256 characters",
      () => ({ SnapshotDescription: "d".repeat(256) }),
      validation,
      /snapshotDescription.*length less than or equal to 255/,
    ],
    [
      "51 tags",
      () => ({ Tags: Array.from({ length: 51 }, (_, i) => ({ Key: `k${i}`, Value: "" })) }),
      { ...invalid, errorCode: "InvalidParameters" },
      /^The specified request contains invalid parameters\./,
    ],
    [
      "a key of 129 characters",
      () => tag("k".repeat(129)),
      validation,
      /tags\.1\.member\.key.*length less than or equal to 128/,
    ],
    ["an empty key", () => tag(""), validation, /key.*length greater than or equal to 1/],
    [
      "a value of 257 characters",
      () => tag("k", "v".repeat(257)),
      validation,
      /tags\.1\.member\.value.*length less than or equal to 256/,
    ],
    [
      "a key that begins with aws:",
      () => tag("aws:mine"),
      { ...invalid, errorCode: "InvalidParameters" },
      /^The specified request contains invalid parameters\./,
    ],
    ["a key with characters outside the set", () => tag("semi;colon"), validation, /key.*regular expression/],
    ["a value with characters outside the set", () => tag("k", "a\u0000b"), { status: 400 }, /./],
    [
      "one key twice",
      () => ({
        Tags: [
          { Key: "a", Value: "1" },
          { Key: "a", Value: "2" },
        ],
      }),
      { ...invalid, errorCode: "InvalidParameters" },
      /^The specified request contains invalid parameters\./,
    ],
    ["a description that is a number", () => ({ SnapshotDescription: 7 }), serialization, /./],
    ["tags that are no list", () => ({ Tags: "a" }), serialization, /./],
  ];

  for (const [what, change, expected, message] of cases) {
    test(what, async () => {
      const args = { VolumeARN: arn, SnapshotDescription: DESCRIPTION, ...change() };
      const present = Object.fromEntries(Object.entries(args).filter(([, value]) => value !== undefined));
      const outcome = await signed("CreateSnapshot", JSON.stringify(present));
      assert.equal(outcome.status, 400);
      // boto3 cannot be made to send every wrong type; the wire can. Where it can, it has to raise the same.
      if (expected === serialization) {
        assert.equal(outcome.body.__type, "SerializationException");
        return;
      }
      const error = await boto.gateway("create_snapshot", present).then(
        () => assert.fail("it was accepted"),
        (raised: unknown) => raised,
      );
      assert(error instanceof BotoError);
      for (const [field, value] of Object.entries(expected))
        assert.equal(error[field as keyof BotoError], value);
      assert.match(error.message, message);
      assert.equal(outcome.body.__type, error.code);
      assert.equal(outcome.body.errorDetails, undefined);
    });
  }

  test("a volume that is not ready: its disk has gone; and it comes back with the disk", async () => {
    assert.equal(sluicegate("disk", "create", "gone", "1GiB", "--data", gateway.dataDir).status, 0);
    const { Gateways } = await boto.gateway("list_gateways");
    const stored = Gateways.find((g: { GatewayType: string }) => g.GatewayType === "STORED");
    const { VolumeARN } = await boto.gateway("create_stored_iscsi_volume", {
      GatewayARN: stored.GatewayARN,
      DiskId: "gone",
      PreserveExistingData: false,
      TargetName: "gone",
      NetworkInterfaceId: "127.0.0.1",
    });
    const args = { VolumeARN, SnapshotDescription: DESCRIPTION };
    const disk = join(gateway.dataDir, "disks", "gone");
    await gateway.kill();
    renameSync(disk, `${disk}.away`);
    await gateway.start();
    await assert.rejects(boto.gateway("create_snapshot", args), {
      ...invalid,
      errorCode: "VolumeNotReady",
      message: /^The specified volume is not ready\./,
    });
    await gateway.kill();
    renameSync(`${disk}.away`, disk);
    await gateway.start();
    const { SnapshotId } = await boto.gateway("create_snapshot", args);
    await boto.ec2("wait:snapshot_completed", { SnapshotIds: [SnapshotId], WaiterConfig: { Delay: 1 } });
    await boto.ec2("delete_snapshot", { SnapshotId });
  });

  test("the limits themselves are allowed", async () => {
    const { SnapshotId } = await boto.gateway("create_snapshot", {
      VolumeARN: arn,
      SnapshotDescription: "ü".repeat(255),
      Tags: Array.from({ length: 50 }, (_, i) => ({ Key: `${i}`.padEnd(128, "ß"), Value: "/".repeat(256) })),
    });
    const { Snapshots } = await boto.ec2("describe_snapshots", { SnapshotIds: [SnapshotId] });
    assert.equal(Snapshots[0].Tags.length, 50);
    await boto.ec2("delete_snapshot", { SnapshotId });
  });

  test("no snapshot was made by any of them", async () => {
    const { Snapshots } = await boto.ec2("describe_snapshots");
    assert.deepEqual(Snapshots, []);
  });

  test("operations that are not built yet, of other gateways, and unknown ones", async () => {
    const { Gateways } = await boto.gateway("list_gateways");
    const { GatewayARN } = Gateways[0];
    await assert.rejects(boto.gateway("create_tapes", { GatewayARN }), {
      ...invalid,
      errorCode: "NotSupported",
    });
    await assert.rejects(boto.gateway("describe_smb_settings", { GatewayARN }), {
      ...invalid,
      message: /This operation is not valid for the specified gateway/,
    });
    const unknown = await signed("MakeCoffee", "{}");
    assert.deepEqual([unknown.status, unknown.body.__type], [400, "UnknownOperationException"]);
  });

  test("bodies that are not JSON", async () => {
    for (const body of ["{", "[]", "null", '"text"', "\u00ff", '{"VolumeARN":}']) {
      const { status, body: answer } = await signed("CreateSnapshot", body);
      assert.deepEqual([status, answer.__type], [400, "SerializationException"], body);
    }
  });

  test("signatures: wrong, missing, expired, of a key that nobody has", async () => {
    const wrong = new Boto({ ...gateway.botoSettings(), secretAccessKey: "x".repeat(40) });
    await assert.rejects(wrong.gateway("list_gateways"), { code: "InvalidSignatureException", status: 400 });
    wrong.close();
    const nobody = new Boto({ ...gateway.botoSettings(), accessKeyId: "AKIDNOBODYNOBODYNOBO" });
    await assert.rejects(nobody.gateway("list_gateways"), {
      code: "UnrecognizedClientException",
      status: 400,
    });
    nobody.close();
    const missing = await post({ "x-amz-target": "StorageGateway_20130630.ListGateways" }, "{}");
    assert.deepEqual([missing.status, missing.body.__type], [403, "MissingAuthenticationToken"]);
    for (const minutes of [-16, 16]) {
      const expired = await signed("ListGateways", "{}", new Date(Date.now() + minutes * 60_000));
      assert.deepEqual([expired.status, expired.body.__type], [400, "RequestExpired"], `${minutes} minutes`);
    }
    const changed = await signed("ListGateways", "{}", new Date(), '{"Limit":1}');
    assert.deepEqual([changed.status, changed.body.__type], [400, "InvalidSignatureException"]);
    const garbled = await post(
      { "x-amz-target": "StorageGateway_20130630.ListGateways", authorization: "AWS4-HMAC-SHA256 what" },
      "{}",
    );
    assert.deepEqual([garbled.status, garbled.body.__type], [400, "IncompleteSignatureException"]);
  });

  function signed(operation: string, body: string, signingDate = new Date(), sentBody = body) {
    const target = `StorageGateway_20130630.${operation}`;
    return callJson(gateway.botoSettings(), target, body, { signingDate, sentBody });
  }

  async function post(headers: Record<string, string>, body: string) {
    const { host: _, ...others } = headers;
    const response = await fetch(gateway.endpoint, { method: "POST", headers: others, body });
    return { status: response.status, body: (await response.json()) as Record<string, unknown> };
  }
});
