/** Signature Version 4 against the real server: what clients send, and what nobody should get in with. */
import { strict as assert } from "node:assert";
import { mkdtempSync, rmSync } from "node:fs";
import { connect } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, describe, test } from "node:test";
import { SignatureV4 } from "@smithy/signature-v4";
import { systemClock } from "../../src/platform/clock.ts";
import { Boto, type BotoSettings } from "../clients/boto.ts";
import { GatewayProcess } from "../clients/gateway.ts";
import { callJson, callQuery, Sha256, send } from "../clients/signed-request.ts";
import { CheapSigner } from "../load/signer.ts";

const LIST = "StorageGateway_20130630.ListGateways";
const JSON_HEADERS = { "content-type": "application/x-amz-json-1.1", "x-amz-target": LIST };
const MINUTE_MS = 60_000;

describe("signatures", () => {
  const folder = mkdtempSync(join(tmpdir(), "sg-signatures-"));
  const gateway = new GatewayProcess(join(folder, "data"), [
    ...["--cache-size", "64MiB", "--upload-buffer-size", "64MiB"],
  ]);
  let settings: BotoSettings;
  before(async () => {
    await gateway.start();
    settings = gateway.botoSettings();
  });
  after(async () => {
    await gateway.kill();
    rmSync(folder, { recursive: true, force: true });
  });

  async function session(): Promise<BotoSettings> {
    const { body } = await callJson(settings, "Sluicegate_20261101.CreateSession", {});
    const { AccessKeyId, SecretAccessKey, SessionToken } = body.Credentials ?? body;
    return {
      ...settings,
      accessKeyId: AccessKeyId,
      secretAccessKey: SecretAccessKey,
      sessionToken: SessionToken,
    };
  }

  /** A signed URL of an EC2 action. */
  async function presigned(
    who: BotoSettings,
    { expiresIn = 60, signingDate = new Date(systemClock.nowMs()) } = {},
  ): Promise<URL> {
    const { accessKeyId, secretAccessKey, sessionToken } = who;
    const url = new URL(who.endpoint);
    const signer = new SignatureV4({
      service: "ec2",
      region: "us-east-1",
      credentials: { accessKeyId, secretAccessKey, ...(sessionToken !== undefined && { sessionToken }) },
      sha256: Sha256 as never,
    });
    const request = {
      ...{ method: "GET", protocol: "http:", hostname: url.hostname, port: Number(url.port), path: "/" },
      query: { Action: "DescribeRegions", Version: "2016-11-15" },
      headers: { host: url.host },
    };
    const signed = await signer.presign(request as never, { expiresIn, signingDate });
    const { query } = signed as unknown as { query: Record<string, string> };
    for (const [name, value] of Object.entries(query)) url.searchParams.set(name, value);
    url.search = url.search.replaceAll("+", "%20");
    return url;
  }

  async function codeOf(answer: Response): Promise<[status: number, code: string | undefined]> {
    const text = await answer.text();
    return [answer.status, /<Code>(\w+)</.exec(text)?.[1] ?? /"__type":"(\w+)"/.exec(text)?.[1]];
  }

  test("in the query: as another implementation and boto3 make it, with a session's token, until it expires", async () => {
    for (const who of [settings, await session()]) {
      assert.equal((await fetch(await presigned(who))).status, 200);
      const boto = new Boto(who);
      // boto3's own choice for EC2 is POST.
      for (const method of ["GET", "POST"]) {
        const more = method === "POST" ? {} : { $method: method };
        const url = (await boto.ec2("presign:describe_regions", more)) as string;
        const answer = await fetch(url, { method });
        assert.equal(answer.status, 200, `${method}: ${await answer.text()}`);
      }
      boto.close();
    }
    const old = new Date(systemClock.nowMs() - MINUTE_MS);
    assert.deepEqual(
      await codeOf(await fetch(await presigned(settings, { expiresIn: 30, signingDate: old }))),
      [400, "RequestExpired"],
    );
    const tampered = await presigned(settings);
    tampered.searchParams.set("Action", "DescribeSnapshots");
    assert.deepEqual(await codeOf(await fetch(tampered)), [403, "SignatureDoesNotMatch"]);
    const stolen = await presigned(await session());
    stolen.searchParams.delete("X-Amz-Security-Token");
    assert.notEqual((await fetch(stolen)).status, 200);
  });

  test("clocks may differ by fifteen minutes, either way", async () => {
    const at = (minutes: number) =>
      callJson(settings, LIST, {}, { signingDate: new Date(systemClock.nowMs() + minutes * MINUTE_MS) });
    for (const minutes of [-14, 14]) assert.equal((await at(minutes)).status, 200);
    for (const minutes of [-16, 16]) {
      const { status, body } = await at(minutes);
      assert.deepEqual([status, body.__type], [400, "RequestExpired"]);
      assert.match(body.message, /Request has expired/);
    }
  });

  test("another region, a service that is none, and a signature made for another service are refused", async () => {
    const region = await callJson({ ...settings, region: "eu-west-1" }, LIST, {});
    assert.deepEqual([region.status, region.body.__type], [400, "InvalidSignatureException"]);
    assert.match(region.body.message, /us-east-1/);
    for (const service of ["s3", "ec2", "ebs", "dlm"]) {
      const { status, body } = await callJson(settings, LIST, {}, { service });
      assert.deepEqual([status, body.__type], [400, "InvalidSignatureException"], service);
      assert.match(body.message, /service/);
    }
    const headers = { "content-type": "application/x-www-form-urlencoded" };
    const query = await send(settings, { headers, body: "Action=DescribeRegions&Version=2016-11-15" });
    assert.deepEqual([query.status, /<Code>(\w+)</.exec(query.text)?.[1]], [403, "SignatureDoesNotMatch"]);
    const rest = await send(settings, { service: "ec2", method: "GET", path: "/policies" });
    assert.equal(rest.status, 403);
    assert.equal((await callQuery(settings, "DescribeRegions")).status, 200);
  });

  test("the body: signed, except where EBS's clients don't; in chunks never", async () => {
    const withHash = (hash: string, service: string, path = "/") =>
      send(settings, {
        ...{ service, path, body: "{}" },
        headers: { ...(service === "ebs" ? {} : JSON_HEADERS), "x-amz-content-sha256": hash },
      });
    const unsigned = await withHash("UNSIGNED-PAYLOAD", "storagegateway");
    assert.deepEqual([unsigned.status, JSON.parse(unsigned.text).__type], [400, "InvalidSignatureException"]);
    assert.match(unsigned.text, /has to be signed/);
    // The signature is good: what is refused is the request.
    const ebs = await withHash("UNSIGNED-PAYLOAD", "ebs", "/snapshots");
    assert.equal(ebs.headers.get("x-amzn-errortype"), "ValidationException", ebs.text);
    const streamed = await withHash("STREAMING-AWS4-HMAC-SHA256-PAYLOAD", "storagegateway");
    assert.equal(streamed.status, 400);
    assert.match(streamed.text, /signed in chunks/);
    const other = await callJson(settings, LIST, {}, { sentBody: "{ }" });
    assert.deepEqual([other.status, other.body.__type], [400, "InvalidSignatureException"]);
  });

  test("a header that is there twice is refused, whichever of them was signed", async () => {
    const good = new CheapSigner(settings).sign(
      { service: "storagegateway", method: "POST", path: "/", headers: JSON_HEADERS, body: "{}" },
      systemClock.nowMs(),
    );
    assert.match(await raw(settings, good), /^HTTP\/1.1 200 /);
    const twice = {
      "x-amz-target": "StorageGateway_20130630.ListVolumes",
      authorization: String(good.authorization).replace(/.$/, "0"),
      "x-amz-date": "20200101T000000Z",
      host: "elsewhere",
    };
    for (const [name, value] of Object.entries(twice)) {
      for (const order of ["before", "behind"] as const) {
        const answer = await raw(settings, good, { name, value, order });
        assert.match(answer, /^HTTP\/1.1 40[03] /, `${name} ${order}: ${answer.slice(0, 200)}`);
        assert(!answer.includes("Gateways"), name);
      }
    }
  });
});

/** Sends exactly these headers, with another one before or behind them; answers all that comes back. */
function raw(
  { endpoint }: BotoSettings,
  headers: Readonly<Record<string, string>>,
  extra?: { readonly name: string; readonly value: string; readonly order: "before" | "behind" },
): Promise<string> {
  const { hostname, port } = new URL(endpoint);
  const lines = Object.entries(headers).map(([name, value]) => `${name}: ${value}`);
  const line = extra === undefined ? [] : [`${extra.name}: ${extra.value}`];
  const all = extra?.order === "before" ? [...line, ...lines] : [...lines, ...line];
  return new Promise((resolve, reject) => {
    const socket = connect(Number(port), hostname, () =>
      socket.write(
        `POST / HTTP/1.1\r\n${all.join("\r\n")}\r\ncontent-length: 2\r\nconnection: close\r\n\r\n{}`,
      ),
    );
    let text = "";
    socket.setEncoding("utf8").on("data", (part: string) => {
      text += part;
    });
    socket.on("end", () => resolve(text));
    socket.on("error", reject);
  });
}
