/** A root: the top of one volume's map at one cut, and what is needed to read it. A sealed JSON object. */
import type { VolumeId } from "../platform/ids.ts";
import { rootKey } from "./keys.ts";
import { levelsFor } from "./page.ts";
import { VaultError } from "./vault-error.ts";

/** Far more than any volume needs (256 ** 6 blocks). */
const LEVELS_MAX = 6;

export interface Root {
  readonly format: 1;
  readonly volumeId: VolumeId;
  readonly generation: number;
  readonly epoch: number;
  readonly sizeBytes: number;
  readonly blockBytes: number;
  /** Levels of pages below and including the top. */
  readonly levels: number;
  /** The top page's name in hexadecimal; null where the whole volume is zeros. */
  readonly top: string | null;
  readonly cutAtMs: number;
  readonly parentRootKey: string | null;
  readonly nonZeroBlocks: number;
}

/** Checks a decoded value. Throws a VaultError where it is not a root. */
export function checkRoot(key: string, value: unknown): Root {
  const root = value as Root;
  if (typeof root !== "object" || root === null) throw new VaultError("corrupt", `${key} is not a root`);
  if (root.format !== 1) {
    throw new VaultError("unknownFormat", `${key}: root format ${String(root.format)} is not known here`);
  }
  const counts = [
    root.generation,
    root.epoch,
    root.sizeBytes,
    root.blockBytes,
    root.levels,
    root.nonZeroBlocks,
  ];
  const good =
    counts.every((count) => Number.isSafeInteger(count) && count >= 0) &&
    key === rootKey(root.volumeId, root.generation, root.epoch) &&
    root.blockBytes > 0 &&
    root.sizeBytes % root.blockBytes === 0 &&
    root.levels >= levelsFor(root.sizeBytes / root.blockBytes) &&
    root.levels <= LEVELS_MAX &&
    (root.top === null || /^[0-9a-f]{40}$/.test(root.top));
  if (!good) throw new VaultError("corrupt", `${key} is not a root`);
  return root;
}
