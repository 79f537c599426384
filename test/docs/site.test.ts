/** The documentation as a site: npm run docs:site makes it, every page is in it, and nothing in it leads nowhere. */
import { strict as assert } from "node:assert";
import { spawnSync } from "node:child_process";
import { existsSync, readdirSync, readFileSync } from "node:fs";
import { dirname, join, posix } from "node:path";
import { before, describe, test } from "node:test";
import { fileURLToPath } from "node:url";
import { pages } from "./blocks.ts";

const root = fileURLToPath(new URL("../../", import.meta.url));
const dist = join(root, "website", "dist");
const LIMIT_MS = 280_000;

describe("the site of the documentation", () => {
  let files: readonly string[] = [];
  before(() => {
    const args = [join(root, "website", "build.js")];
    const built = spawnSync(process.execPath, args, { cwd: root, encoding: "utf8", timeout: LIMIT_MS });
    assert.equal(built.status, 0, built.stdout + built.stderr);
    files = readdirSync(dist, { recursive: true, encoding: "utf8" });
  });
  const read = (path: string) => readFileSync(join(dist, path), "utf8");
  const htmlFiles = () => files.filter((name) => name.endsWith(".html") && name !== "404.html");

  test("has every page, in its sidebar too", () => {
    const sidebar = read("concepts.html");
    const missing = pages()
      .filter((page) => page.startsWith("docs/") && page !== "docs/README.md")
      .map((page) => page.slice("docs/".length).replace(/\.md$/, ".html"))
      .filter((page) => !files.includes(page) || !sidebar.includes(`href="/${page}"`));
    assert.deepEqual(missing, []);
  });

  test("every link, picture and heading that it names is there", () => {
    const broken: string[] = [];
    let count = 0;
    for (const page of htmlFiles()) {
      for (const [, target = ""] of read(page).matchAll(/ (?:href|src)="([^"]+)"/g)) {
        if (/^([a-z]+:|\/\/)/.test(target)) continue;
        count += 1;
        const [path = "", anchor] = target.split("#");
        const absolute = path.startsWith("/") ? path : posix.join("/", dirname(page), path);
        const name = path === "" ? page : absolute === "/" ? "index.html" : absolute.slice(1);
        if (!existsSync(join(dist, name))) broken.push(`${page}: ${target}`);
        else if (anchor && !read(name).includes(`id="${decodeURIComponent(anchor)}"`))
          broken.push(`${page}: ${target} (no such heading)`);
      }
    }
    assert.deepEqual(broken, []);
    assert(count > 500, `only ${count} links were found`);
  });

  test("what is searched for is found in it, without a server", () => {
    const index = files.find((name) => /localSearchIndex.*\.js$/.test(name));
    assert(index !== undefined, "there is no index");
    for (const word of ["passphrase", "iscsiadm", "lifecycle", "troubleshooting"])
      assert(read(index).toLowerCase().includes(word), word);
  });

  test("asks nobody else for anything", () => {
    for (const page of htmlFiles()) {
      const elsewhere = [
        ...read(page).matchAll(/<(?:script|link|img|iframe)[^>]+(?:src|href)="(https?:[^"]+)"/g),
      ];
      assert.deepEqual(
        elsewhere.map(([, url]) => url),
        [],
        page,
      );
    }
  });
});
