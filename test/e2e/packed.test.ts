/** What is published to npm, installed in a clean folder by npm, is all that is needed to run. */
import { strict as assert } from "node:assert";
import { mkdtempSync, readdirSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, describe, test } from "node:test";
import { fileURLToPath } from "node:url";
import { GatewayProcess } from "../clients/gateway.ts";
import { qemuIo, run, runOk, volumeUrl } from "../clients/iscsi.ts";
import { makeCached } from "./volume-kit.ts";

const root = fileURLToPath(new URL("../../", import.meta.url));

describe("the packed program", () => {
  const folder = mkdtempSync(join(tmpdir(), "sg-packed-"));
  const command = join(folder, "clean", "node_modules", ".bin", "sluicegate");
  const sizes = ["--cache-size", "64MiB", "--upload-buffer-size", "64MiB"];
  const gateway = new GatewayProcess(join(folder, "data"), sizes, { program: command });
  after(async () => {
    await gateway.kill();
    rmSync(folder, { recursive: true, force: true });
  });

  test("is installed by npm from its tarball, starts, and serves a volume", async () => {
    await runOk("npm", ["pack", "--ignore-scripts", "--pack-destination", folder, "--silent", root]);
    const tarball = readdirSync(folder).find((name) => name.endsWith(".tgz"));
    assert(tarball !== undefined);
    const options = ["--omit=dev", "--prefer-offline", "--no-audit", "--no-fund", "--loglevel=error"];
    await runOk("npm", ["install", "--prefix", join(folder, "clean"), ...options, join(folder, tarball)]);
    const { version } = JSON.parse(readFileSync(join(root, "package.json"), "utf8"));
    assert.equal((await runOk(command, ["version"])).trim(), version);
    await gateway.start();
    await makeCached(gateway, "packed");
    await qemuIo(volumeUrl(gateway.portal, "packed"), "write -P 5 0 1M", "read -P 5 0 1M");
    const status = await run(command, ["status", "--data", gateway.dataDir]);
    assert.match(status.output, /^Volumes: +1,/m);
    assert.equal((await gateway.stop()).code, 0);
  });
});
