/** SendTargets (RFC 7143, appendix C). */
import { encodeText } from "../iscsi/text-keys.ts";
import type { TargetDirectory, TargetEntry } from "./directory.ts";

/** The portal that the initiator has reached: the address it surely can use. */
export interface Portal {
  readonly localAddress: string;
  readonly localPort: number;
}

const GROUP_TAG = 1;

/** The answer to a text request: the targets asked for, and NotUnderstood for all other keys. */
export function sendTargetsText(
  keys: readonly (readonly [string, string])[],
  directory: TargetDirectory,
  own: TargetEntry | undefined,
  portal: Portal,
): Buffer {
  const answers: [string, string][] = [];
  for (const [key, value] of keys) {
    if (key !== "SendTargets") {
      answers.push([key, "NotUnderstood"]);
      continue;
    }
    for (const entry of chosen(value, directory, own)) {
      answers.push(["TargetName", entry.targetName], ["TargetAddress", addressOf(portal)]);
    }
  }
  return encodeText(answers);
}

/** All (in discovery sessions), one by name, or the session's own. */
function chosen(value: string, directory: TargetDirectory, own: TargetEntry | undefined): TargetEntry[] {
  if (value === "All") return own === undefined ? [...directory.list()] : [own];
  const entry = value === "" ? own : directory.find(value);
  return entry === undefined || (own !== undefined && entry.targetName !== own.targetName) ? [] : [entry];
}

function addressOf(portal: Portal): string {
  const mapped = /^::ffff:([0-9.]+)$/.exec(portal.localAddress)?.[1];
  const address =
    mapped ?? (portal.localAddress.includes(":") ? `[${portal.localAddress}]` : portal.localAddress);
  return `${address}:${portal.localPort},${GROUP_TAG}`;
}
