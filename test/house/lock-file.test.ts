import { strict as assert } from "node:assert";
import { readFileSync } from "node:fs";
import { test } from "node:test";

interface LockEntry {
  readonly version?: string;
  readonly optionalDependencies?: Readonly<Record<string, string>>;
}

const lock = JSON.parse(readFileSync(new URL("../../package-lock.json", import.meta.url), "utf8")) as {
  readonly packages: Readonly<Record<string, LockEntry>>;
};

// npm leaves out what a registry does not have, and then "npm ci" refuses the file that npm itself has written.
test("the lock file names the packages of every platform, so that npm ci takes it everywhere", () => {
  const missing = Object.entries(lock.packages).flatMap(([path, { optionalDependencies = {} }]) =>
    Object.keys(optionalDependencies).filter((name) => {
      const own = `${path}${path === "" ? "" : "/"}node_modules/${name}`;
      return lock.packages[own] === undefined && lock.packages[`node_modules/${name}`] === undefined;
    }),
  );
  assert.deepEqual(missing, []);
});

test("the lock file is of this package.json", () => {
  const read = (path: string) => JSON.parse(readFileSync(new URL(path, import.meta.url), "utf8"));
  const { dependencies, devDependencies, optionalDependencies } = read("../../package.json");
  const root = lock.packages[""] as Record<string, unknown>;
  assert.deepEqual(root.dependencies, dependencies);
  assert.deepEqual(root.devDependencies, devDependencies);
  assert.deepEqual(root.optionalDependencies, optionalDependencies);
});
