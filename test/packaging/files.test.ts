/** The files that are shipped for systemd, Docker and Kubernetes name only options that there are, and are as they say. */
import { strict as assert } from "node:assert";
import { spawnSync } from "node:child_process";
import { existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { describe, test } from "node:test";
import { fileURLToPath } from "node:url";
import { parse } from "yaml";
import { environmentName, START_OPTIONS, type StartOptionName } from "../../src/cli/options.ts";

const root = fileURLToPath(new URL("../../", import.meta.url));
const read = (path: string) => readFileSync(join(root, path), "utf8");
const variables = Object.keys(START_OPTIONS).map((name) => environmentName(name as StartOptionName));

function assertVariables(text: string): void {
  for (const name of text.match(/SLUICEGATE_[A-Z0-9_]+/g) ?? []) assert(variables.includes(name), name);
}

describe("what is shipped to run it", () => {
  test("Compose and the image name options that there are, and publish nothing beyond this machine", () => {
    const { services } = parse(read("packaging/docker/compose.yaml"));
    assertVariables(read("packaging/docker/compose.yaml"));
    assertVariables(read("packaging/docker/Dockerfile"));
    for (const port of services.sluicegate.ports) assert.match(port, /^127\.0\.0\.1:/);
    for (const [, source] of read("packaging/docker/Dockerfile").matchAll(
      /^COPY ([a-z./-]+(?: [a-z./-]+)*) \.\/$/gm,
    ))
      for (const name of (source ?? "").split(" ")) assert(existsSync(join(root, name)), name);
  });

  test("the chart's settings are options that there are", () => {
    const { config } = parse(read("packaging/helm/sluicegate/values.yaml"));
    for (const name of Object.keys(config)) assert(name in START_OPTIONS, name);
    const { version } = JSON.parse(read("package.json"));
    assert.equal(parse(read("packaging/helm/sluicegate/Chart.yaml")).appVersion, version);
  });

  const systemd = spawnSync("systemd-analyze", ["--version"]);
  const skip = systemd.error !== undefined && "systemd-analyze is missing";
  test("the unit is one that systemd takes, and exposes little", { skip }, () => {
    const folder = mkdtempSync(join(tmpdir(), "sg-unit-"));
    try {
      // The program need not be installed for this.
      const unit = read("packaging/systemd/sluicegate.service").replace(
        "/usr/local/bin/sluicegate",
        "/bin/true",
      );
      const path = join(folder, "sluicegate.service");
      writeFileSync(path, unit);
      const verified = spawnSync("systemd-analyze", ["verify", "--man=no", path], { encoding: "utf8" });
      assert.equal(verified.status, 0, verified.stderr);
      assert.doesNotMatch(verified.stderr, /sluicegate\.service:\d+:/);
      const security = spawnSync("systemd-analyze", ["security", "--offline=yes", "--threshold=25", path], {
        encoding: "utf8",
      });
      assert.equal(
        security.status,
        0,
        `${security.stdout.split("\n").slice(-3).join("\n")}${security.stderr}`,
      );
    } finally {
      rmSync(folder, { recursive: true, force: true });
    }
  });
});
