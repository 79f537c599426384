/**
 * Reads, lists and deletes roots. A root as it is read is a map: a checkpoint's pages, and over them what the steps
 * since then have changed.
 */
import type { ObjectStore } from "../objects/object-store.ts";
import type { VolumeId } from "../platform/ids.ts";
import { Permits } from "../platform/permits.ts";
import { rootsPrefix } from "./keys.ts";
import { type Checkpoint, checkRoot, decodeEntries, type Root } from "./root.ts";
import type { ObjectSealer } from "./sealed-object.ts";
import { fromStoreError, VaultError } from "./vault-error.ts";

/** What steps have changed: the name of a block's chunk, undefined for zeros. Shared: it never changes. */
export type Overlay = ReadonlyMap<number, Buffer | undefined>;

/** A root, ready to be read. */
export interface RootView {
  readonly rootKey: string;
  readonly root: Root;
  readonly checkpoint: Checkpoint;
  readonly overlay: Overlay;
}

/** A root as a listing shows it. */
export interface RootDescription {
  readonly rootKey: string;
  readonly generation: number;
  readonly epoch: number;
  readonly kind: Root["kind"];
  readonly cutAtMs: number;
  readonly sizeBytes: number;
  readonly fullBytes: number;
  readonly checkpointKey?: string;
  readonly chainKeys?: readonly string[];
}

/** An overlay has up to some ten thousand entries. */
const VIEWS_MAX = 16;
const DESCRIPTIONS_MAX = 4096;
const REQUESTS_MAX = 8;
const NOTHING: Overlay = new Map();

export class Roots {
  readonly #store: ObjectStore;
  readonly #sealer: ObjectSealer;
  readonly #onProblem: (message: string) => void;
  /** Views used lately, the oldest first. */
  readonly #views = new Map<string, RootView>();
  readonly #descriptions = new Map<string, RootDescription>();
  readonly #requests = new Permits(REQUESTS_MAX);

  constructor(store: ObjectStore, sealer: ObjectSealer, onProblem: (message: string) => void) {
    this.#store = store;
    this.#sealer = sealer;
    this.#onProblem = onProblem;
  }

  /** The root of that key, with all that it takes to read it. */
  async view(key: string): Promise<RootView> {
    const known = this.#views.get(key);
    if (known !== undefined) {
      this.#views.delete(key);
      this.#views.set(key, known);
      return known;
    }
    const root = await this.#read(key);
    const view =
      root.kind === "checkpoint"
        ? { rootKey: key, root, checkpoint: root, overlay: NOTHING }
        : await this.#roll(key, root);
    this.#views.set(key, view);
    if (this.#views.size > VIEWS_MAX) {
      const oldest = this.#views.keys().next();
      if (!oldest.done) this.#views.delete(oldest.value);
    }
    return view;
  }

  /** The volume's roots, oldest first. One that can't be read is told to `onProblem` and left out. */
  async list(volumeId: VolumeId): Promise<RootDescription[]> {
    const keys: string[] = [];
    try {
      for await (const { key } of this.#store.list(rootsPrefix(volumeId))) keys.push(key);
    } catch (error) {
      throw fromStoreError(error, `listing the roots of ${volumeId}`);
    }
    const found = await Promise.all(keys.sort().map((key) => this.#requests.run(() => this.#describe(key))));
    return found.filter((root) => root !== undefined);
  }

  /**
   * Deletes roots of the volume. Rejects where one that stays stands on one of them, and deletes nothing then. The
   * newest goes first, so that a crash on the way leaves none that can't be read.
   */
  async delete(volumeId: VolumeId, keys: readonly string[]): Promise<void> {
    const going = new Set(keys);
    const all = await this.list(volumeId);
    for (const { rootKey, checkpointKey, chainKeys = [] } of all) {
      if (going.has(rootKey)) continue;
      const needed = [checkpointKey, ...chainKeys].find((key) => key !== undefined && going.has(key));
      if (needed !== undefined) throw new VaultError("inUse", `${rootKey} stands on ${needed}`);
    }
    for (const { rootKey } of all.reverse()) {
      if (!going.has(rootKey)) continue;
      this.#views.delete(rootKey);
      this.#descriptions.delete(rootKey);
      try {
        await this.#store.delete([rootKey]);
      } catch (error) {
        throw fromStoreError(error, `deleting ${rootKey}`);
      }
    }
  }

  async #read(key: string): Promise<Root> {
    let object: Buffer;
    try {
      object = await this.#store.get(key);
    } catch (error) {
      throw fromStoreError(error, `reading ${key}`);
    }
    return checkRoot(key, this.#sealer.unsealJson(key, object));
  }

  /** Rolls the steps of a chain over their checkpoint; from the step before where that is at hand. */
  async #roll(key: string, step: Root & { kind: "step" }): Promise<RootView> {
    const before = this.#views.get(step.chainKeys.at(-1) ?? step.checkpointKey);
    if (before !== undefined) return rolled(key, step, before.checkpoint, before.overlay, []);
    const [checkpoint, ...chain] = await Promise.all(
      [step.checkpointKey, ...step.chainKeys].map((each) => this.#requests.run(() => this.#read(each))),
    );
    if (checkpoint?.kind !== "checkpoint")
      throw new VaultError("corrupt", `${step.checkpointKey} is no checkpoint`);
    return rolled(key, step, checkpoint, NOTHING, chain);
  }

  async #describe(key: string): Promise<RootDescription | undefined> {
    const known = this.#descriptions.get(key);
    if (known !== undefined) return known;
    let root: Root;
    try {
      root = await this.#read(key);
    } catch (error) {
      if (!(error instanceof VaultError) || !["corrupt", "unknownFormat", "notFound"].includes(error.kind))
        throw error;
      this.#onProblem(`${key} was passed over: ${error.message}`);
      return undefined;
    }
    const { generation, epoch, kind, cutAtMs, sizeBytes, nonZeroBlocks, blockBytes } = root;
    const head = { rootKey: key, generation, epoch, kind, cutAtMs, sizeBytes };
    const description: RootDescription = {
      ...head,
      fullBytes: nonZeroBlocks * blockBytes,
      ...(root.kind === "step" && { checkpointKey: root.checkpointKey, chainKeys: root.chainKeys }),
    };
    if (this.#descriptions.size >= DESCRIPTIONS_MAX) this.#descriptions.clear();
    this.#descriptions.set(key, description);
    return description;
  }
}

function rolled(
  key: string,
  step: Root & { kind: "step" },
  checkpoint: Checkpoint,
  below: Overlay,
  chain: readonly Root[],
): RootView {
  const overlay = new Map(below);
  for (const each of [...chain, step]) {
    const fits =
      each.kind === "step" &&
      each.volumeId === step.volumeId &&
      each.sizeBytes === checkpoint.sizeBytes &&
      each.blockBytes === checkpoint.blockBytes;
    if (!fits) throw new VaultError("corrupt", `${key} stands on a root that does not fit`);
    const entries = decodeEntries(Buffer.from(each.entries, "base64"), each.sizeBytes / each.blockBytes);
    for (const [block, name] of entries) overlay.set(block, name);
  }
  return { rootKey: key, root: step, checkpoint, overlay };
}
