/** What the vault's tests share: vaults over stores in memory, and epochs of random blocks. */
import { strict as assert } from "node:assert";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after } from "node:test";
import type { MemoryStore } from "../../src/objects/memory.ts";
import type { ObjectStore } from "../../src/objects/object-store.ts";
import type { SnapshotId, VolumeId } from "../../src/platform/ids.ts";
import { KeyRing } from "../../src/vault/key-ring.ts";
import { ObjectSealer } from "../../src/vault/sealed-object.ts";
import type { SnapshotRecord } from "../../src/vault/snapshot-record.ts";
import { Vault, type VaultOptions } from "../../src/vault/vault.ts";
import { openOrCreateVault } from "../../src/vault/vault-json.ts";
import { ManualClock } from "./manual-clock.ts";
import { MemoryEpoch } from "./memory-epoch.ts";
import { SeededRandom } from "./seeded-random.ts";

const folder = mkdtempSync(join(tmpdir(), "sg-vault-"));
after(() => rmSync(folder, { recursive: true, force: true }));

export const START_MS = 1_700_000_000_000;
export const BLOCK = 4096;
export const BLOCKS = 1000;
export const VOLUME = "vol-0123456789abcdef0";
export const KEY_FILE = Buffer.alloc(32, 7);
let files = 0;

function indexPath(): string {
  files += 1;
  return join(folder, `index-${files}`);
}

export function options(store: ObjectStore, over: Partial<VaultOptions> = {}): VaultOptions {
  return {
    store,
    keyFile: KEY_FILE,
    indexPath: indexPath(),
    ownerId: "gateway-a",
    random: new SeededRandom(files),
    clock: new ManualClock(),
    ...over,
  };
}

interface Uploading {
  readonly epoch: number;
  readonly changes: ReadonlyMap<number, Buffer>;
  readonly parentRootKey?: string | undefined;
  readonly blocks?: number;
  readonly volumeId?: string;
  readonly kind?: "checkpoint" | "step";
  readonly cutAtMs?: number;
  readonly pieces?: ReadonlyMap<number, number>;
}

export function upload(
  vault: Vault,
  { epoch, changes, parentRootKey, blocks = BLOCKS, volumeId = VOLUME, ...rest }: Uploading,
) {
  const sizeBytes = blocks * BLOCK;
  return vault.uploadEpoch(
    new MemoryEpoch({ volumeId, epoch, sizeBytes, blockBytes: BLOCK, parentRootKey, changes, ...rest }),
  );
}

/** Blocks of random bytes, some zero, some equal to each other. */
export function randomChanges(random: SeededRandom, count: number, blocks = BLOCKS): Map<number, Buffer> {
  const changes = new Map<number, Buffer>();
  for (let i = 0; i < count; i++) {
    const kind = random.below(10);
    const block =
      kind < 2
        ? Buffer.alloc(BLOCK)
        : kind < 4
          ? Buffer.alloc(BLOCK, random.below(3) + 1)
          : random.bytes(BLOCK);
    changes.set(random.below(blocks), block);
  }
  return changes;
}

export async function keysOf(store: ObjectStore, prefix = ""): Promise<string[]> {
  const keys: string[] = [];
  for await (const { key } of store.list(prefix)) keys.push(key);
  return keys;
}

/** The same object with one bit turned over. */
export async function rot(store: ObjectStore, key: string, at: number): Promise<void> {
  const object = await store.get(key);
  object[at] = (object[at] ?? 0) ^ 0x10;
  await store.put(key, object);
}

export async function expectContent(
  vault: Vault,
  rootKey: string,
  model: ReadonlyMap<number, Buffer>,
  blocks = BLOCKS,
) {
  for (let first = 0; first < blocks; first += 97) {
    const count = Math.min(97, blocks - first);
    const content = await vault.readBlocks(rootKey, first, count);
    const expected = Buffer.concat(
      Array.from({ length: count }, (_, i) => model.get(first + i) ?? Buffer.alloc(BLOCK)),
    );
    assert(content.equals(expected), `${rootKey}: blocks from ${first} on`);
    await vault.readInto(rootKey, first, count, content.fill(1));
    assert(content.equals(expected), `${rootKey}: blocks from ${first} on, in bulk`);
  }
  const nonZero = [...model].filter(([, b]) => !b.equals(Buffer.alloc(BLOCK))).map(([block]) => block);
  const found: number[] = [];
  for (let at = 0; at < blocks; ) {
    const next = await vault.nonZeroBlocks(rootKey, at, Math.min(701, blocks - at), 53);
    assert(next.end > at && next.end <= blocks && next.blocks.length <= 53);
    assert(next.blocks.every((block) => block >= at && block < next.end));
    found.push(...next.blocks);
    at = next.end;
  }
  assert.deepEqual(
    found,
    nonZero.sort((a, b) => a - b),
  );
}

export function record(over: Partial<SnapshotRecord> = {}): SnapshotRecord {
  return {
    snapshotId: "snap-0123456789abcdef0" as SnapshotId,
    volumeId: VOLUME as VolumeId,
    volumeArn: "arn",
    rootKey: "volumes/x/roots/1",
    description: "a description",
    tags: [{ key: "k", value: "v" }],
    volumeSizeBytes: 4096,
    startedAtMs: 1,
    completedAtMs: 2,
    fullBytes: 3,
    ...over,
  };
}

/** A checkpoint with block 0 set, and steps that each set one block more; their keys. */
export async function chainOf(store: MemoryStore, steps: number): Promise<string[]> {
  const vault = await Vault.open(options(store));
  const keys: string[] = [];
  for (let i = 0; i <= steps; i++) {
    const changes = new Map([[i, Buffer.alloc(BLOCK, Math.max(i, 1))]]);
    const parent = keys.at(-1);
    const { rootKey } = await upload(vault, {
      epoch: i + 1,
      changes,
      parentRootKey: parent,
      kind: "step",
      cutAtMs: START_MS + i,
    });
    keys.push(rootKey);
  }
  await vault.close();
  return keys;
}

/** What seals and opens the objects of the vault that is in the store. */
export async function sealerOf(store: ObjectStore): Promise<ObjectSealer> {
  const random = new SeededRandom(1);
  const defaults = { blockBytes: BLOCK, packBytes: BLOCK };
  const { vaultId, masterKey } = await openOrCreateVault(
    store,
    { keyFile: KEY_FILE },
    random,
    defaults,
    undefined,
  );
  return new ObjectSealer(new KeyRing(masterKey), vaultId, random);
}
