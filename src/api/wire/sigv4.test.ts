import { strict as assert } from "node:assert";
import { describe, test } from "node:test";
import { SignatureV4 } from "@smithy/signature-v4";
import fc from "fast-check";
import { Sha256 } from "../../../test/clients/signed-request.ts";
import { type SignatureErrorCode, type SignedRequest, SigningKeys, verifySignature } from "./sigv4.ts";

const KEY = "AKIDEXAMPLE";
const SECRET = "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY";
const NOW = new Date("2026-11-23T12:00:00Z");

const signer = (service: string, region = "us-east-1") =>
  new SignatureV4({
    service,
    region,
    credentials: { accessKeyId: KEY, secretAccessKey: SECRET },
    sha256: Sha256 as never,
  });

const keys = new SigningKeys();
const verify = (request: SignedRequest, nowMs = NOW.getTime()) =>
  verifySignature(request, {
    nowMs,
    region: "us-east-1",
    keys,
    find: (id) =>
      id === KEY ? { state: "good", secretAccessKey: SECRET, identity: "me" } : { state: "unknown" },
  });

interface Made {
  readonly method?: string;
  readonly path?: string;
  readonly query?: Record<string, string>;
  readonly headers?: Record<string, string>;
  readonly body?: string;
  readonly service?: string;
  readonly region?: string;
}

async function signed(made: Made = {}): Promise<SignedRequest> {
  const { method = "POST", path = "/", query = {}, headers = {}, body = "{}" } = made;
  const request = await signer(made.service ?? "storagegateway", made.region).sign(
    {
      method,
      protocol: "http:",
      hostname: "localhost",
      port: 9060,
      path,
      query,
      headers: { host: "localhost:9060", ...headers },
      body,
    } as never,
    { signingDate: NOW },
  );
  const search = new URLSearchParams(query).toString().replaceAll("+", "%20");
  return {
    method,
    url: search === "" ? path : `${path}?${search}`,
    headers: (request as unknown as { headers: Record<string, string> }).headers,
    body: Buffer.from(body),
  };
}

function refused(code: SignatureErrorCode, request: SignedRequest, nowMs?: number): void {
  assert.throws(() => verify(request, nowMs), { name: "SignatureError", code });
}

describe("Signature Version 4", () => {
  test("the worked example of AWS's user guide for Storage Gateway", () => {
    // The guide prints us-east-2 in it; the hashes that it gives are those of us-east-1.
    const signature = "6d4c40b8f2257534dbdca9f326f147a0a7a419b63aff349d9d9c737c9a0f4c81";
    const scope = "AKIAIOSFODNN7EXAMPLE/20120910/us-east-1/storagegateway/aws4_request";
    const verified = (given: string) =>
      verifySignature(
        {
          method: "POST",
          url: "/",
          headers: {
            host: "storagegateway.us-east-1.amazonaws.com",
            "content-type": "application/x-amz-json-1.1",
            "x-amz-date": "20120910T000000Z",
            "x-amz-target": "StorageGateway_20120630.ListGateways",
            authorization: `AWS4-HMAC-SHA256 Credential=${scope}, SignedHeaders=content-type;host;x-amz-date;x-amz-target, Signature=${given}`,
          },
          body: Buffer.from("{}"),
        },
        {
          nowMs: Date.parse("2012-09-10T00:00:00Z"),
          region: "us-east-1",
          keys,
          find: () => ({
            state: "good",
            secretAccessKey: "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY",
            identity: "example",
          }),
        },
      ).identity;
    assert.equal(verified(signature), "example");
    assert.throws(() => verified(`7${signature.slice(1)}`), { code: "InvalidSignature" });
  });

  test("accepts what another implementation has signed", async () => {
    await fc.assert(
      fc.asyncProperty(
        fc.string({ maxLength: 200 }),
        fc.dictionary(
          // The other implementation keeps the query in an object, where this name can't be.
          fc.stringMatching(/^[A-Za-z0-9._~-]{1,12}$/).filter((name) => name !== "__proto__"),
          fc.string({ maxLength: 20, unit: "grapheme" }),
          { maxKeys: 4 },
        ),
        fc.constantFrom("storagegateway", "ec2", "ebs"),
        fc.stringMatching(/^[ -~]{0,30}$/),
        async (body, query, service, value) => {
          const request = await signed({
            body,
            query,
            service,
            headers: { "x-amz-target": value, "content-type": "a/b" },
          });
          assert.deepEqual(verify(request), { accessKeyId: KEY, service, identity: "me" });
        },
      ),
      { numRuns: 200 },
    );
  });

  test("refuses a request in which anything was changed", async () => {
    const good = await signed({ headers: { "x-amz-target": "A.B" }, query: { a: "1" } });
    verify(good);
    refused("InvalidSignature", { ...good, body: Buffer.from("{ }") });
    refused("InvalidSignature", { ...good, method: "PUT" });
    refused("InvalidSignature", { ...good, url: "/?a=2" });
    refused("InvalidSignature", { ...good, url: "/other?a=1" });
    refused("InvalidSignature", { ...good, headers: { ...good.headers, "x-amz-target": "A.C" } });
  });

  test("refuses a header that says what is asked for and is not signed", async () => {
    const good = await signed();
    for (const name of ["x-amz-target", "x-amz-security-token"]) {
      refused("InvalidSignature", { ...good, headers: { ...good.headers, [name]: "StorageGateway.A" } });
    }
  });

  test("accepts 15 minutes of difference between the clocks, and no more", async () => {
    const request = await signed();
    for (const minutes of [-14.9, 14.9]) verify(request, NOW.getTime() + minutes * 60_000);
    for (const minutes of [-15.1, 15.1]) refused("RequestExpired", request, NOW.getTime() + minutes * 60_000);
  });

  test("names what is missing", async () => {
    const request = await signed();
    refused("MissingAuthenticationToken", { ...request, headers: { host: "localhost" } });
    const authorization = String(request.headers.authorization);
    for (const broken of [
      "AWS4-HMAC-SHA256",
      "Basic abc",
      authorization.replace("Credential=", "X="),
      authorization.replace(/Signature=\w+/, "Signature="),
      authorization.replace("/aws4_request", ""),
    ]) {
      refused("IncompleteSignature", { ...request, headers: { ...request.headers, authorization: broken } });
    }
    refused("UnrecognizedClient", {
      ...request,
      headers: { ...request.headers, authorization: authorization.replace(KEY, "AKIDNOBODY") },
    });
  });
});
