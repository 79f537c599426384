// npm run package:deb [-- FOLDER]: the Debian package of this machine's architecture, into FOLDER (dist without it).
// It brings its own Node: Debian's is older than the one that is needed. Nothing but dpkg-deb, npm and gzip is used.
import { spawnSync } from "node:child_process";
import {
  chmodSync,
  cpSync,
  lstatSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join, resolve } from "node:path";
import { pathToFileURL } from "node:url";
import { gzipSync } from "node:zlib";
import { findNode } from "../bin/node24.js";
import { build } from "./build.js";
import { root } from "./steps.js";

const ARCHITECTURES = { x64: "amd64", arm64: "arm64" };
const LIMIT_MS = 300_000;
const { version } = JSON.parse(readFileSync(join(root, "package.json"), "utf8"));

function run(command, args, cwd) {
  const options = { cwd, encoding: "utf8", timeout: LIMIT_MS };
  const { status, error, stdout, stderr } = spawnSync(command, args, options);
  if (error !== undefined) throw error;
  if (status !== 0) throw new Error(`${command} ${args.join(" ")} ended with ${status}:\n${stdout}${stderr}`);
  return stdout;
}

/** The program with its packages and its Node, as /usr/lib/sluicegate. */
function fillProgram(lib) {
  mkdirSync(join(lib, "console"), { recursive: true });
  for (const name of ["package.json", "package-lock.json", ".npmrc", "console/package.json"])
    cpSync(join(root, name), join(lib, name));
  const options = ["--omit=dev", "--workspaces=false", "--include-workspace-root"];
  run("npm", ["ci", ...options, "--prefer-offline", "--no-audit", "--no-fund", "--loglevel=error"], lib);
  for (const name of [
    "console",
    "package-lock.json",
    ".npmrc",
    "node_modules/.bin",
    "node_modules/.package-lock.json",
  ])
    rmSync(join(lib, name), { recursive: true, force: true });
  // Types and source maps are for developers: most of the files there are.
  for (const item of readdirSync(join(lib, "node_modules"), { recursive: true, withFileTypes: true }))
    if (item.isFile() && /\.(d\.[cm]?ts|map)$/.test(item.name)) rmSync(join(item.parentPath, item.name));
  for (const name of ["bin", "dist", "tools"]) cpSync(join(root, name), join(lib, name), { recursive: true });
  // What other packages of this project have been made into lies in dist, too.
  for (const name of readdirSync(join(lib, "dist")))
    if (name.endsWith(".deb")) rmSync(join(lib, "dist", name));
  const node = `node-linux-${process.arch}`;
  cpSync(join(lib, "node_modules", node, "bin", "node"), join(lib, "node"));
  rmSync(join(lib, "node_modules", node), { recursive: true });
}

/** Everything but the program, at its place in the file system. */
function fillSystem(folder) {
  const put = (path, text, mode = 0o644) => {
    const target = join(folder, path);
    mkdirSync(dirname(target), { recursive: true });
    writeFileSync(target, text);
    chmodSync(target, mode);
  };
  const read = (path) => readFileSync(join(root, path), "utf8");
  put("usr/bin/sluicegate", read("packaging/debian/sluicegate.sh"), 0o755);
  put("etc/sluicegate/config.yaml", read("packaging/debian/config.yaml"));
  put("etc/sluicegate/environment", read("packaging/debian/environment"), 0o600);
  const unit = read("packaging/systemd/sluicegate.service").replace(/^#.*\n/gm, "");
  put("lib/systemd/system/sluicegate.service", unit.replace("/usr/local/bin/", "/usr/bin/"));
  const complete = (shell) =>
    run(findNode(), [join(root, "dist", "cli", "main.js"), "completion", shell], root);
  put("usr/share/bash-completion/completions/sluicegate", complete("bash"));
  put("usr/share/zsh/vendor-completions/_sluicegate", complete("zsh"));
  put("usr/share/fish/vendor_completions.d/sluicegate.fish", complete("fish"));
  const doc = "usr/share/doc/sluicegate";
  put(`${doc}/copyright`, read("packaging/debian/copyright"));
  put(`${doc}/changelog.gz`, gzipSync(read("CHANGELOG.md"), { level: 9 }));
  put(`${doc}/README.md`, read("README.md"));
  cpSync(join(root, "docs"), join(folder, doc, "docs"), { recursive: true });
  for (const name of ["prometheus", "grafana"])
    cpSync(join(root, "packaging", name), join(folder, "usr/share/sluicegate", name), { recursive: true });
}

function control(installedKib) {
  return [
    "Package: sluicegate",
    `Version: ${version}`,
    `Architecture: ${ARCHITECTURES[process.arch]}`,
    "Maintainer: The authors of Sluicegate <sluicegate@localhost>",
    `Installed-Size: ${installedKib}`,
    "Depends: libc6 (>= 2.28), libstdc++6, libgcc-s1, ca-certificates",
    "Suggests: open-iscsi, prometheus",
    "Section: admin",
    "Priority: optional",
    "Description: volume gateway: iSCSI volumes with snapshots in an S3 bucket",
    " Servers mount its volumes over iSCSI; it keeps point-in-time, incremental, deduplicated,",
    " compressed and encrypted snapshots of them in any S3-compatible bucket, and is driven by",
    " the AWS Storage Gateway API. The package brings the Node.js that it runs on.",
    "",
  ].join("\n");
}

/** Nobody writes in it but root, everybody reads, whatever the umask of whoever builds it; gives the size in KiB. */
function settle(folder) {
  let bytes = 0;
  for (const item of readdirSync(folder, { recursive: true, withFileTypes: true })) {
    const path = join(item.parentPath, item.name);
    const { mode, size } = lstatSync(path);
    if (item.isSymbolicLink()) continue;
    if (item.isDirectory()) chmodSync(path, 0o755);
    else if (!path.endsWith("/etc/sluicegate/environment")) chmodSync(path, mode & 0o111 ? 0o755 : 0o644);
    bytes += size;
  }
  chmodSync(folder, 0o755);
  return Math.ceil(bytes / 1024);
}

/** Makes the package and gives its path. What has to be built is built already. */
export function makePackage(outFolder) {
  const folder = mkdtempSync(join(tmpdir(), "sluicegate-deb-"));
  try {
    fillProgram(join(folder, "usr/lib/sluicegate"));
    fillSystem(folder);
    const kib = settle(folder);
    mkdirSync(join(folder, "DEBIAN"));
    writeFileSync(join(folder, "DEBIAN/control"), control(kib));
    writeFileSync(
      join(folder, "DEBIAN/conffiles"),
      "/etc/sluicegate/config.yaml\n/etc/sluicegate/environment\n",
    );
    for (const name of ["postinst", "prerm", "postrm"]) {
      cpSync(join(root, "packaging/debian", name), join(folder, "DEBIAN", name));
      chmodSync(join(folder, "DEBIAN", name), 0o755);
    }
    mkdirSync(outFolder, { recursive: true });
    const path = join(outFolder, `sluicegate_${version}_${ARCHITECTURES[process.arch]}.deb`);
    run("dpkg-deb", ["--root-owner-group", "-Zgzip", "-z6", "--build", folder, path], root);
    return path;
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}

if (import.meta.url === pathToFileURL(process.argv[1] ?? "").href) {
  const { ok, output } = await build();
  if (!ok) throw new Error(output);
  process.stdout.write(`${makePackage(resolve(process.argv[2] ?? join(root, "dist")))}\n`);
}
