/** `sluicegate env`: what AWS's tools have to know of this gateway, as lines that a shell carries out. */
import { existsSync } from "node:fs";
import { join, resolve } from "node:path";
import { CREDENTIALS_FILE } from "../gateway/credentials.ts";
import { ApiClient } from "./client.ts";
import { ClientError, EXIT } from "./failure.ts";
import type { GatewayChoice } from "./inventory.ts";
import { print } from "./output.ts";

/** They come before the credentials file: whoever has them would sign with the key of somewhere else. */
const OTHERS = ["AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN", "AWS_PROFILE"];
/**
 * Newer clients of AWS read these; older ones need --endpoint-url. EBS is not among them: `snapshot export … ebs` would
 * go to this gateway instead of to AWS.
 */
const SERVICES = ["STORAGE_GATEWAY", "EC2", "DLM"];

/** Prints `export` and `unset`, for `eval "$(sluicegate env)"`. */
export function environment({ data, region }: GatewayChoice): void {
  const credentials = join(resolve(data), CREDENTIALS_FILE);
  if (!existsSync(credentials))
    throw new ClientError(`there is no ${credentials}: start the gateway, or name its folder with --data`, {
      exitCode: EXIT.unreachable,
    });
  const { origin } = ApiClient.of(data, region).endpoint;
  const set: Record<string, string> = {
    AWS_SHARED_CREDENTIALS_FILE: credentials,
    AWS_DEFAULT_REGION: region,
    AWS_REGION: region,
    ...Object.fromEntries(SERVICES.map((name) => [`AWS_ENDPOINT_URL_${name}`, origin])),
  };
  print({ set, unset: OTHERS }, () => [
    ...Object.entries(set).map(([name, value]) => `export ${name}=${quoted(value)}`),
    `unset ${OTHERS.join(" ")}`,
  ]);
}

/** As one word for a shell, whatever is in it. */
function quoted(text: string): string {
  return /^[\w@%+=:,./-]+$/.test(text) ? text : `'${text.replaceAll("'", "'\\''")}'`;
}
