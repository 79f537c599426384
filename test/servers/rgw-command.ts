// What scripts/rgw.js runs: start and stop an RGW from the command line.
import { resolve } from "node:path";
import { startRgw, stopRgw } from "./rgw.ts";

const [verb, folder] = process.argv.slice(2);
if (folder === undefined || (verb !== "start" && verb !== "stop")) {
  process.stderr.write("usage: node scripts/rgw.js start|stop DIR\n");
  process.exitCode = 2;
} else if (verb === "start") {
  process.stdout.write(`${JSON.stringify(await startRgw(resolve(folder)))}\n`);
} else {
  await stopRgw(resolve(folder));
}
