/** What is shipped with the program may be shipped, says so, and is not known to be broken. */
import { strict as assert } from "node:assert";
import { spawnSync } from "node:child_process";
import { existsSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { describe, test } from "node:test";
import { fileURLToPath } from "node:url";

const root = fileURLToPath(new URL("../../", import.meta.url));
const read = (path: string) => readFileSync(join(root, path), "utf8");

/** Licences that ask for no more than to be named. */
const PERMISSIVE = ["MIT", "Apache-2.0", "ISC", "BSD-2-Clause", "BSD-3-Clause", "0BSD", "CC0-1.0"];
/** Tools that are used and never shipped may have these, too. */
const FOR_TOOLS = [...PERMISSIVE, "MPL-2.0"];

interface LockEntry {
  readonly license?: string;
  readonly dev?: boolean;
  readonly link?: boolean;
}

describe("the dependencies", () => {
  for (const lockFile of ["package-lock.json", "website/package-lock.json"]) {
    test(`of ${lockFile} have licences that fit with Apache-2.0`, () => {
      const { packages } = JSON.parse(read(lockFile)) as { packages: Record<string, LockEntry> };
      const strange = Object.entries(packages).filter(([path, { license = "", dev, link }]) => {
        if (!path.includes("node_modules/") || link === true) return false;
        const allowed = dev === true ? FOR_TOOLS : PERMISSIVE;
        return !license.split(" OR ").some((each) => allowed.includes(each.replace(/[()]/g, "")));
      });
      assert.deepEqual(
        strange.map(([path, { license }]) => `${path}: ${license}`),
        [],
      );
    });
  }

  test("that are shipped have no hole that the registry knows of", (t) => {
    const args = ["audit", "--omit=dev", "--json"];
    const { stdout } = spawnSync("npm", args, { cwd: root, encoding: "utf8", timeout: 60_000 });
    const report = JSON.parse(stdout === "" ? "{}" : stdout);
    // Not every registry answers this: then nobody knows.
    if (report.vulnerabilities === undefined) return t.skip("this registry answers no audits");
    const holes = Object.entries<{ severity: string }>(report.vulnerabilities)
      .filter(([, { severity }]) => severity === "high" || severity === "critical")
      .map(([name, { severity }]) => `${name}: ${severity}`);
    assert.deepEqual(holes, []);
  });
});

test("package.json says what npm and people look for, and ships what it names", () => {
  const manifest = JSON.parse(read("package.json"));
  for (const name of ["description", "license", "keywords", "engines", "os", "files", "bin"])
    assert(manifest[name] !== undefined, name);
  assert.equal(manifest.license, "Apache-2.0");
  assert.match(read("LICENSE"), /Apache License\s+Version 2\.0/);
  for (const name of manifest.files) if (name !== "dist") assert(existsSync(join(root, name)), name);
  assert.match(read("CHANGELOG.md"), new RegExp(`^## \\[${manifest.version}\\]`, "m"));
});
