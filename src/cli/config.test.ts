import { strict as assert } from "node:assert";
import { spawnSync } from "node:child_process";
import { existsSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, describe, test } from "node:test";
import { fileURLToPath } from "node:url";

const main = fileURLToPath(new URL("main.ts", import.meta.url));

describe("sluicegate config check", () => {
  const folder = mkdtempSync(join(tmpdir(), "sg-config-"));
  after(() => rmSync(folder, { recursive: true, force: true }));
  const data = join(folder, "data");
  const file = join(folder, "sluicegate.yaml");

  function check(args: readonly string[], environment: Record<string, string> = {}) {
    const env = { PATH: process.env.PATH, ...environment };
    const done = spawnSync(process.execPath, [main, "--json", "config", "check", "--data", data, ...args], {
      encoding: "utf8",
      env,
    });
    assert(!existsSync(data), "it has made something");
    const { Options, Problems } = JSON.parse(done.stdout) as {
      Options: { Name: string; Value: string; From: string }[];
      Problems: { Severity: string; Message: string }[];
    };
    const of = (name: string) => Options.find(({ Name }) => Name === name);
    return { status: done.status, of, problems: Problems.map(({ Message }) => Message), all: done.stdout };
  }

  test("says where each value is from, and shows no secret", () => {
    writeFileSync(
      file,
      "listen: 127.0.0.1:1111\niscsi: 127.0.0.1:2222\nregion: eu-west-1\n" +
        "webhook-url: https://hooks.example.org/services/T0PS3CRET\n",
    );
    const { status, of, problems, all } = check(["--config", file, "--region", "eu-north-1"], {
      SLUICEGATE_ISCSI: "127.0.0.1:3333",
    });
    assert.deepEqual([status, problems], [0, []]);
    assert.deepEqual([of("listen")?.Value, of("listen")?.From], ["127.0.0.1:1111", file]);
    assert.deepEqual([of("iscsi")?.Value, of("iscsi")?.From], ["127.0.0.1:3333", "SLUICEGATE_ISCSI"]);
    assert.deepEqual([of("region")?.Value, of("region")?.From], ["eu-north-1", "--region"]);
    assert.deepEqual([of("cache-size")?.Value, of("cache-size")?.From], ["20GiB", "default"]);
    assert.equal(of("store")?.Value, `file://${data}/vault`);
    assert.equal(of("webhook-url")?.Value, "https://hooks.example.org/…");
    assert.doesNotMatch(all, /T0PS3CRET/);
  });

  test("tells every mistake at once, with its source, and ends with 2", () => {
    const { status, problems } = check(["--store", "bucket", "--cache-size", "much"], {
      SLUICEGATE_ACCOUNT: "12",
      SLUICEGATE_WEBHOOK_EVENTS: "Rain",
      SLUICEGATE_WEBHOOK_URL: "http://127.0.0.1/",
    });
    assert.equal(status, 2);
    const words = problems.join("\n");
    assert.equal(problems.length, 4, words);
    assert.match(words, /store: "bucket" is no store.*\(--store\)/);
    assert.match(words, /cache-size: "much" is no size.*\(--cache-size\)/);
    assert.match(words, /account: "12".*\(SLUICEGATE_ACCOUNT\)/);
    assert.match(words, /webhook-events: there is no event "Rain".*\(SLUICEGATE_WEBHOOK_EVENTS\)/);
  });

  test("finds what makes no difference, and ends with 3", () => {
    const { status, problems } = check(["--device", "/dev/none-such", "--s3-region", "eu-west-1"], {
      SLUICEGATE_LISTN: "127.0.0.1:1",
    });
    assert.equal(status, 3);
    assert.deepEqual(problems, [
      "SLUICEGATE_LISTN is no option, and makes no difference",
      "s3-region: the store is a folder, so it makes no difference",
      "device: there is no /dev/none-such",
    ]);
  });
});
