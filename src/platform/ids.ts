/**
 * Identifiers: one spelling inside (lower-case hexadecimal digits), other spellings only at the edges.
 *
 * AWS shows the same id in upper case (Storage Gateway) and in lower case (EC2, EBS), so every id that comes
 * in is parsed here, without regard to case, before anything compares it.
 */
import type { Random } from "./random.ts";

declare const brand: unique symbol;
type Branded<Name extends string> = string & { readonly [brand]: Name };

/** `vol-` and 17 lower-case hexadecimal digits, or 8 as AWS had them until 2016. */
export type VolumeId = Branded<"VolumeId">;
/** `snap-` and 17 lower-case hexadecimal digits, or 8 as AWS had them until 2016. */
export type SnapshotId = Branded<"SnapshotId">;
/** `sgw-` and 8 lower-case hexadecimal digits. */
export type GatewayId = Branded<"GatewayId">;
/** The stable name of a local disk: its file name in `DATA/disks`, or the path of a configured device. */
export type DiskId = Branded<"DiskId">;

const LONG_DIGITS = 17;
const SHORT_DIGITS = 8;

function hexDigits(random: Random, count: number): string {
  return random
    .bytes(Math.ceil(count / 2))
    .toString("hex")
    .slice(0, count);
}

function parseHexId(text: string, prefix: string, ...lengths: readonly number[]): string | undefined {
  const lower = text.toLowerCase();
  const digits = lower.slice(prefix.length);
  if (!lower.startsWith(prefix) || !lengths.includes(digits.length)) return undefined;
  return /^[0-9a-f]+$/.test(digits) ? lower : undefined;
}

/** A new, random volume id. */
export function makeVolumeId(random: Random): VolumeId {
  return `vol-${hexDigits(random, LONG_DIGITS)}` as VolumeId;
}

/** A new, random snapshot id. */
export function makeSnapshotId(random: Random): SnapshotId {
  return `snap-${hexDigits(random, LONG_DIGITS)}` as SnapshotId;
}

/** A new, random gateway id. */
export function makeGatewayId(random: Random): GatewayId {
  return `sgw-${hexDigits(random, SHORT_DIGITS)}` as GatewayId;
}

/** The volume id that `text` spells in any case, or undefined. */
export function parseVolumeId(text: string): VolumeId | undefined {
  return parseHexId(text, "vol-", LONG_DIGITS, SHORT_DIGITS) as VolumeId | undefined;
}

/** The snapshot id that `text` spells in any case, or undefined. */
export function parseSnapshotId(text: string): SnapshotId | undefined {
  return parseHexId(text, "snap-", LONG_DIGITS, SHORT_DIGITS) as SnapshotId | undefined;
}

/** The gateway id that `text` spells in any case, or undefined. */
export function parseGatewayId(text: string): GatewayId | undefined {
  return parseHexId(text, "sgw-", SHORT_DIGITS) as GatewayId | undefined;
}

/** The Storage Gateway spelling: the prefix in lower case, the digits in upper case (`vol-0A1B…`). */
export function upperCaseId(id: VolumeId | GatewayId): string {
  const dash = id.indexOf("-");
  return id.slice(0, dash + 1) + id.slice(dash + 1).toUpperCase();
}
