/** Names of targets: no two volumes of all gateways have the same. */
import type { VolumeRow } from "../catalog/schema.ts";
import { TARGET_PREFIX } from "./arn.ts";
import { GatewayError } from "./errors.ts";

/**
 * The whole iSCSI name for the first of the names that no volume of `rows` has. Throws TargetAlreadyExists where there is
 * none.
 */
export function freeTargetName(
  rows: readonly Pick<VolumeRow, "target_name">[],
  ...names: readonly string[]
): string {
  const taken = new Set(rows.map(({ target_name }) => target_name));
  const free = names.map((name) => TARGET_PREFIX + name).find((name) => !taken.has(name));
  if (free === undefined) throw new GatewayError("TargetAlreadyExists");
  return free;
}
