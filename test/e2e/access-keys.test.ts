/** Access keys, roles and sessions, as the command line and AWS's clients use them. */
import { strict as assert } from "node:assert";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, describe, test } from "node:test";
import { isForReaders, isMutating } from "../../src/api/access.ts";
import { ec2Operations } from "../../src/api/ec2/index.ts";
import { sluicegateOperations } from "../../src/api/sluicegate/index.ts";
import { storageGatewayOperations } from "../../src/api/storage-gateway/index.ts";
import { Boto, type BotoSettings } from "../clients/boto.ts";
import { GatewayProcess, sluicegate } from "../clients/gateway.ts";
import { callJson, callQuery, send } from "../clients/signed-request.ts";
import { gatewayArn } from "./volume-kit.ts";

describe("access keys", () => {
  const folder = mkdtempSync(join(tmpdir(), "sg-access-"));
  const sizes = ["--cache-size", "1GiB", "--upload-buffer-size", "1GiB"];
  const gateway = new GatewayProcess(join(folder, "data"), sizes);
  before(() => gateway.start());
  after(async () => {
    await gateway.kill();
    rmSync(folder, { recursive: true, force: true });
  });

  const key = (...args: string[]) => {
    const { status, stdout, stderr } = sluicegate("key", ...args, "--data", gateway.dataDir);
    assert.equal(status, 0, stderr);
    return stdout;
  };
  const settingsOf = (profile: string): BotoSettings => ({
    endpoint: gateway.endpoint,
    accessKeyId: /aws_access_key_id = (\S+)/.exec(profile)?.[1] ?? "",
    secretAccessKey: /aws_secret_access_key = (\S+)/.exec(profile)?.[1] ?? "",
  });
  const own = (settings: BotoSettings, operation: string, body: object) =>
    callJson(settings, `Sluicegate_20261101.${operation}`, body);
  const sessionOf = async (settings: BotoSettings, body: object = {}): Promise<BotoSettings> => {
    const { status, body: answer } = await own(settings, "CreateSession", body);
    assert.equal(status, 200, JSON.stringify(answer));
    return {
      endpoint: settings.endpoint,
      accessKeyId: answer.AccessKeyId,
      secretAccessKey: answer.SecretAccessKey,
      sessionToken: answer.SessionToken,
    };
  };
  const codeOf = (settings: BotoSettings) => {
    const boto = new Boto(settings);
    return boto
      .gateway("list_gateways")
      .then(
        () => "good",
        (error: { code: string }) => error.code,
      )
      .finally(() => boto.close());
  };

  test("the command line makes, lists, rotates and deletes them; boto3 signs with them", async () => {
    const made = settingsOf(key("create", "second"));
    assert.equal(await codeOf(made), "good");
    assert.match(key("list"), /^second\tAKIA\w+\tadmin\tused /m);
    const rotated = settingsOf(key("rotate", "second", "--keep-old", "1"));
    assert.equal(await codeOf(rotated), "good");
    assert.equal(await codeOf(made), "good");
    const again = settingsOf(key("rotate", "second", "--keep-old", "0"));
    assert.deepEqual([await codeOf(rotated), await codeOf(again)], ["UnrecognizedClientException", "good"]);
    key("delete", "second");
    assert.equal(await codeOf(again), "UnrecognizedClientException");
    assert.equal(await codeOf(gateway.botoSettings()), "good");
    const last = sluicegate("key", "delete", "default", "--data", gateway.dataDir);
    assert.match(last.stderr, /last one of an administrator/);
  });

  test("a session signs with its token, for boto3 as for EC2, and survives a restart", async () => {
    const session = await sessionOf(gateway.botoSettings(), { DurationSeconds: 900 });
    assert.equal(await codeOf(session), "good");
    const boto = new Boto(session);
    assert.deepEqual((await boto.ec2("describe_snapshots")).Snapshots, []);
    boto.close();
    await gateway.crash();
    assert.equal(await codeOf(session), "good");
    assert.equal(
      await codeOf({ ...session, sessionToken: `${session.sessionToken}x` }),
      "UnrecognizedClientException",
    );
    const second = await own(session, "CreateSession", {});
    assert.deepEqual([second.status, second.body.error.errorCode], [400, "InvalidParameters"]);
    const long = await own(gateway.botoSettings(), "CreateSession", { DurationSeconds: 43_201 });
    assert.equal(long.body.__type, "ValidationException");
  });

  test("who may only read is refused every change, in every protocol, before anything is looked at", async () => {
    const reader = settingsOf(key("create", "reader", "--role", "read-only"));
    const session = await sessionOf(reader);
    const mutating = (table: readonly { name: string }[]) =>
      table.map(({ name }) => name).filter((name) => isMutating(name) || !isForReaders(name));
    for (const settings of [reader, session]) {
      for (const name of ["AddTagsToResource", ...mutating(storageGatewayOperations), "CreateTapes"]) {
        const { status, body } = await callJson(settings, `StorageGateway_20130630.${name}`, {});
        assert.deepEqual([status, body.__type], [400, "AccessDeniedException"], name);
      }
      for (const name of mutating(sluicegateOperations)) {
        const { body } = await own(settings, name, {});
        assert.deepEqual(body.__type, "AccessDeniedException", name);
      }
      for (const name of mutating(ec2Operations)) {
        const { status, text } = await callQuery(settings, name);
        assert.equal(status, 403, name);
        assert.match(text, /<Code>UnauthorizedOperation<\/Code>/);
      }
    }
    const boto = new Boto(session);
    const { Gateways } = await boto.gateway("list_gateways");
    assert.equal(Gateways.length, 2);
    await boto.gateway("list_local_disks", { GatewayARN: Gateways[0].GatewayARN });
    await assert.rejects(
      boto.gateway("add_tags_to_resource", {
        ResourceARN: await gatewayArn(gateway, "CACHED"),
        Tags: [{ Key: "k", Value: "v" }],
      }),
      {
        code: "AccessDeniedException",
        message: /user\/reader is not authorized to perform: storagegateway:AddTagsToResource/,
      },
    );
    boto.close();
  });

  test("a session that an administrator has made for reading only reads", async () => {
    const session = await sessionOf(gateway.botoSettings(), { Role: "read-only" });
    assert.equal(await codeOf(session), "good");
    const { body } = await own(session, "CreateAccessKey", { Name: "x", Role: "admin" });
    assert.equal(body.__type, "AccessDeniedException");
  });

  test("a request by GET with a session's token", async () => {
    const { status } = await send(await sessionOf(gateway.botoSettings()), {
      service: "ec2",
      method: "GET",
      path: "/?Action=DescribeSnapshots&Version=2016-11-15",
    });
    assert.equal(status, 200);
  });
});
