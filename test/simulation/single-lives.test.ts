/** What has lost data, or would have, and is met too rarely by random lives: each as its own short one. */
import { strict as assert } from "node:assert";
import { describe, test } from "node:test";
import type { EngineVolume } from "../../src/volume/engine-volume.ts";
import { BLOCK_BYTES } from "../../src/volume/geometry.ts";
import { GATEWAY, SingleLife } from "./single-life.ts";

/** A stored volume whose blocks are still in the bucket: all of them hold 7, but the third, which is zeros. */
async function restored(life: SingleLife) {
  await life.storage();
  const source = life.definition("cached", 1);
  const from = await life.open(source);
  for (let block = 0; block < 8; block++) if (block !== 2) await life.write(from, block, 7);
  const parentRootKey = await life.snapshot(source);
  life.disk.addDisk("/disk-2", source.sizeBytes);
  const definition = life.definition("stored", 2, { parentRootKey });
  life.vault.unavailable = 1;
  return { definition, volume: await life.open(definition) };
}

describe("a restored volume whose blocks are still to come", () => {
  for (const changes of [1, 2, 3, 4, 5]) {
    test(`a write that the death of the process cuts short after ${changes} changes, and a snapshot`, async () => {
      const life = new SingleLife();
      const { definition, volume } = await restored(life);
      // The region is logged, and the map's page is there: what follows is a mark, and the bytes.
      await life.write(volume, 0, 1);
      life.disk.dieWithin(changes);
      for (const block of [1, 2, 3]) {
        if (life.disk.isDying) await life.write(volume, block, 2).catch(() => {});
      }
      await life.restart("kill");
      const again = await life.open(definition);
      const epoch = await life.cut(definition);
      life.vault.unavailable = 0;
      life.vault.slow = true;
      const rootKey = await life.rootOf(definition, epoch);
      for (let block = 0; block < 8; block++)
        assert.equal(await life.blockOf(rootKey, block), await life.read(again, block), `block ${block}`);
      assert.equal(await life.read(again, 0), 1);
      assert.equal(await life.read(again, 7), 7);
    });
  }

  test("a clean shutdown, and the power goes: what was written is there, and what was not still comes", async () => {
    for (let attempt = 0; attempt < 8; attempt++) {
      const life = new SingleLife();
      for (let i = 0; i < attempt; i++) life.disk.skipRandom();
      const { definition, volume } = await restored(life);
      for (const block of [0, 1, 2]) await life.write(volume, block, 1);
      await life.settled(life.fleet.close());
      await life.restart("power");
      const again = await life.open(definition);
      life.vault.unavailable = 0;
      for (let block = 0; block < 8; block++)
        assert.equal(await life.read(again, block), block < 3 ? 1 : 7, `block ${block}`);
    }
  });

  for (const dies of ["kill", "power"] as const) {
    test(`a write that can't be recorded takes nothing along that comes after it: ${dies}`, async () => {
      const life = new SingleLife();
      const { definition, volume } = await restored(life);
      life.disk.faults.full = `/volumes/${definition.volumeId}/hydrated`;
      await assert.rejects(life.write(volume, 3, 9), { kind: "noSpace" });
      life.disk.faults.full = undefined;
      life.vault.unavailable = 0;
      // A part of the block: it has to come first.
      await life.write(volume, 3, 8, 4096);
      await life.settled(volume.flush());
      await life.restart(dies);
      const bytes = Buffer.alloc(BLOCK_BYTES);
      const again = await life.open(definition);
      await life.settled(again.read(3 * BLOCK_BYTES, bytes, 0, BLOCK_BYTES));
      assert.deepEqual([bytes[0], bytes[4095], bytes[4096]], [8, 8, 7]);
    });
  }

  test("a write for which there is no room, and a snapshot", async () => {
    let looked = 0;
    for (let attempt = 0; attempt < 20; attempt++) {
      const life = new SingleLife();
      for (let i = 0; i < attempt; i++) life.disk.skipRandom();
      const { definition, volume } = await restored(life);
      await life.write(volume, 0, 1);
      life.disk.faults.fullness = 0.4;
      const wanted = new Map<number, number[]>([1, 2, 3].map((block) => [block, [block === 2 ? 0 : 7]]));
      for (const block of [1, 2, 3]) {
        await life.write(volume, block, 2).then(
          () => wanted.set(block, [2]),
          () => wanted.get(block)?.push(2),
        );
      }
      life.disk.faults.fullness = 0;
      // Nor for the zeros in its place: it waits for the next start.
      if (volume.failure !== undefined) continue;
      looked += 1;
      const epoch = await life.cut(definition);
      life.vault.unavailable = 0;
      life.vault.slow = true;
      const rootKey = await life.rootOf(definition, epoch);
      for (let block = 0; block < 8; block++) {
        const found = await life.read(volume, block);
        assert.equal(await life.blockOf(rootKey, block), found, `block ${block}, attempt ${attempt}`);
        const may = wanted.get(block) ?? [block === 0 ? 1 : 7];
        assert(may.includes(found), `block ${block} has ${found}`);
      }
    }
    assert(looked > 5);
  });
});

describe("a volume that grows", () => {
  for (const kind of ["stored", "cached"] as const) {
    test(`${kind}, while a cut waits that knew nothing of the new blocks`, async () => {
      const life = new SingleLife();
      await life.storage();
      // One page of the dirty map, and then two.
      const sizeBytes = 4096 * BLOCK_BYTES;
      const definition = life.definition(kind, 1, { sizeBytes });
      if (kind === "stored") life.disk.addDisk("/disk-1", sizeBytes);
      const volume = await life.open(definition);
      life.vault.unavailable = 1;
      await life.write(volume, 1, 1);
      await life.cut(definition);
      life.disk.open("/disk-1", { create: true, sizeBytes: sizeBytes + 4 * BLOCK_BYTES });
      await life.settled(life.fleet.grow(definition.volumeId, sizeBytes + 4 * BLOCK_BYTES));
      await life.write(volume, 4097, 2);
      await life.write(volume, 1, 3);
      assert.equal(volume.failure, undefined);
      life.vault.unavailable = 0;
      const rootKey = await life.snapshot(definition);
      assert.equal(await life.blockOf(rootKey, 4097), 2);
      assert.equal(await life.blockOf(rootKey, 1), 3);
      assert.equal(await life.blockOf(life.uploaded.get(`${definition.volumeId} 1`) ?? "", 1), 1);
    });
  }
});

describe("a volume that leaves", () => {
  test("a loss of power does not bring back what it had here, under the one that comes again", async () => {
    const life = new SingleLife();
    await life.storage();
    const definition = life.definition("cached", 1);
    const volume = await life.open(definition);
    for (let i = 1; i <= 3; i++) {
      await life.write(volume, 1, i);
      await life.snapshot(definition);
    }
    await life.settled(volume.flush());
    await life.settled(life.fleet.remove(definition));
    // It was elsewhere meanwhile: it comes with another content.
    const other = life.definition("cached", 2);
    const elsewhere = await life.open(other);
    await life.write(elsewhere, 1, 9);
    const parentRootKey = await life.snapshot(other);
    await life.settled(life.fleet.remove(other));
    await life.restart("power");
    const again = await life.open({ ...definition, parentRootKey });
    assert.equal(await life.read(again, 1), 9);
    assert.equal(life.disk.list("/volumes/vol-00000000000000002").length, 0);
  });

  test("a stored one leaves its disk as the guest saw it, whatever waits for the bucket", async () => {
    for (const dies of [false, true]) {
      const life = new SingleLife();
      await life.storage();
      life.disk.addDisk("/disk-1", 8 * BLOCK_BYTES);
      const definition = life.definition("stored", 1);
      const volume = await life.open(definition);
      life.vault.unavailable = 1;
      for (let i = 1; i <= 3; i++) {
        await life.write(volume, 1, i);
        await life.cut(definition);
      }
      await life.write(volume, 1, 4, 4096);
      // In the middle of it, too: the next start goes on.
      if (dies) {
        life.disk.dieWithin(12);
        await life.settled(life.fleet.remove(definition)).catch(() => {});
        await life.restart("kill");
      }
      await life.settled(life.fleet.remove(definition));
      const image = life.disk.readFile("/disk-1");
      assert.deepEqual([image?.[BLOCK_BYTES], image?.[BLOCK_BYTES + 4096]], [4, 3]);
    }
  });
});

describe("disks that are not the ones they were", () => {
  test("a blank cache disk in the place of the one with unsent data is not taken for it", async () => {
    const life = new SingleLife();
    await life.storage();
    const definition = life.definition("cached", 1);
    const volume = await life.open(definition);
    await life.write(volume, 1, 1);
    await life.restart("close");
    life.disk.addDisk("/cache", 14 * BLOCK_BYTES);
    life.disk.kill();
    await assert.rejects(life.restart("kill"), /cache/);
    await assert.rejects(life.open(definition), /not the disk/);
  });

  test("nor are two slot disks that have changed places", async () => {
    const life = new SingleLife();
    await life.storage();
    const definition = life.definition("cached", 1);
    const volume = await life.open(definition);
    await life.write(volume, 1, 1);
    await life.settled(life.fleet.close());
    life.disk.swap("/cache", "/buffer");
    await assert.rejects(life.restart("kill"), /not the disk/);
    await assert.rejects(life.open(definition), /not the disk/);
    life.disk.swap("/cache", "/buffer");
    await life.restart("kill");
    assert.equal(await life.read(await life.open(definition), 1), 1);
  });

  test("a cache that was reset may have a new disk in its old place", async () => {
    const life = new SingleLife();
    await life.storage();
    const definition = life.definition("cached", 1);
    const volume = await life.open(definition);
    await life.write(volume, 1, 1);
    await life.snapshot(definition);
    await life.settled(life.fleet.resetCache(GATEWAY, [definition], "reset"));
    life.disk.addDisk("/cache", 14 * BLOCK_BYTES);
    await life.storage();
    assert.equal(await life.read(await life.open(definition), 1), 1);
  });

  test("a stored volume's file that was cut short is not made as long again", async () => {
    const life = new SingleLife();
    await life.storage();
    life.disk.addDisk("/disk-1", 8 * BLOCK_BYTES);
    const definition = life.definition("stored", 1);
    await life.write(await life.open(definition), 7, 1);
    await life.restart("close");
    life.disk.addDisk("/disk-1", 4 * BLOCK_BYTES);
    await assert.rejects(life.open(definition), /what is there now/);
    life.disk.addDisk("/disk-1", 8 * BLOCK_BYTES);
    await life.open(definition);
  });

  test("a disk with data is not emptied because the volume's own files are gone", async () => {
    for (const kind of ["stored", "cached"] as const) {
      const life = new SingleLife();
      await life.storage();
      life.disk.addDisk("/disk-1", 8 * BLOCK_BYTES);
      const definition = life.definition(kind, 1);
      const volume = await life.open({ ...definition, isNew: true });
      await life.write(volume, 1, 5);
      await life.restart("close");
      life.disk.removeFolder("/volumes/vol-00000000000000001");
      await assert.rejects(life.open({ ...definition, isNew: false }), /own files/);
      if (kind === "stored") assert.equal(life.disk.readFile("/disk-1")?.[BLOCK_BYTES], 5);
    }
  });
});

describe("a read that waits for a disk", () => {
  /** Starts a read of block 1; what is to be read is not in memory until it is settled. */
  const startRead = (life: SingleLife, volume: EngineVolume) => {
    life.disk.faults.absence = 1;
    const bytes = Buffer.alloc(BLOCK_BYTES);
    assert.equal(volume.tryRead(BLOCK_BYTES, bytes, 0, BLOCK_BYTES), false);
    const reading = volume.read(BLOCK_BYTES, bytes, 0, BLOCK_BYTES);
    return async () => {
      life.disk.faults.absence = 0;
      await life.settled(reading);
      assert(bytes.every((byte) => byte === bytes[0]));
      return bytes[0];
    };
  };

  for (const kind of ["stored", "cached"] as const) {
    test(`finds what was written meanwhile: a ${kind} volume`, async () => {
      const life = new SingleLife();
      await life.storage();
      const definition = life.definition(kind, 1);
      if (kind === "stored") life.disk.addDisk("/disk-1", 8 * BLOCK_BYTES);
      const volume = await life.open(definition);
      await life.write(volume, 1, 1);
      // Frozen, so that the next version has another place.
      life.vault.unavailable = 1;
      await life.cut(definition);
      const read = startRead(life, volume);
      await life.write(volume, 1, 2);
      assert.equal(await read(), 2);
    });
  }

  test("does not take what its place holds for another block by now", async () => {
    const life = new SingleLife();
    await life.storage();
    const definition = life.definition("cached", 1, { sizeBytes: 64 * BLOCK_BYTES });
    const volume = await life.open(definition);
    await life.write(volume, 1, 1);
    await life.snapshot(definition);
    const read = startRead(life, volume);
    // The slot is clean: others take it, all of the cache.
    for (let block = 2; block < 40; block++) {
      await life.write(volume, block, 100);
      if (block % 6 === 0) await life.snapshot(definition);
    }
    assert.equal(await read(), 1);
  });

  test("ends when the volume is closed", async () => {
    const life = new SingleLife();
    await life.storage();
    life.disk.addDisk("/disk-1", 8 * BLOCK_BYTES);
    const volume = await life.open(life.definition("stored", 1));
    await life.write(volume, 1, 1);
    const read = startRead(life, volume);
    await Promise.all([assert.rejects(read(), /closed/), life.settled(life.fleet.close())]);
  });

  test("comes to an end where memory is so short that nothing stays", async () => {
    const life = new SingleLife();
    await life.storage();
    life.disk.addDisk("/disk-1", 8 * BLOCK_BYTES);
    const volume = await life.open(life.definition("stored", 1));
    await life.write(volume, 1, 7);
    life.disk.faults.absence = 1;
    assert.equal(await life.read(volume, 1), 7);
  });
});

test("what is near is read from a cold disk, and not from the vault", async () => {
  const life = new SingleLife();
  const definition = life.definition("cached", 1);
  await life.storage();
  const from = await life.open(definition);
  await life.write(from, 1, 7);
  const parentRootKey = await life.snapshot(definition);
  const volume = await life.open(life.definition("cached", 2, { parentRootKey }));
  await life.write(volume, 3, 8);
  life.disk.faults.absence = 1;
  const bytes = Buffer.alloc(BLOCK_BYTES);
  const near = (block: number) => life.settled(volume.readNear(block * BLOCK_BYTES, bytes, 0, BLOCK_BYTES));
  assert.equal(await near(3), true);
  assert(bytes.every((byte) => byte === 8));
  assert.equal(await near(1), false);
});

describe("what is expected to be read", () => {
  const expecting = async () => {
    const life = new SingleLife();
    await life.storage();
    const source = life.definition("cached", 1);
    const from = await life.open(source);
    for (let block = 0; block < 8; block++) await life.write(from, block, 7);
    const parentRootKey = await life.snapshot(source);
    const volume = await life.open(life.definition("cached", 2, { parentRootKey }));
    return { life, volume };
  };

  test("is fetched in one piece, and not again when it is read", async () => {
    const { life, volume } = await expecting();
    const { readBlocks } = life.vault;
    const fetches: string[] = [];
    life.vault.readBlocks = (rootKey, first, count, ...rest) => {
      fetches.push(`${first}+${count}`);
      return readBlocks.call(life.vault, rootKey, first, count, ...rest);
    };
    volume.expect(BLOCK_BYTES + 512, 4 * BLOCK_BYTES);
    for (let block = 1; block < 6; block++) assert.equal(await life.read(volume, block), 7);
    assert.deepEqual(fetches, ["1+5"]);
  });

  test("does not cover what is written before it comes, and may fail: then it is fetched when it is read", async () => {
    const { life, volume } = await expecting();
    volume.expect(0, 8 * BLOCK_BYTES);
    await life.write(volume, 2, 8);
    for (let block = 0; block < 8; block++) assert.equal(await life.read(volume, block), block === 2 ? 8 : 7);
    const other = await expecting();
    other.life.vault.unavailable = 1;
    other.volume.expect(0, 8 * BLOCK_BYTES);
    for (let i = 0; i < 20; i++) await new Promise((resolve) => setImmediate(resolve));
    other.life.vault.unavailable = 0;
    for (let block = 0; block < 8; block++) assert.equal(await other.life.read(other.volume, block), 7);
  });
});

describe("a sector that can't be read", () => {
  for (const kind of ["stored", "cached"] as const) {
    test(`is the trouble of those who want it, and of nobody else: a ${kind} volume`, async () => {
      const life = new SingleLife();
      await life.storage();
      const definition = life.definition(kind, 1);
      if (kind === "stored") life.disk.addDisk("/disk-1", 8 * BLOCK_BYTES);
      const volume = await life.open(definition);
      for (let block = 0; block < 4; block++) await life.write(volume, block, block + 1);
      // All of the last block's second piece, wherever it is.
      const isWanted = 3 * BLOCK_BYTES;
      const path = kind === "stored" ? "/disk-1" : "/cache";
      const image = life.disk.readFile(path);
      assert(image !== undefined);
      const at = image.indexOf(Buffer.alloc(BLOCK_BYTES, 4)) + 4096;
      life.disk.spoil(
        path,
        Array.from({ length: 8 }, (_, i) => at / 512 + i),
      );
      life.disk.faults.isSpoilt = true;
      const bytes = Buffer.alloc(BLOCK_BYTES);
      const read = (offset: number, length: number) => life.settled(volume.read(offset, bytes, 0, length));
      const bad = { kind: "mediumError" };
      await assert.rejects(read(isWanted, BLOCK_BYTES), bad);
      await assert.rejects(read(isWanted + 4096, 512), bad);
      // Asked for twice, it was: before and after the disk has said so.
      assert(life.disk.failedBrings <= 2, `${life.disk.failedBrings} tries of a disk that may take long`);
      await read(isWanted, 4096);
      assert.equal(bytes[0], 4);
      if (kind === "cached") {
        // A part of it can't be written where the rest has to be kept: into another slot.
        life.vault.unavailable = 1;
        await life.cut(definition);
        await assert.rejects(life.settled(volume.write(isWanted + 4096, Buffer.alloc(512, 9), 0, 512)), bad);
      }
      for (let block = 0; block < 3; block++) assert.equal(await life.read(volume, block), block + 1);
      await life.settled(volume.unmap(isWanted, BLOCK_BYTES));
      assert.equal(await life.read(volume, 3), 0);
      assert.equal(volume.failure, undefined);
    });
  }
});
