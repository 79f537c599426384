// npm run load: many clients on a large gateway (test/load/load.ts), as it is shipped. Plain JavaScript for Node 18.
import { spawnSync } from "node:child_process";
import { join } from "node:path";
import { findNode, runNode } from "../bin/node24.js";
import { root } from "./steps.js";

const tsc = join(root, "node_modules", "typescript", "bin", "tsc");
const built = spawnSync(findNode(), [tsc, "-p", join(root, "tsconfig.build.json")], { stdio: "inherit" });
if (built.status !== 0) process.exit(1);
runNode([join(root, "test", "load", "load.ts"), ...process.argv.slice(2)]);
