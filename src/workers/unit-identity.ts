import { createHash } from "node:crypto";
import type { VolumeId } from "../platform/ids.ts";
import type { LogicalUnitIdentity } from "../target/directory.ts";

/** NAA 3h: locally assigned. */
const NAA_LOCAL = 0x3n << 60n;

/** What a volume tells initiators of itself: made of its id, so the same for ever. */
export function identityOf(volumeId: VolumeId): LogicalUnitIdentity {
  const digits = volumeId.slice("vol-".length);
  const hash = createHash("sha256").update(volumeId).digest().readBigUInt64BE(0);
  return {
    serialNumber: digits.toUpperCase(),
    naa: NAA_LOCAL | (hash & ((1n << 60n) - 1n)),
    vendor: "SLUICEGA",
    product: "VOLUME",
    revision: "0001",
  };
}
