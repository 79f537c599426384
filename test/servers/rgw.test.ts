import { strict as assert } from "node:assert";
import { spawnSync } from "node:child_process";
import { existsSync, mkdtempSync, readFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "node:test";
import { GetObjectCommand, PutObjectCommand, S3Client } from "@aws-sdk/client-s3";
import { RGW_PROGRAMS, startRgw, stopRgw } from "./rgw.ts";

const missing = RGW_PROGRAMS.filter((name) => spawnSync("which", [name]).status !== 0);
const skip = missing.length > 0 ? `missing: ${missing.join(" ")}` : false;

test("an RGW starts in an empty folder, keeps objects, and is gone after its stop", { skip }, async () => {
  const folder = mkdtempSync(join(tmpdir(), "sg-rgw-"));
  try {
    const rgw = await startRgw(folder, "a-bucket");
    const { accessKeyId, secretAccessKey } = rgw;
    const client = new S3Client({
      endpoint: rgw.endpoint,
      region: rgw.region,
      forcePathStyle: true,
      credentials: { accessKeyId, secretAccessKey },
      requestChecksumCalculation: "WHEN_REQUIRED",
    });
    const key = { Bucket: rgw.bucket, Key: "one" };
    await client.send(new PutObjectCommand({ ...key, Body: Buffer.from("first"), IfNoneMatch: "*" }));
    await assert.rejects(
      client.send(new PutObjectCommand({ ...key, Body: Buffer.from("second"), IfNoneMatch: "*" })),
      { name: "PreconditionFailed" },
    );
    const read = await client.send(new GetObjectCommand(key));
    assert.equal(await read.Body?.transformToString(), "first");
    client.destroy();
    const state = JSON.parse(readFileSync(join(folder, "rgw.json"), "utf8"));
    await stopRgw(folder);
    for (const { pid, name } of state.daemons) {
      assert.ok(!isRunning(pid, name), `${name} still runs`);
    }
  } finally {
    await stopRgw(folder);
  }
  assert.ok(!existsSync(folder));
});

/** Whether the process lives; one that ended but was not collected yet has no command line any more. */
function isRunning(pid: number, name: string): boolean {
  const file = `/proc/${pid}/cmdline`;
  return existsSync(file) && readFileSync(file, "utf8").startsWith(name);
}
