/** The commands of README.md and of the documentation, as they stand there, beside one gateway. */
import { strict as assert } from "node:assert";
import { spawnSync } from "node:child_process";
import { chmodSync, mkdirSync, mkdtempSync, rmSync, symlinkSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { delimiter, join } from "node:path";
import { after, before, describe, test } from "node:test";
import { fileURLToPath } from "node:url";
import { GatewayProcess } from "../clients/gateway.ts";
import { type Block, blocksOf, isRun, RUN_PAGES } from "../docs/blocks.ts";

const root = fileURLToPath(new URL("../../", import.meta.url));
const program = join(root, "bin", "sluicegate.js");
const LIMIT_MS = 240_000;

describe("the commands of the documentation", () => {
  const folder = mkdtempSync(join(tmpdir(), "sg-docs-"));
  const clone = join(folder, "sluicegate");
  const gateway = new GatewayProcess(join(clone, "data"), [
    ...["--cache-size", "512MiB", "--upload-buffer-size", "512MiB"],
  ]);

  before(async () => {
    // A clone as a newcomer has it, but for what is in it already.
    mkdirSync(join(folder, "bin"), { recursive: true });
    mkdirSync(clone);
    for (const name of ["tools", "packaging"]) symlinkSync(join(root, name), join(clone, name));
    const command = `${process.execPath} ${program}`;
    const scripts = { sluicegate: command, start: `${command} start` };
    writeFileSync(join(clone, "package.json"), JSON.stringify({ name: "sluicegate", scripts }));
    const installed = join(folder, "bin", "sluicegate");
    writeFileSync(installed, `#!/bin/sh\nexec ${command} "$@"\n`);
    chmodSync(installed, 0o755);
    await gateway.start();
  });
  after(async () => {
    await gateway.kill();
    rmSync(folder, { recursive: true, force: true });
  });

  /** What the user's shell has of AWS's: keys of somewhere else, as many have them. */
  const environment = {
    ...Object.fromEntries(Object.entries(process.env).filter(([name]) => !/^(AWS|SLUICEGATE)_/.test(name))),
    ...{ AWS_ACCESS_KEY_ID: "AKIAIOSFODNN7EXAMPLE", AWS_SECRET_ACCESS_KEY: "of-another-place" },
    ...{ AWS_PROFILE: "work", AWS_EC2_METADATA_DISABLED: "true", AWS_PAGER: "" },
    // Debian's Python, and what was installed for it, before any other.
    PATH: [join(folder, "bin"), "/usr/bin", process.env.PATH].join(delimiter),
    SLUICEGATE_PASSPHRASE: "correct horse battery staple",
  };

  function carryOut(blocks: readonly Block[]): string {
    const steps = blocks.map(({ page, line, language, text }) => [
      ...[`${page}:${line}`, language],
      text
        .replaceAll("http://127.0.0.1:9060", gateway.endpoint)
        .replaceAll("127.0.0.1:3260", gateway.portal)
        .replaceAll("s3://bucket/prefix", `file://${join(clone, "data", "vault")}`)
        .replaceAll("--key vault.key", "--key data/vault.key")
        .replaceAll("--key-file vault.key", "--key-file data/vault.key"),
    ]);
    const done = spawnSync("python3", [join(root, "test/docs/steps.py")], {
      ...{ input: JSON.stringify(steps), encoding: "utf8", cwd: clone, timeout: LIMIT_MS, env: environment },
    });
    assert.equal(done.status, 0, done.stdout + done.stderr);
    return done.stdout;
  }

  for (const page of RUN_PAGES) {
    const blocks = blocksOf(page).filter(isRun);
    test(`of ${page}`, { skip: blocks.length === 0 && "it has none that can be run here" }, () => {
      const said = carryOut(blocks);
      assert.doesNotMatch(said, /verification failed/i);
      if (page !== "README.md") return;
      assert.match(said, /'State': 'completed'/);
      assert.match(said, /read 67108864\/67108864 bytes/);
    });
  }
});
