/**
 * Uploads, one of a volume at a time. One that its volume has let go of may be on its way still when the volume comes
 * back and orders the next: that one waits until the other has ended, which is told to.
 */
import type { VolumeId } from "../platform/ids.ts";

interface Turn {
  readonly stop: AbortController;
  /** Resolves however it ends. */
  readonly ended: Promise<unknown>;
}

export class UploadTurns {
  readonly #turns = new Map<VolumeId, Turn>();

  /** Runs an upload when no other of the volume is under way; `signal` tells that it is not wanted any more. */
  async run<T>(volumeId: VolumeId, upload: (signal: AbortSignal) => Promise<T>): Promise<T> {
    for (let before = this.#turns.get(volumeId); before !== undefined; before = this.#turns.get(volumeId)) {
      before.stop.abort();
      await before.ended;
    }
    const stop = new AbortController();
    const uploading = upload(stop.signal);
    const turn = { stop, ended: uploading.catch(() => {}).finally(() => this.#turns.delete(volumeId)) };
    this.#turns.set(volumeId, turn);
    return uploading;
  }

  /** The volume's upload under way is not wanted any more. */
  cancel(volumeId: VolumeId): void {
    this.#turns.get(volumeId)?.stop.abort();
  }
}
