/** The Debian package: made, installed by dpkg into an empty root, run on its own Node, upgraded and removed. */
import { strict as assert } from "node:assert";
import { spawnSync } from "node:child_process";
import {
  appendFileSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  rmSync,
  statSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, describe, test } from "node:test";
import { fileURLToPath } from "node:url";
import { makePackage } from "../../scripts/debian-package.js";
import { GatewayProcess } from "../clients/gateway.ts";
import { qemuIo, volumeUrl } from "../clients/iscsi.ts";
import { makeCached } from "./volume-kit.ts";

const root = fileURLToPath(new URL("../../", import.meta.url));
const LIMIT_MS = 120_000;
const missing =
  (spawnSync("dpkg-deb", ["--version"]).error !== undefined && "dpkg-deb is missing") ||
  (process.getuid?.() !== 0 && "only root installs packages");

describe("the Debian package", { skip: missing }, () => {
  const folder = mkdtempSync(join(tmpdir(), "sg-deb-"));
  const system = join(folder, "system");
  const at = (path: string) => join(system, path);
  const dataDir = at("var/lib/sluicegate");
  const program = at("usr/lib/sluicegate/bin/sluicegate.js");
  const sizes = ["--cache-size", "64MiB", "--upload-buffer-size", "64MiB"];
  const gateway = new GatewayProcess(dataDir, sizes, { program });
  let deb = "";

  const run = (command: string, ...args: string[]) => {
    // As on a machine that has no Node at all.
    const env = { PATH: "/usr/sbin:/usr/bin:/sbin:/bin", LC_ALL: "C" };
    return spawnSync(command, args, { encoding: "utf8", timeout: LIMIT_MS, env, maxBuffer: 64 * 1024 ** 2 });
  };
  const ok = (command: string, ...args: string[]): string => {
    const { status, stdout, stderr } = run(command, ...args);
    assert.equal(status, 0, `${command} ${args.join(" ")}: ${stdout}${stderr}`);
    return stdout + stderr;
  };
  /** dpkg on an empty root: nothing that the package depends on is there, and its scripts run outside of it. */
  const dpkg = (...args: string[]) =>
    ok(
      "dpkg",
      `--root=${system}`,
      "--force-depends",
      "--force-script-chrootless",
      "--force-confold",
      ...args,
    );

  before(() => {
    for (const path of ["var/lib/dpkg/updates", "var/lib/dpkg/info", "var/lib/dpkg/triggers"])
      mkdirSync(at(path), { recursive: true });
    for (const name of ["status", "available"]) writeFileSync(at(`var/lib/dpkg/${name}`), "");
    deb = makePackage(folder);
  });
  after(async () => {
    await gateway.kill();
    rmSync(folder, { recursive: true, force: true });
  });

  test("says what it is, and belongs to root alone", () => {
    const { version } = JSON.parse(readFileSync(join(root, "package.json"), "utf8"));
    assert.equal(ok("dpkg-deb", "--field", deb, "Version").trim(), version);
    const lines = ok("dpkg-deb", "--contents", deb).trim().split("\n");
    for (const line of lines) {
      assert.match(line, /^[-dl]\S+ root\/root /, line);
      assert.doesNotMatch(line, /^[-d]....w|^[-d].......w/, `others may write it: ${line}`);
    }
    // What only developers need is not in it.
    for (const name of ["typescript", "playwright-core", "@cloudscape-design", "vitepress"])
      assert(!lines.some((line) => line.includes(`/node_modules/${name}/`)), name);
    for (const script of ["postinst", "prerm", "postrm"])
      ok("sh", "-n", join(root, "packaging", "debian", script));
  });

  test("is installed by dpkg, and says what to do next", () => {
    assert.match(dpkg("--install", deb), /systemctl enable --now sluicegate/);
    assert.equal(statSync(at("etc/sluicegate/environment")).mode & 0o777, 0o600);
    const unit = readFileSync(at("lib/systemd/system/sluicegate.service"), "utf8");
    const start = /^ExecStart=(\S+) /m.exec(unit)?.[1] ?? "";
    assert(existsSync(at(start.slice(1))), start);
    assert.doesNotMatch(ok("bash", "-n", at("usr/share/bash-completion/completions/sluicegate")), /./);
  });

  test("runs on the Node that it brings, with the settings that it has", async () => {
    const { version } = JSON.parse(readFileSync(join(root, "package.json"), "utf8"));
    assert.equal(ok(at("usr/bin/sluicegate"), "version").trim(), version);
    assert.match(ok(at("usr/lib/sluicegate/node"), "--version"), /^v24\./);
    await gateway.start();
    await makeCached(gateway, "packaged");
    await qemuIo(volumeUrl(gateway.portal, "packaged"), "write -P 7 0 1M", "read -P 7 0 1M");
    const config = at("etc/sluicegate/config.yaml");
    assert.match(
      ok(at("usr/bin/sluicegate"), "doctor", "--config", config, "--data", dataDir, ...sizes),
      /^ok +vault:/m,
    );
    assert.match(ok(at("usr/bin/sluicegate"), "volume", "list", "--data", dataDir), /packaged/);
    assert.equal((await gateway.stop()).code, 0);
  });

  test("an upgrade keeps settings that were changed; a removal keeps them, a purge keeps what volumes hold", () => {
    const config = at("etc/sluicegate/config.yaml");
    appendFileSync(config, "log-level: info\n");
    dpkg("--install", deb);
    assert.match(readFileSync(config, "utf8"), /^log-level: info$/m);
    dpkg("--remove", "sluicegate");
    assert(!existsSync(program) && existsSync(config));
    assert.match(dpkg("--purge", "sluicegate"), /stay in \/var\/lib\/sluicegate/);
    assert(!existsSync(config) && existsSync(join(dataDir, "vault.key")));
  });
});
