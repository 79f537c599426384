/** The stand-alone reader (tools/restore.py), which knows the format from its description alone. */
import { strict as assert } from "node:assert";
import { execFile, spawnSync } from "node:child_process";
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, describe, test } from "node:test";
import { fileURLToPath } from "node:url";
import { promisify } from "node:util";
import { DirectoryStore } from "../../src/objects/directory.ts";
import type { SnapshotId, VolumeId } from "../../src/platform/ids.ts";
import { Vault } from "../../src/vault/vault.ts";
import { SeededRandom } from "../kit/seeded-random.ts";
import {
  BLOCK,
  BLOCKS,
  KEY_FILE,
  keysOf,
  options,
  randomChanges,
  record,
  rot,
  START_MS,
  upload,
  VOLUME,
} from "../kit/vault-kit.ts";

const READER = fileURLToPath(new URL("../../tools/restore.py", import.meta.url));
const python = "/usr/bin/python3";
const imports = ["-c", "import cryptography, zstandard"];
const skip =
  spawnSync(python, imports).status === 0 ? false : "missing: python3-cryptography python3-zstandard";

describe("the reader in Python", { skip }, () => {
  const folder = mkdtempSync(join(tmpdir(), "sg-reader-"));
  after(() => rmSync(folder, { recursive: true, force: true }));
  const keyFile = join(folder, "vault.key");
  const vaultFolder = join(folder, "vault");
  const read = (...args: string[]) =>
    promisify(execFile)(python, [READER, "--vault", vaultFolder, "--key-file", keyFile, ...args]);

  test("restores checkpoints, steps and deltas bit for bit, names damage, and refuses a wrong key", async () => {
    writeFileSync(keyFile, KEY_FILE, { mode: 0o600 });
    const random = new SeededRandom(12);
    const store = await DirectoryStore.open(vaultFolder);
    const vault = await Vault.open(options(store));
    const model = randomChanges(random, 500);
    let parentRootKey: string | undefined;
    const roots: { key: string; content: Buffer }[] = [];
    for (let epoch = 1; epoch <= 8; epoch++) {
      const changes = epoch === 1 ? model : patched(random, model);
      for (const [block, content] of changes) model.set(block, content);
      const pieces = new Map([...changes.keys()].map((block) => [block, epoch === 1 ? 0xffff : 2]));
      const kind = epoch % 3 === 0 ? "checkpoint" : "step";
      const more = { parentRootKey, kind, cutAtMs: START_MS + epoch } as const;
      parentRootKey = (await upload(vault, { epoch, changes, pieces, ...more })).rootKey;
      const zeros = Buffer.alloc(BLOCK);
      roots.push({
        key: parentRootKey,
        content: Buffer.concat(Array.from({ length: BLOCKS }, (_, i) => model.get(i) ?? zeros)),
      });
    }
    const kinds = (await vault.listRoots(VOLUME as VolumeId)).map(({ kind }) => kind);
    assert(kinds.includes("step") && kinds.includes("checkpoint"));
    await vault.records.putSnapshot(
      record({
        snapshotId: "snap-0123456789abcdef0" as SnapshotId,
        rootKey: roots[7]?.key ?? "",
        description: "Grüße aus dem Kübel",
      }),
    );
    await vault.close();

    assert.match((await read("list")).stdout, /snap-0123456789abcdef0 .*Grüße aus dem Kübel/);
    for (const [i, { key, content }] of roots.entries()) {
      const image = join(folder, `image-${i}`);
      await read("restore", i === 7 ? "snap-0123456789abcdef0" : key, image);
      assert(readFileSync(image).equals(content), `${key} was restored wrongly`);
    }
    await assert.rejects(
      promisify(execFile)(python, [READER, "--vault", vaultFolder, "--key-file", READER, "list"]),
      /the key does not open this vault/,
    );

    const [pack] = await keysOf(store, "packs/");
    assert(pack !== undefined);
    await rot(store, pack, 100);
    const image = join(folder, "damaged");
    await assert.rejects(read("restore", roots[7]?.key ?? "", image), /damaged: record \d+ of pack/);
    rmSync(image);
    await assert.rejects(
      read("restore", "--holes", roots[7]?.key ?? "", image),
      /block \d+ at byte \d+: record/,
    );
    const restored = readFileSync(image);
    const expected = roots[7]?.content ?? Buffer.alloc(0);
    let different = 0;
    for (let at = 0; at < expected.length; at += BLOCK)
      if (restored.compare(expected, at, at + BLOCK, at, at + BLOCK) !== 0) different += 1;
    // The turned bit is in one record; a few blocks may be made of it.
    assert(different >= 1 && different <= 100, `${different} blocks differ`);
  });
});

/** Blocks of the model with the second of their sixteen pieces changed. */
function patched(random: SeededRandom, model: ReadonlyMap<number, Buffer>): Map<number, Buffer> {
  const changes = new Map<number, Buffer>();
  for (let i = 0; i < 40; i++) {
    const block = random.below(BLOCKS);
    const content = Buffer.from(model.get(block) ?? Buffer.alloc(BLOCK));
    random.bytes(BLOCK / 16).copy(content, BLOCK / 16);
    changes.set(block, content);
  }
  return changes;
}
