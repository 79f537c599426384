import { type Clock, delay } from "../platform/clock.ts";
import { DeviceError } from "../platform/device-error.ts";
import type { Permits } from "../platform/permits.ts";

/** Takes the content of blocks [firstBlock, firstBlock + count). */
export type UseBlocks = (content: Buffer, firstBlock: number, count: number) => void;

/** What a volume needs of the vault: the content of a root, wherever the vault's own code runs. */
export interface RootReader {
  /** The blocks as of the root, verified, one after the other. */
  readBlocks(rootKey: string, firstBlock: number, count: number): Promise<Buffer>;
  /**
   * The same for who reads all of a root in order, and is waited for by nobody. `use` is called with one part of the
   * blocks after the other; the bytes are its own until it returns.
   */
  readRun(rootKey: string, firstBlock: number, count: number, use: UseBlocks): Promise<void>;
  /** Who reads runs holds one of these for some of them: volumes that share a line take turns. */
  readonly turns?: Permits;
  /**
   * The blocks among these that are not all zeros, ascending, up to `max` of them; there are no others before block
   * `end`.
   */
  nonZeroBlocks(
    rootKey: string,
    firstBlock: number,
    count: number,
    max: number,
  ): Promise<{ readonly blocks: readonly number[]; readonly end: number }>;
}

/** Whether the failure may pass by itself: the bucket gives no answer. Rejections of a RootReader carry `kind`. */
export function isUnavailable(error: unknown): boolean {
  return (error as { kind?: unknown } | null)?.kind === "unavailable";
}

/** What the initiator is told when a block can't be had from the vault. */
export function toDeviceError(error: unknown): DeviceError {
  if (error instanceof DeviceError) return error;
  const reason = error instanceof Error ? error.message : String(error);
  if (isUnavailable(error))
    return new DeviceError("busy", `the vault can't be reached: ${reason}`, { cause: error });
  return new DeviceError("mediumError", `the vault can't give this block: ${reason}`, { cause: error });
}

/**
 * Reads blocks of a root, trying again while the vault gives no answer, within the limit. `check` throws where nobody
 * wants them any more. Rejects with a DeviceError.
 */
export async function readPatiently(
  world: {
    readonly clock: Clock;
    readonly roots: RootReader;
    readonly limits: { readonly vaultWaitMs: number; readonly vaultRetryMs: number };
  },
  rootKey: string,
  firstBlock: number,
  count: number,
  check: () => void,
): Promise<Buffer> {
  const { clock, limits, roots } = world;
  const deadlineMs = clock.monotonicMs() + limits.vaultWaitMs;
  for (;;) {
    try {
      return await roots.readBlocks(rootKey, firstBlock, count);
    } catch (error) {
      if (!isUnavailable(error) || clock.monotonicMs() >= deadlineMs) throw toDeviceError(error);
      await delay(clock, limits.vaultRetryMs);
      check();
    }
  }
}
