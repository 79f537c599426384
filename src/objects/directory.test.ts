import { strict as assert } from "node:assert";
import { promises as fs, mkdirSync, mkdtempSync, readlinkSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, describe, mock, test } from "node:test";
import { DirectoryStore } from "./directory.ts";

const folder = mkdtempSync(join(tmpdir(), "sg-directory-"));
after(() => rmSync(folder, { recursive: true, force: true }));

/** The paths that were synced while `action` ran. */
async function synced(action: () => Promise<unknown>): Promise<Set<string>> {
  const handle = await fs.open(folder, "r");
  const prototype = Object.getPrototypeOf(handle) as fs.FileHandle;
  await handle.close();
  const paths = new Set<string>();
  const original = prototype.sync;
  const watch = mock.method(prototype, "sync", function sync(this: fs.FileHandle) {
    paths.add(readlinkSync(`/proc/self/fd/${this.fd}`));
    return original.call(this);
  });
  try {
    await action();
  } finally {
    watch.mock.restore();
  }
  return paths;
}

describe("an object in a folder is durable when it is answered", {
  skip: process.platform !== "linux",
}, () => {
  test("also where somebody else made its folder, and perhaps died before that was durable", async () => {
    const root = join(folder, "made");
    const store = await DirectoryStore.open(root);
    mkdirSync(join(root, "volumes", "v", "roots"), { recursive: true });
    const paths = await synced(() => store.put("volumes/v/roots/1", Buffer.from("1"), { ifAbsent: true }));
    for (const each of ["volumes/v/roots", "volumes/v", "volumes", ""])
      assert(paths.has(join(root, each)), `${each} was not synced`);
    // From then on the folder itself is all that has to be.
    const later = await synced(() => store.put("volumes/v/roots/2", Buffer.from("2")));
    assert(later.has(join(root, "volumes/v/roots")) && !later.has(root));
  });

  test("also where it was there, as one whose writer died before the end is", async () => {
    const root = join(folder, "there");
    await (await DirectoryStore.open(root)).put("roots/1", Buffer.from("1"));
    const store = await DirectoryStore.open(root);
    let answer: unknown;
    const paths = await synced(async () => {
      answer = await store.put("roots/1", Buffer.from("1"), { ifAbsent: true });
    });
    assert.equal(answer, "exists");
    assert(paths.has(join(root, "roots")) && paths.has(root));
  });
});
