// The programs of other projects that the tests drive, as Debian packages. Plain JavaScript for Node 18.
import { spawnSync } from "node:child_process";
import { existsSync, renameSync, rmSync, writeFileSync } from "node:fs";
import { runStep } from "./steps.js";

const PACKAGES = [
  ...["python3-boto3", "awscli", "qemu-utils", "qemu-block-extra", "libiscsi-bin", "tgt"],
  ...["qemu-system-x86", "mmdebstrap", "cpio"],
  ...["radosgw", "ceph-mon", "ceph-osd", "ceph-common", "postgresql"],
  ...["prometheus", "python3-cryptography", "python3-zstandard", "chromium", "zsh", "fish"],
  ...["swift-proxy", "swift-account", "swift-container", "swift-object", "memcached"],
];
const POLICY = "/usr/sbin/policy-rc.d";
const POLICY_ASIDE = `${POLICY}.before-sluicegate-tests`;
const UPDATE_LIMIT_MS = 120_000;
const INSTALL_LIMIT_MS = 420_000;
let keptDown = false;

/** Installs what is missing, where that is possible, and gives the packages that are missing still. */
export async function installPackages() {
  const isDebian = existsSync("/etc/debian_version") && has("apt-get") && has("dpkg-query");
  if (!isDebian) return PACKAGES.filter((name) => !isThereOtherwise(name));
  const missing = missingPackages();
  if (missing.length === 0 || process.getuid?.() !== 0) return missing;
  process.stdout.write(`installing Debian packages that the tests use: ${missing.join(" ")}\n`);
  const env = { DEBIAN_FRONTEND: "noninteractive", LC_ALL: "C" };
  const options = ["-q", "-o", "DPkg::Lock::Timeout=120"];
  const steps = [
    [["update"], UPDATE_LIMIT_MS],
    [["install", "-y", "--no-install-recommends", ...missing], INSTALL_LIMIT_MS],
  ];
  keepDaemonsDown();
  try {
    for (const [args, limitMs] of steps) {
      const step = await runStep(`apt-get ${args[0]}`, "apt-get", [...options, ...args], {
        limitMs,
        quiet: true,
        env,
      });
      if (!step.ok) process.stdout.write(`apt-get ${args[0]} failed:\n${step.output.slice(-4000)}\n`);
    }
  } finally {
    letDaemonsStart();
  }
  return missingPackages();
}

/** Tells Debian's maintainer scripts to start nothing: the tests start what they need themselves. */
function keepDaemonsDown() {
  if (existsSync(POLICY) && !existsSync(POLICY_ASIDE)) renameSync(POLICY, POLICY_ASIDE);
  keptDown = true;
  writeFileSync(POLICY, "#!/bin/sh\nexit 101\n", { mode: 0o755 });
}

/** Puts the policy back as it was before. Also called when the run is broken off. */
export function letDaemonsStart() {
  if (!keptDown) return;
  keptDown = false;
  rmSync(POLICY, { force: true });
  if (existsSync(POLICY_ASIDE)) renameSync(POLICY_ASIDE, POLICY);
}

function missingPackages() {
  // dpkg-query answers with an error as soon as one is unknown; what it knows it prints all the same.
  // biome-ignore lint/suspicious/noTemplateCurlyInString: the braces are dpkg-query's own.
  const asked = spawnSync("dpkg-query", ["-W", "-f", "${Package} ${db:Status-Status}\\n", ...PACKAGES], {
    encoding: "utf8",
  });
  const lines = (asked.stdout ?? "").split("\n");
  return PACKAGES.filter((name) => !lines.includes(`${name} installed`));
}

/** Elsewhere the programs may have come by another way: one program stands for each package. */
function isThereOtherwise(name) {
  const program = {
    awscli: "aws",
    "qemu-utils": "qemu-img",
    "libiscsi-bin": "iscsi-ls",
    "qemu-system-x86": "qemu-system-x86_64",
    tgt: "tgtd",
    prometheus: "promtool",
  }[name];
  const module = /^python3-(.+)$/.exec(name)?.[1];
  if (module !== undefined) return spawnSync("python3", ["-c", `import ${module}`]).status === 0;
  if (name === "qemu-block-extra") return has("qemu-img");
  if (name === "ceph-common") return has("ceph");
  return has(program ?? (name === "postgresql" ? "postgres" : name));
}

function has(program) {
  return spawnSync("which", [program]).status === 0;
}
