// node scripts/rgw.js start|stop DIR: a real S3 server (Ceph's RADOS Gateway) for tests and benchmarks.
// "start" prints one line of JSON: endpoint, region, bucket, accessKeyId, secretAccessKey,
// and the environment variables by which the tests find it.
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import { runNode } from "../bin/node24.js";

const root = dirname(dirname(fileURLToPath(import.meta.url)));
runNode([join(root, "test", "servers", "rgw-command.ts"), ...process.argv.slice(2)]);
