// What scripts/rgw.js runs: start and stop an RGW from the command line.
import { resolve } from "node:path";
import { rgwEnvironment, startRgw, stopRgw } from "./rgw.ts";

const [verb, folder] = process.argv.slice(2);
if (folder === undefined || (verb !== "start" && verb !== "stop")) {
  process.stderr.write("usage: node scripts/rgw.js start|stop DIR\n");
  process.exitCode = 2;
} else if (verb === "start") {
  const rgw = await startRgw(resolve(folder));
  process.stdout.write(`${JSON.stringify({ ...rgw, environment: rgwEnvironment(rgw) })}\n`);
} else {
  await stopRgw(resolve(folder));
}
