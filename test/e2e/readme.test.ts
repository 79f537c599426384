/** The first snapshot of README.md, step by step, as it stands there. */
import { strict as assert } from "node:assert";
import { spawnSync } from "node:child_process";
import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, describe, test } from "node:test";
import { fileURLToPath } from "node:url";
import { GatewayProcess } from "../clients/gateway.ts";

const root = fileURLToPath(new URL("../../", import.meta.url));
const LIMIT_MS = 120_000;

describe("the quick start of README.md", () => {
  const folder = mkdtempSync(join(tmpdir(), "sg-readme-"));
  const gateway = new GatewayProcess(join(folder, "data"));
  before(() => gateway.start());
  after(async () => {
    await gateway.kill();
    rmSync(folder, { recursive: true, force: true });
  });

  test("every step does what it says", () => {
    const text = readFileSync(join(root, "README.md"), "utf8");
    const section = /^## The first snapshot.*?^## /ms.exec(text)?.[0] ?? "";
    const steps = [...section.matchAll(/^```(sh|python)\n(.*?)^```/gms)].map(([, kind = "", block = ""]) => [
      kind,
      block
        .replaceAll("http://127.0.0.1:9060", gateway.endpoint)
        .replaceAll("127.0.0.1:3260", gateway.portal)
        // Python is one session here from the beginning, in this environment.
        .replace(/^(export .*|python3)\n/gm, ""),
    ]);
    assert(steps.length >= 6, "the steps of the quick start were not found");
    // Keys in the environment, which may be those of a test's bucket, would come before the file.
    const env = Object.fromEntries(Object.entries(process.env).filter(([name]) => !name.startsWith("AWS_")));
    const done = spawnSync("python3", [join(root, "test/docs/readme.py")], {
      input: JSON.stringify(steps),
      encoding: "utf8",
      cwd: root,
      timeout: LIMIT_MS,
      env: {
        ...env,
        SLUICEGATE_DATA: gateway.dataDir,
        AWS_SHARED_CREDENTIALS_FILE: join(gateway.dataDir, "credentials"),
        AWS_DEFAULT_REGION: "us-east-1",
      },
    });
    assert.equal(done.status, 0, done.stdout + done.stderr);
    assert.match(done.stdout, /'State': 'completed'/);
    assert.match(done.stdout, /read 67108864\/67108864 bytes/);
    assert.doesNotMatch(done.stdout, /verification failed/i);
  });
});
