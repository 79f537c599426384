// npm run bench: the bars of the design, against Debian's tgt in the same run (bench/bench.ts). Plain JavaScript for Node 18.
import { spawnSync } from "node:child_process";
import { join } from "node:path";
import { findNode, runNode } from "../bin/node24.js";
import { root } from "./steps.js";

const absent = ["qemu-img", "tgtd", "tgtadm"].filter((name) => spawnSync("which", [name]).status !== 0);
if (absent.length > 0) {
  process.stderr.write(
    `missing: ${absent.join(" ")} (Debian: apt-get install qemu-utils qemu-block-extra tgt)\n`,
  );
  process.exit(1);
}
const tsc = join(root, "node_modules", "typescript", "bin", "tsc");
const built = spawnSync(findNode(), [tsc, "-p", join(root, "tsconfig.build.json")], { stdio: "inherit" });
if (built.status !== 0) process.exit(1);
const [which = "", ...rest] = process.argv.slice(2);
const others = { "--vault": "vault.ts", "--growth": "growth.ts", "--profile": "profile.ts" };
const bench = others[which] === undefined ? ["bench.ts", ...process.argv.slice(2)] : [others[which], ...rest];
runNode([join(root, "bench", bench[0]), ...bench.slice(1)]);
