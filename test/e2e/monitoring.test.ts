/** Metrics, the activity log and health on the real gateway: what they tell is what was done. */
import { strict as assert } from "node:assert";
import { createHmac } from "node:crypto";
import { mkdtempSync, readdirSync, readFileSync, renameSync, rmSync, statSync, writeFileSync } from "node:fs";
import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, describe, test } from "node:test";
import { BlockClient } from "../clients/block-client.ts";
import { GatewayProcess } from "../clients/gateway.ts";
import { callJson, callQuery } from "../clients/signed-request.ts";
import { fileStore } from "./store.ts";
import { completed, createSnapshot, makeCached, makeStored, until } from "./volume-kit.ts";

const MIB = 1024 ** 2;

describe("what the gateway tells of itself", () => {
  const folder = mkdtempSync(join(tmpdir(), "sg-monitoring-"));
  const told: { readonly body: string; readonly signature: string }[] = [];
  const hook = createServer((request, response) => {
    let body = "";
    request.setEncoding("utf8").on("data", (text: string) => {
      body += text;
    });
    request.on("end", () => {
      told.push({ body, signature: String(request.headers["x-sluicegate-signature"]) });
      response.end();
    });
  });
  const config = join(folder, "config.yaml");
  const gateway = new GatewayProcess(join(folder, "data"), [
    ...fileStore.options(folder),
    "--config",
    config,
  ]);
  const own = async (operation: string, input: object) =>
    (await callJson(gateway.botoSettings(), `Sluicegate_20261101.${operation}`, input)).body;
  let volumeArn = "";
  let snapshotId = "";

  before(async () => {
    await new Promise<void>((resolve) => hook.listen(0, "127.0.0.1", resolve));
    const { port } = hook.address() as AddressInfo;
    const secret = join(folder, "webhook-secret");
    writeFileSync(secret, "the secret\n");
    const lines = ["cache-size: 256MiB", "upload-buffer-size: 256MiB", "webhook-events: [SnapshotCompleted]"];
    lines.push(`webhook-url: http://127.0.0.1:${port}/`, `webhook-secret-file: ${secret}`);
    writeFileSync(config, lines.join("\n"));
    await gateway.start();
  });
  after(async () => {
    await gateway.kill();
    hook.closeAllConnections();
    hook.close();
    rmSync(folder, { recursive: true, force: true });
  });

  async function scrape(headers: Record<string, string> = {}): Promise<{ status: number; text: string }> {
    const response = await fetch(`${gateway.endpoint}/metrics`, { headers });
    return { status: response.status, text: await response.text() };
  }

  /** The value of a series whose name and labels match. */
  function valueIs(text: string, series: RegExp): number {
    const value = valueIn(text, series);
    assert(value !== undefined, `no series ${series}`);
    return value;
  }

  function valueIn(text: string, series: RegExp): number | undefined {
    const line = text.split("\n").find((each) => series.test(each));
    return line === undefined ? undefined : Number(line.split(" ").at(-1));
  }

  test("metrics count exactly what an initiator read and wrote, and what went to the bucket", async () => {
    volumeArn = await makeCached(gateway, "measured");
    const client = await BlockClient.open(gateway.portal, "measured");
    const data = Buffer.alloc(MIB, "sluicegate");
    for (let i = 0; i < 8; i++) await client.write((i * MIB) / 512, data);
    for (let i = 0; i < 4; i++) await client.read((i * MIB) / 512, MIB / 512);
    client.close();
    snapshotId = await createSnapshot(gateway, volumeArn);
    await completed(gateway, snapshotId);
    // A sample may be a second old.
    const text = await until("the counts are there", async () => {
      const { text: now } = await scrape();
      const isThere = valueIn(now, /^sluicegate_volume_write_bytes_total\{/) === 8 * MIB;
      return isThere && valueIn(now, /^sluicegate_completed_snapshots /) === 1 ? now : undefined;
    });
    assert.equal(valueIs(text, /^sluicegate_volume_read_bytes_total\{/), 4 * MIB);
    assert(valueIs(text, /^sluicegate_volume_write_time_seconds_count\{/) >= 8);
    assert.equal(valueIs(text, /^sluicegate_gateway_write_bytes_total\{.*default-cached/), 8 * MIB);
    assert.equal(valueIs(text, /^sluicegate_gateway_write_bytes_total\{.*default-stored/), 0);
    assert(valueIs(text, /^sluicegate_volume_cloud_uploaded_bytes_total\{/) > 0);
    assert(valueIs(text, /^sluicegate_store_request_seconds_count\{operation="put"\}/) > 0);
    assert.equal(valueIs(text, /^sluicegate_store_reachable /), 1);
    assert.equal(valueIs(text, /^sluicegate_volume_unsaved_bytes\{/), 0);
    assert(valueIs(text, /^sluicegate_api_request_seconds_count\{.*operation="CreateSnapshot"/) === 1);
    assert(valueIs(text, /^sluicegate_volume_time_since_last_snapshot_seconds\{/) < 600);
  });

  test("the webhook is told of the snapshot, signed", async () => {
    const { body, signature } = await until("the webhook was told", async () => told[0]);
    const event = JSON.parse(body);
    assert.deepEqual([event.Type, event.Resources], ["SnapshotCompleted", [snapshotId, volumeArn]]);
    const seconds = /^t=(\d+),v1=/.exec(signature)?.[1];
    const hmac = createHmac("sha256", "the secret").update(`${seconds}.${body}`).digest("hex");
    assert.equal(signature, `t=${seconds},v1=${hmac}`);
  });

  test("the text is one that Prometheus takes", async () => {
    const { text } = await scrape();
    const line =
      /^(# (HELP|TYPE) [a-z_]+ .+|[a-z_]+(\{[a-z_]+="([^"\\\n]|\\.)*"(,[a-z_]+="([^"\\\n]|\\.)*")*\})? [-+0-9.e]+)$/;
    for (const each of text.trimEnd().split("\n")) assert.match(each, line);
  });

  test("/metrics is for this machine; through a proxy it takes the token", async () => {
    const handedOn = { "x-forwarded-for": "192.0.2.1" };
    assert.equal((await scrape(handedOn)).status, 401);
    assert.equal((await scrape({ ...handedOn, authorization: "Bearer guessed" })).status, 401);
    const file = join(gateway.dataDir, "metrics-token");
    assert.equal(statSync(file).mode & 0o777, 0o600);
    const token = readFileSync(file, "utf8").trim();
    assert.equal((await scrape({ ...handedOn, authorization: `Bearer ${token}` })).status, 200);
  });

  test("GetMetrics answers the same for charts, to who signs", async () => {
    const answer = await until(
      "the history has it",
      async () => {
        const found = await own("GetMetrics", {
          ...{ Scope: "Volume", ResourceARNs: [volumeArn], MetricNames: ["WriteBytes", "WriteTimeP99"] },
        });
        const written = found.Resources[0].Metrics[0].Values.reduce((a: number, b: number) => a + b, 0);
        return written === 8 * MIB ? found : undefined;
      },
      120_000,
    );
    assert.equal(answer.PeriodInSeconds, 10);
    assert.equal(answer.Timestamps.length, answer.Resources[0].Metrics[1].Values.length);
    assert.equal(answer.Resources[0].ResourceARN, volumeArn);
    assert(answer.Resources[0].Metrics[1].Values.some((ms: number | null) => ms !== null && ms > 0));
    const { Metrics } = await own("ListMetrics", {});
    for (const Scope of ["Service", "Gateway", "Volume"]) {
      const { Resources } = await own("GetMetrics", { Scope, PeriodInSeconds: 60 });
      assert.deepEqual(
        Resources[0].Metrics.map((each: { MetricName: string }) => each.MetricName),
        Metrics.filter((each: { Scope: string }) => each.Scope === Scope).map(
          (each: { MetricName: string }) => each.MetricName,
        ),
      );
    }
    const refused = async (input: object) => (await own("GetMetrics", input)).__type;
    assert.equal(await refused({ Scope: "Moon" }), "ValidationException");
    assert.equal(
      await refused({ Scope: "Volume", MetricNames: ["Nothing"] }),
      "InvalidGatewayRequestException",
    );
    assert.equal(await refused({ Scope: "Volume", PeriodInSeconds: 15 }), "InvalidGatewayRequestException");
    const arn = `${volumeArn.replace(/vol-.*/i, "")}vol-`;
    assert.equal(await refused({ Scope: "Volume", ResourceARNs: [arn] }), "InvalidGatewayRequestException");
  });

  test("the activity log tells who made what, which calls failed, and what came of them", async () => {
    const settings = gateway.botoSettings();
    await callQuery(settings, "DeleteSnapshot", { SnapshotId: "snap-00000000000000000" });
    await callJson({ ...settings, secretAccessKey: "wrong" }, "StorageGateway_20130630.ListVolumes", {});
    const { Activities } = await own("ListActivity", {});
    const find = (name: string, kind = "call") =>
      Activities.find((each: { Name: string; Kind: string }) => each.Name === name && each.Kind === kind);
    const created = find("CreateSnapshot");
    assert.equal(created.Result, "succeeded");
    assert.equal(created.Actor.AccessKeyId, settings.accessKeyId);
    assert.equal(created.Parameters.SnapshotDescription, "a test");
    assert.deepEqual(new Set(created.Resources), new Set([volumeArn, snapshotId]));
    assert.match(created.UserAgent, /Boto3/);
    assert.match(created.RequestId, /^[0-9a-f]{8}-/);
    assert.equal(find("SnapshotCompleted", "event").Resources[0], snapshotId);
    assert.equal(find("DeleteSnapshot").ErrorCode, "InvalidSnapshot.NotFound");
    assert.equal(find("ListVolumes"), undefined);
    const denied = Activities.find((each: { Result: string }) => each.Result === "denied");
    assert.equal(denied.Actor, undefined);
    const files = readdirSync(join(gateway.dataDir, "activity"));
    const text = readFileSync(join(gateway.dataDir, "activity", files[0] ?? ""), "utf8");
    assert(!text.includes(settings.secretAccessKey));
    const pages: number[] = [];
    let Marker: string | undefined;
    do {
      const page = await own("ListActivity", { Limit: 2, ...(Marker !== undefined && { Marker }) });
      pages.push(...page.Activities.map((each: { Sequence: number }) => each.Sequence));
      Marker = page.Marker;
    } while (Marker !== undefined);
    assert.deepEqual(
      pages,
      [...pages].sort((a, b) => b - a),
    );
    assert.equal(pages.at(-1), 1);
  });

  test("health: well, and what is the matter when the bucket is gone", async () => {
    const probe = async (path: string) => {
      const response = await fetch(`${gateway.endpoint}${path}`);
      return `${response.status} ${await response.text()}`;
    };
    assert.equal(await probe("/healthz"), "200 ok\n");
    assert.equal(await probe("/readyz"), "200 ready\n");
    const well = await own("DescribeHealth", {});
    assert.deepEqual([well.Status, well.IsReady, well.Alarms], ["ok", true, []]);
    // The bucket is a folder here, and a folder can be moved.
    const bucket = join(folder, "the-vault");
    renameSync(bucket, `${bucket}-away`);
    const ill = await until(
      "the bucket is missed",
      async () => {
        const report = await own("DescribeHealth", {});
        return report.Status === "warning" ? report : undefined;
      },
      120_000,
    );
    renameSync(`${bucket}-away`, bucket);
    const check = ill.Checks.find((each: { Name: string }) => each.Name === "bucket");
    assert.equal(check.Status, "warning");
    assert.equal(ill.IsReady, true);
  });

  test("a volume that can't be opened is told by metrics, health and an alarm", async () => {
    await makeStored(gateway, "gone");
    await gateway.stop();
    rmSync(join(gateway.dataDir, "disks", "gone"));
    await gateway.start();
    const { text } = await scrape();
    assert.equal(valueIs(text, /^sluicegate_unhealthy_volumes /), 1);
    assert.equal(valueIs(text, /^sluicegate_volumes /), 2);
    const { Status, Alarms, Checks } = await own("DescribeHealth", {});
    assert.equal(Status, "failing");
    assert.deepEqual([Alarms[0].Name, Alarms.length], ["VolumeStopped", 1]);
    assert.match(Alarms[0].Message, /has stopped: .+/);
    assert.match(Checks[0].Message, /^stopped: vol-/);
    const { Activities } = await own("ListActivity", { Name: "VolumeStopped" });
    assert.equal(Activities.length, 1);
  });
});
