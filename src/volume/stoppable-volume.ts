/**
 * What becomes of a volume whose local files fail: some failures are one command's trouble, after others the volume stops
 * for good and says why.
 */
import { DeviceError } from "../platform/device-error.ts";
import { SyncError } from "../platform/disk.ts";
import type { VolumeId } from "../platform/ids.ts";
import type { Epochs } from "./epochs.ts";
import type { Attempts } from "./lacking.ts";
import type { VolumeWorld } from "./volume-world.ts";

export abstract class StoppableVolume {
  readonly volumeId: VolumeId;
  protected readonly world: VolumeWorld;
  protected readonly epochs: Epochs;
  #failure: string | undefined;
  /** That the files are not to be trusted is being written down. */
  #suspecting: Promise<void> | undefined;
  #stopping = false;

  protected constructor(volumeId: VolumeId, world: VolumeWorld, epochs: Epochs) {
    this.volumeId = volumeId;
    this.world = world;
    this.epochs = epochs;
  }

  /** Why the volume has stopped, if it has. */
  get failure(): string | undefined {
    return this.#failure;
  }

  get stopping(): boolean {
    return this.#stopping;
  }

  /** Another gateway has become the volume's writer: this one stops serving it, for good (invariant 6). */
  fence(reason: string): void {
    this.fail(reason);
  }

  /** Nobody is served from now on; `suspected` resolves when what has to be recorded of a failure is. */
  protected beginToStop(): void {
    this.#stopping = true;
  }

  protected get suspected(): Promise<void> {
    return this.#suspecting ?? Promise.resolve();
  }

  /** Throws where the volume has stopped for good. */
  protected throwIfFailed(): void {
    if (this.#failure !== undefined) throw new DeviceError("hardwareError", this.#failure);
  }

  /** Throws unless the volume serves. */
  protected check(): void {
    this.throwIfFailed();
    if (this.#stopping) throw new DeviceError("notReady", "the volume is being closed");
  }

  /**
   * Stops the volume for good: its files can't be relied on any more. Other volumes go on. Writes that were not synced
   * may be lost, so the next start has to look at what is there as after a loss of power.
   */
  protected fail(reason: string): void {
    if (this.#failure !== undefined) return;
    this.#failure = reason;
    this.world.onStopped?.(this.volumeId, reason);
    this.#suspecting = this.epochs.markSuspect().catch((problem: unknown) => {
      const why = problem instanceof Error ? problem.message : String(problem);
      this.#failure = `${reason}; nor can this be recorded: ${why}`;
    });
  }

  /**
   * What the initiator is told of a failure of local files, and what becomes of the volume.
   *
   * - No room: this write is refused and nothing of it is acknowledged; the volume goes on.
   * - A read that fails: these bytes can't be had; others may.
   * - Anything else: the volume stops. A failed sync above all: it is never tried again.
   */
  protected storageError(error: unknown, what: "read" | "write"): DeviceError {
    if (error instanceof DeviceError) return error;
    const reason = error instanceof Error ? error.message : String(error);
    const code = error instanceof SyncError ? "" : (error as { code?: unknown } | null)?.code;
    if (code === "ENOSPC" || code === "EDQUOT") {
      return new DeviceError("noSpace", `no room on the local disk: ${reason}`, { cause: error });
    }
    if (what === "read" && code === "EIO") {
      return new DeviceError("mediumError", `the local disk failed a read: ${reason}`, { cause: error });
    }
    this.fail(`local storage failed: ${reason}`);
    return new DeviceError("hardwareError", this.#failure ?? reason, { cause: error });
  }

  /** Runs an action that changes the volume's files. */
  protected async guarded<T>(action: () => Promise<T>): Promise<T> {
    try {
      return await action();
    } catch (error) {
      throw this.storageError(error, "write");
    }
  }

  /** Reads what a write is completed with: that it can't be read is that write's trouble alone. */
  protected complete(read: () => void): void {
    try {
      read();
    } catch (error) {
      throw this.storageError(error, "read");
    }
  }

  /** Waits for what an attempt to read has lacked. */
  protected async bring(attempts: Attempts): Promise<void> {
    try {
      await attempts.bring();
    } catch (error) {
      throw this.storageError(error, "read");
    }
  }
}
