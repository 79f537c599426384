/** What a browser has to load before a page of the console is there. */
import { strict as assert } from "node:assert";
import { existsSync, readdirSync, readFileSync, statSync } from "node:fs";
import { dirname, join } from "node:path";
import { describe, test } from "node:test";
import { fileURLToPath } from "node:url";

const folder = join(dirname(dirname(dirname(fileURLToPath(import.meta.url)))), "dist", "console");
const assets = join(folder, "assets");
const KIB = 1024;
/** Beyond the design system's own bundles. */
const ROUTE_BYTES_MAX = 400 * KIB;
const DESIGN_SYSTEM_BYTES_MAX = 650 * KIB;

const IMPORT = /(?:from|import)\s*"\.\/([\w.-]+\.js)"|(?:from|import)"\.\/([\w.-]+\.js)"/g;
const NAMED = /assets\/([\w.-]+\.(?:js|css))/g;
const isDesignSystem = (name: string) => name.startsWith("design-system");
const packedBytes = (name: string) => statSync(join(assets, `${name}.gz`)).size;

/** A bundle and all that it needs before it runs. */
function closure(name: string, found = new Set<string>()): Set<string> {
  if (found.has(name)) return found;
  found.add(name);
  if (!name.endsWith(".js")) return found;
  for (const match of readFileSync(join(assets, name), "utf8").matchAll(IMPORT)) {
    closure(match[1] ?? match[2] ?? "", found);
  }
  return found;
}

describe("the console's bundles", () => {
  test("each page is within its budget, and the design system within its own", () => {
    assert(existsSync(folder), "the console is built before its tests run");
    const first = new Set<string>();
    for (const [, name = ""] of readFileSync(join(folder, "index.html"), "utf8").matchAll(NAMED))
      closure(name, first);
    assert(first.size >= 3);
    const pages = readdirSync(assets).filter((name) => name.endsWith(".js") && !isDesignSystem(name));
    assert(pages.length > 10);
    for (const page of pages) {
      const loaded = [...closure(page, new Set(first))];
      const own = loaded
        .filter((name) => !isDesignSystem(name))
        .reduce((sum, name) => sum + packedBytes(name), 0);
      assert(own <= ROUTE_BYTES_MAX, `${page}: ${own} bytes`);
      const styles = readdirSync(assets).filter((name) => isDesignSystem(name) && name.endsWith(".css"));
      const system = new Set([...loaded.filter(isDesignSystem), ...styles]);
      const systemBytes = [...system].reduce((sum, name) => sum + packedBytes(name), 0);
      assert(systemBytes <= DESIGN_SYSTEM_BYTES_MAX, `${page}: ${systemBytes} bytes of the design system`);
    }
  });
});
