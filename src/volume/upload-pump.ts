/**
 * Brings a volume's closed epochs into the bucket, one after the other, for as long as it takes.
 *
 * What may pass (no answer from the bucket) is tried again for ever, with growing pauses; what can't be mended fails
 * the cut with its reason, so that no snapshot stays pending for ever (invariant 3).
 */
import { type Clock, delay } from "../platform/clock.ts";
import { DeviceError } from "../platform/device-error.ts";
import type { SnapshotId } from "../platform/ids.ts";
import type { EngineVolume } from "./engine-volume.ts";
import type { UploadedEpoch } from "./epoch-log.ts";
import { isUnavailable } from "./root-reader.ts";

/** What the uploader is told of the epoch whose turn it is. */
export interface PendingUpload {
  readonly epoch: number;
  readonly cutAtMs: number;
  readonly sizeBytes: number;
  readonly snapshotId?: SnapshotId;
  readonly dirtyPath: string;
  readonly dirtyBlocks: number;
  /** The root that the epoch builds on. */
  readonly parentRootKey?: string;
}

export interface PumpEvents {
  uploaded(volume: EngineVolume, epoch: UploadedEpoch): void;
  failed(volume: EngineVolume, epoch: number, reason: string): void;
  /** An attempt did not work out and will be repeated. */
  delayed(volume: EngineVolume, epoch: number, reason: string): void;
}

export interface PumpOptions {
  readonly volume: EngineVolume;
  readonly clock: Clock;
  readonly events: PumpEvents;
  /** Uploads one epoch. Rejections may carry `kind`, as a VaultError does. */
  upload(pending: PendingUpload): Promise<UploadedEpoch>;
  /** The upload under way is not wanted any more. */
  cancel(): void;
}

const PAUSE_MS = 500;
const PAUSE_MS_MAX = 30_000;
/** Attempts at something that is not known to pass by itself. */
const ATTEMPTS_MAX = 5;
/** What no repetition will change. */
const FINAL_KINDS = new Set(["fenced", "corrupt", "unknownFormat", "notFound"]);

export class UploadPump {
  readonly #options: PumpOptions;
  #running: Promise<void> | undefined;
  #again = false;
  #stopped = false;
  /** Ends the wait that is under way. */
  #stopWaiting: () => void = () => {};

  constructor(options: PumpOptions) {
    this.#options = options;
  }

  /** Starts the work unless it is under way; call it after every cut. */
  kick(): void {
    this.#again = true;
    this.#running ??= this.#run().finally(() => {
      this.#running = undefined;
      if (this.#again && !this.#stopped) this.kick();
    });
  }

  /**
   * No further epoch is begun, and the upload under way is left: what it has sent is found again when it is repeated.
   * Resolves when the pump has let go of the volume.
   */
  async stop(): Promise<void> {
    this.#stopped = true;
    this.#stopWaiting();
    await this.#running;
  }

  async #run(): Promise<void> {
    const { volume } = this.#options;
    this.#again = false;
    let attempt = 0;
    while (!this.#stopped && volume.failure === undefined && !volume.stopping) {
      let epoch = 0;
      try {
        const pending = await volume.nextUpload();
        if (pending === undefined) return;
        epoch = pending.epoch;
        const uploaded = await this.#unlessStopped(this.#options.upload(pending));
        if (uploaded === undefined) {
          this.#options.cancel();
          return;
        }
        await volume.uploaded(uploaded);
        this.#options.events.uploaded(volume, uploaded);
        attempt = 0;
      } catch (error) {
        if (this.#stopped || volume.failure !== undefined) return;
        attempt += 1;
        await this.#failed(epoch, error, attempt);
      }
    }
  }

  async #failed(epoch: number, error: unknown, attempt: number): Promise<void> {
    const { volume, events, clock } = this.#options;
    const reason = error instanceof Error ? error.message : String(error);
    const kind = (error as { kind?: unknown } | null)?.kind;
    const final = FINAL_KINDS.has(String(kind)) || (!isUnavailable(error) && attempt >= ATTEMPTS_MAX);
    if (final && epoch > 0) {
      try {
        await volume.uploadFailed(epoch, reason);
      } catch (problem) {
        // Its own disks have failed too: the volume has stopped and says why; the cut stays as it is.
        if (volume.failure !== undefined) return;
        if (!(problem instanceof DeviceError)) throw problem;
        // There is no room to write it down: the cut fails when there is.
        events.delayed(volume, epoch, problem.message);
        await this.#unlessStopped(delay(clock, PAUSE_MS_MAX));
        return;
      }
      events.failed(volume, epoch, reason);
      // Invariant 6: who has lost the lease writes nothing any more, here or there.
      if (kind === "fenced") volume.fence(reason);
      return;
    }
    events.delayed(volume, epoch, reason);
    const pauseMs = Math.min(PAUSE_MS_MAX, PAUSE_MS * 2 ** Math.min(attempt, 10));
    await this.#unlessStopped(delay(clock, pauseMs));
  }

  /** Waits for `work`, or until the pump is stopped: then the answer is undefined. */
  #unlessStopped<T>(work: Promise<T>): Promise<T | undefined> {
    return new Promise((resolve, reject) => {
      if (this.#stopped) resolve(undefined);
      this.#stopWaiting = () => resolve(undefined);
      work.then(resolve, reject);
    });
  }
}
