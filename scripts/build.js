// npm run build: the gateway and its console, into dist. Plain JavaScript for Node 18.
import { join } from "node:path";
import { pathToFileURL } from "node:url";
import { findNode } from "../bin/node24.js";
import { root, runStep } from "./steps.js";

const LIMIT_MS = 120_000;

/** Builds both; gives {ok, seconds, output} of the two together. */
export async function build() {
  const tsc = join(root, "node_modules", "typescript", "bin", "tsc");
  const steps = [
    ["build", [tsc, "-p", join(root, "tsconfig.build.json"), "--pretty", "false"]],
    ["build of the console", [join(root, "console", "build.js")]],
  ];
  const both = { ok: true, seconds: 0, output: "" };
  for (const [name, args] of steps) {
    const step = await runStep(name, findNode(), args, { limitMs: LIMIT_MS, quiet: true });
    both.ok &&= step.ok;
    both.seconds += step.seconds;
    if (!step.ok) both.output += `${name} FAILED\n${step.output}\n`;
  }
  return both;
}

if (import.meta.url === pathToFileURL(process.argv[1] ?? "").href) {
  const { ok, output } = await build();
  if (!ok) process.stderr.write(output);
  process.exitCode = ok ? 0 : 1;
}
