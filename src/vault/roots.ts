/**
 * Reads, lists and deletes roots. A root as it is read is a map: a checkpoint's pages, and over them what the steps since then
 * have changed.
 */
import type { ObjectStore } from "../objects/object-store.ts";
import type { VolumeId } from "../platform/ids.ts";
import { Permits } from "../platform/permits.ts";
import { rootsPrefix } from "./keys.ts";
import { NO_CHANGES, type Overlay } from "./overlay.ts";
import { RecentMap } from "./recent-map.ts";
import { baseKeys, type Checkpoint, decodeRoot, type Root, type Step } from "./root.ts";
import type { ObjectSealer } from "./sealed-object.ts";
import { fromStoreError, VaultError } from "./vault-error.ts";

/** A root, ready to be read. It never changes. */
export interface RootView {
  readonly rootKey: string;
  readonly root: Root;
  readonly checkpointKey: string;
  readonly checkpoint: Checkpoint;
  /** What the steps since the checkpoint have changed, the root's own among them. */
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
  /** Bytes of all blocks that the root reaches, zero blocks left out, before compression. */
  readonly fullBytes: number;
  /** Of a step: what it stands on. */
  readonly checkpointKey?: string;
  /** Of a step: the steps between the checkpoint and this one, oldest first. */
  readonly chainKeys?: readonly string[];
}

/** A key, and what it names: undefined where that can't be read. */
export interface ListedRoot {
  readonly rootKey: string;
  readonly description: RootDescription | undefined;
}

/**
 * Bytes that the views in use may take. A view of a full chain takes some 0.5 MiB, so this is the newest root of more
 * than a hundred volumes: each of them makes its next step of it without reading the chain again.
 */
const VIEW_BYTES_MAX = 64 * 1024 * 1024;
/** For its key, its root, and its place in the cache. */
const VIEW_BYTES_MIN = 1024;
const KEY_BYTES = 96;
/** Keys that the descriptions in use may name, themselves included: 8 bytes each, as equal keys are one text. */
const DESCRIBED_KEYS_MAX = 4 * 1024 * 1024;
/** What a description costs beside the keys of its chain, as so many keys. */
const DESCRIPTION_KEYS = 32;
const REQUESTS_MAX = 8;

export class Roots {
  readonly #store: ObjectStore;
  readonly #sealer: ObjectSealer;
  readonly #onProblem: (message: string) => void;
  readonly #views = new RecentMap<RootView>(VIEW_BYTES_MAX, viewBytes);
  /** Views being made: many readers of one root wait for one. */
  readonly #viewing = new Map<string, Promise<RootView>>();
  readonly #descriptions = new RecentMap<RootDescription>(
    DESCRIBED_KEYS_MAX,
    ({ chainKeys = [] }) => DESCRIPTION_KEYS + chainKeys.length,
  );
  readonly #requests = new Permits(REQUESTS_MAX);

  constructor(store: ObjectStore, sealer: ObjectSealer, onProblem: (message: string) => void) {
    this.#store = store;
    this.#sealer = sealer;
    this.#onProblem = onProblem;
  }

  /** The root of that key, with all that it takes to read it. Rejects with a VaultError where a part can't be had. */
  async view(key: string): Promise<RootView> {
    const known = this.#views.get(key) ?? this.#viewing.get(key);
    if (known !== undefined) return known;
    const making = this.#makeView(key);
    this.#viewing.set(key, making);
    try {
      const view = await making;
      // One that was dropped meanwhile is answered, and not kept.
      if (this.#viewing.get(key) === making) this.#views.set(key, view);
      return view;
    } finally {
      if (this.#viewing.get(key) === making) this.#viewing.delete(key);
    }
  }

  /** All roots of the volume, oldest first. What can't be read is told to `onProblem`. */
  async list(volumeId: VolumeId): Promise<ListedRoot[]> {
    const keys: string[] = [];
    try {
      for await (const { key } of this.#store.list(rootsPrefix(volumeId))) keys.push(key);
    } catch (error) {
      throw fromStoreError(error, `listing the roots of ${volumeId}`);
    }
    keys.sort();
    const texts = new Map(keys.map((key) => [key, key]));
    return Promise.all(
      keys.map((rootKey) =>
        this.#requests.run(async () => ({ rootKey, description: await this.#describe(rootKey, texts) })),
      ),
    );
  }

  /** Takes note of a root that was just written, over the view of its parent: the next step is made of it. */
  add(key: string, root: Root, parent: RootView | undefined): void {
    this.#views.set(key, viewOf(key, root, parent));
  }

  /**
   * Deletes roots of the volume. Rejects where one that stays stands on one of them, or may, and deletes nothing then.
   * The newest goes first, so that a crash on the way leaves none that can't be read.
   */
  async delete(volumeId: VolumeId, keys: readonly string[]): Promise<void> {
    const going = new Set(keys);
    const all = await this.list(volumeId);
    for (const { rootKey, description } of all) {
      if (going.has(rootKey)) continue;
      const needed =
        description === undefined
          ? keys.find((key) => key < rootKey)
          : [description.checkpointKey, ...(description.chainKeys ?? [])].find(
              (key) => key !== undefined && going.has(key),
            );
      if (needed === undefined) continue;
      const stands = description === undefined ? "can't be read, and may stand" : "stands";
      throw new VaultError("inUse", `${rootKey} ${stands} on ${needed}`);
    }
    for (const { rootKey } of all.reverse()) {
      if (!going.has(rootKey)) continue;
      this.#forget(rootKey);
      try {
        await this.#store.delete([rootKey]);
      } catch (error) {
        throw fromStoreError(error, `deleting ${rootKey}`);
      }
    }
  }

  #forget(key: string): void {
    this.#views.delete(key);
    this.#viewing.delete(key);
    this.#descriptions.delete(key);
  }

  async #read(key: string): Promise<Root> {
    let object: Buffer;
    try {
      object = await this.#store.get(key);
    } catch (error) {
      throw fromStoreError(error, `reading ${key}`);
    }
    return decodeRoot(key, this.#sealer.unsealJson(key, object));
  }

  async #makeView(key: string): Promise<RootView> {
    const root = await this.#read(key);
    if (root.kind === "checkpoint") {
      return { rootKey: key, root, checkpointKey: key, checkpoint: root, overlay: NO_CHANGES };
    }
    const base = baseKeys(root);
    // The newest root of the chain that is at hand saves those before it: most often all of them.
    let first = base.length - 1;
    while (first > 0 && this.#views.get(base[first] ?? "") === undefined) first -= 1;
    const known = this.#views.get(base[first] ?? "");
    const missing = base.slice(known === undefined ? first : first + 1);
    const read = await Promise.all(missing.map((each) => this.#requests.run(() => this.#read(each))));
    let view = known;
    for (const [i, each] of [...read, root].entries()) view = onto(view, missing[i] ?? key, each);
    if (view === undefined || view.checkpointKey !== root.checkpointKey)
      throw new VaultError("corrupt", `${key} stands on a root that does not fit`);
    return view;
  }

  async #describe(key: string, texts: ReadonlyMap<string, string>): Promise<RootDescription | undefined> {
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
    const one = (text: string) => texts.get(text) ?? text;
    const description: RootDescription = {
      rootKey: key,
      generation,
      epoch,
      kind,
      cutAtMs,
      sizeBytes,
      fullBytes: nonZeroBlocks * blockBytes,
      ...(root.kind === "step" && {
        checkpointKey: one(root.checkpointKey),
        chainKeys: root.chainKeys.map(one),
      }),
    };
    this.#descriptions.set(key, description);
    return description;
  }
}

/** The view of a root that was just made over `parent`. */
export function viewOf(key: string, root: Root, parent: RootView | undefined): RootView {
  return onto(root.kind === "step" ? parent : undefined, key, root);
}

/** The next root of a chain over the view of the one before it; undefined before its checkpoint. */
function onto(below: RootView | undefined, key: string, root: Root): RootView {
  if (below === undefined && root.kind === "checkpoint") {
    return { rootKey: key, root, checkpointKey: key, checkpoint: root, overlay: NO_CHANGES };
  }
  if (below === undefined || root.kind !== "step" || !fits(below, root))
    throw new VaultError("corrupt", `${key} stands on a root that does not fit`);
  const { checkpointKey, checkpoint } = below;
  return { rootKey: key, root, checkpointKey, checkpoint, overlay: below.overlay.under(root.entries) };
}

/** Whether the step was made of just this root: a chain that lacks a link, or has a wrong one, is damage. */
function fits({ rootKey, root: below, checkpointKey, checkpoint }: RootView, step: Step): boolean {
  const entriesBelow = below.kind === "step" ? below.chainEntries : 0;
  const chainBelow = below.kind === "step" ? [...below.chainKeys, rootKey] : [];
  return (
    step.parentRootKey === rootKey &&
    step.checkpointKey === checkpointKey &&
    step.chainKeys.length === chainBelow.length &&
    step.chainKeys.every((key, i) => key === chainBelow[i]) &&
    step.checkpointCutAtMs === checkpoint.cutAtMs &&
    step.chainEntries === entriesBelow + step.entries.size &&
    step.volumeId === below.volumeId &&
    step.sizeBytes === below.sizeBytes &&
    step.blockBytes === below.blockBytes
  );
}

function viewBytes({ root, overlay }: RootView): number {
  const chainBytes = root.kind === "step" ? root.chainKeys.length * KEY_BYTES + root.entries.memoryBytes : 0;
  return VIEW_BYTES_MIN + chainBytes + overlay.memoryBytes;
}
