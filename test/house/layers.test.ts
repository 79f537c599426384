import { strict as assert } from "node:assert";
import { readdirSync, readFileSync } from "node:fs";
import { dirname, join, relative, sep } from "node:path";
import { describe, test } from "node:test";
import { fileURLToPath } from "node:url";
import {
  ALLOWED_IMPORTS,
  type Breach,
  clockBreaches,
  defaultExportBreaches,
  isTest,
  layerBreaches,
  lengthBreaches,
  partOf,
  type Source,
} from "./house-rules.ts";

const root = dirname(dirname(dirname(fileURLToPath(import.meta.url))));
const LINES_MAX = 450;
/** Files that may be longer than LINES_MAX, each with the reason. */
const LONG_FILES: Readonly<Record<string, string>> = {
  "src/vault/vault.ts":
    "everything that the vault does for others, a few lines each; what it does is in its parts",
  "src/volume/cached-volume.ts":
    "one engine: reads, writes and fetches meet in the same slots, between the same awaits",
  "src/volume/slot-pool.ts":
    "one table: what a slot is, to its owner, to its disk and to its turn, changes at once",
  "src/volume/stored-volume.ts": "one engine: where a write goes depends on every state of its block",
};

const sources: Source[] = readdirSync(join(root, "src"), { recursive: true, withFileTypes: true })
  .filter((item) => item.isFile() && item.name.endsWith(".ts"))
  .map((item) => join(item.parentPath, item.name))
  .map((file) => ({
    path: relative(root, file).split(sep).join("/"),
    text: readFileSync(file, "utf8"),
  }));

function assertNone(breaches: readonly Breach[]): void {
  assert.equal(breaches.map((each) => `\n${each.path}:${each.line}: ${each.message}`).join(""), "");
}

describe("the sources keep the house rules", () => {
  test("there are sources to check", () => assert.ok(sources.length > 50));
  test("imports point down only", () =>
    assertNone(sources.filter((s) => !isTest(s.path)).flatMap(layerBreaches)));
  test("time and randomness come from src/platform", () => assertNone(sources.flatMap(clockBreaches)));
  test("there are no default exports", () => assertNone(sources.flatMap(defaultExportBreaches)));
  test("no file has grown too long", () =>
    assertNone(sources.flatMap((source) => lengthBreaches(source, LINES_MAX, LONG_FILES))));
  test("every exception is still needed", () => {
    const long = sources.filter((s) => lengthBreaches(s, LINES_MAX, {}).length > 0).map((s) => s.path);
    assert.deepEqual(
      Object.keys(LONG_FILES).filter((path) => !long.includes(path)),
      [],
    );
  });
  test("the table names only folders it has rows for", () => {
    for (const row of Object.values(ALLOWED_IMPORTS)) {
      if (row === "everything") continue;
      assert.deepEqual(
        row.filter((name) => !(name in ALLOWED_IMPORTS)),
        [],
      );
    }
  });
});

describe("the checker finds what is wrong in made-up sources", () => {
  const messages = (breaches: readonly Breach[]) => breaches.map((each) => each.message);

  test("every way to import upwards", () => {
    const ways = [
      'import { a } from "../volume/a.ts";',
      'import type { A } from "../volume/a.ts";',
      'import "../volume/a.ts";',
      'export * from "../volume/a.ts";',
      'const a = await import("../volume/a.ts");',
      'new Worker(new URL("../volume/a.ts", import.meta.url));',
      'import {\n  a,\n} from "../volume/a.ts";',
      'import { b } from "../../src/volume/a.ts";',
    ];
    for (const text of ways) {
      assert.equal(layerBreaches({ path: "src/vault/x.ts", text }).length, 1, text);
      assert.equal(layerBreaches({ path: "src/gateway/x.ts", text }).length, 0, text);
    }
  });

  test("deeper folders belong to their first", () => {
    const text = 'import { a } from "../../scsi/a.ts";';
    assert.equal(layerBreaches({ path: "src/iscsi/pdu/x.ts", text }).length, 1);
    assert.equal(layerBreaches({ path: "src/target/pdu/x.ts", text }).length, 0);
  });

  test("imports out of src/, and folders without a row", () => {
    const outside = { path: "src/volume/x.ts", text: 'import { a } from "../../test/a.ts";' };
    assert.deepEqual(messages(layerBreaches(outside)), ["volume may not import test/a.ts (../../test/a.ts)"]);
    assert.equal(layerBreaches({ path: "src/misc/x.ts", text: "" }).length, 1);
    assert.equal(layerBreaches({ path: "src/thing.ts", text: "" }).length, 1);
  });

  test("the server is built by src/server*.ts, which only the command line may start", () => {
    assert.equal(partOf("src/server.ts"), "server");
    assert.equal(partOf("src/server-options.ts"), "server");
    const text = 'import { start } from "../server.ts";';
    assert.equal(layerBreaches({ path: "src/cli/x.ts", text }).length, 0);
    assert.equal(layerBreaches({ path: "src/api/x.ts", text }).length, 1);
  });

  test("comments are no imports", () => {
    const text = '// import { a } from "../volume/a.ts";\n * from "../volume/a.ts"\n';
    assert.deepEqual(layerBreaches({ path: "src/vault/x.ts", text }), []);
  });

  test("clocks and dice outside platform, but not in tests", () => {
    const text = [
      "Date.now();",
      "Math.random();",
      "performance.now();",
      "setTimeout(f, 1);",
      "setInterval(f, 1);",
      "new Date();",
      'import { scheduler } from "node:timers/promises";',
    ].join("\n");
    assert.equal(clockBreaches({ path: "src/vault/x.ts", text }).length, 7);
    assert.deepEqual(clockBreaches({ path: "src/platform/clock.ts", text }), []);
    assert.deepEqual(clockBreaches({ path: "src/vault/x.test.ts", text }), []);
    assert.deepEqual(clockBreaches({ path: "src/vault/x.ts", text: "f(); // not Date.now()" }), []);
    assert.deepEqual(clockBreaches({ path: "src/vault/x.ts", text: "new Date(nowMs)" }), []);
  });

  test("default exports in both spellings", () => {
    for (const text of ["export default class A {}", "export { a as default };"]) {
      assert.equal(defaultExportBreaches({ path: "src/vault/x.ts", text }).length, 1);
    }
    assert.deepEqual(defaultExportBreaches({ path: "src/vault/x.ts", text: "export const a = 1;" }), []);
  });

  test("long files, unless there is a reason", () => {
    const source = { path: "src/vault/x.ts", text: "\n".repeat(11) };
    assert.equal(lengthBreaches(source, 10, {}).length, 1);
    assert.equal(lengthBreaches(source, 11, {}).length, 0);
    assert.equal(lengthBreaches(source, 10, { "src/vault/x.ts": "one table" }).length, 0);
    assert.equal(lengthBreaches(source, 10, { "src/vault/x.ts": "" }).length, 1);
  });
});
