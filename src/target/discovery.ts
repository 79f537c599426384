/** SendTargets (RFC 7143, appendix C). */
import { isKnownKey } from "../iscsi/negotiation.ts";
import { encodeText } from "../iscsi/text-keys.ts";
import type { TargetDirectory, TargetEntry } from "./directory.ts";

/** A portal: where initiators reach the target. */
export interface Portal {
  readonly localAddress: string;
  readonly localPort: number;
}

/** Whoever logs in by the portal `from`, to that target or to any, is sent to the portal `to`; both `HOST:PORT`. */
export interface PortalRedirect {
  readonly from: string;
  readonly targetName?: string;
  readonly to: string;
}

const GROUP_TAG = 1;

/** The answer to a text request: the targets asked for, each with all portals; all other keys are refused. */
export function sendTargetsText(
  keys: readonly (readonly [string, string])[],
  directory: TargetDirectory,
  own: TargetEntry | undefined,
  portals: readonly string[],
): Buffer {
  const answers: [string, string][] = [];
  for (const [key, value] of keys) {
    if (key !== "SendTargets") {
      // What names things wants no answer; what a login settles is not settled again.
      if (key !== "InitiatorAlias") answers.push([key, isKnownKey(key) ? "Reject" : "NotUnderstood"]);
      continue;
    }
    for (const entry of chosen(value, directory, own)) {
      answers.push(["TargetName", entry.targetName]);
      for (const portal of portals) answers.push(["TargetAddress", `${portal},${GROUP_TAG}`]);
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

/** `HOST:PORT`, as TargetAddress has it (RFC 7143, 13.8). */
export function portalText({ localAddress, localPort }: Portal): string {
  const address = plain(localAddress);
  return `${address.includes(":") ? `[${address}]` : address}:${localPort}`;
}

export function isWildcard(address: string): boolean {
  return address === "0.0.0.0" || address === "::";
}

export function isLoopback(address: string): boolean {
  return address === "::1" || plain(address).startsWith("127.");
}

/** IPv4 that came by an IPv6 socket, as itself. */
function plain(address: string): string {
  return /^::ffff:([0-9.]+)$/i.exec(address)?.[1] ?? address;
}
