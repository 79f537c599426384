// npm run docs:site: the Markdown of this repository as a static site, in website/dist. Fails on dead links.
//
// The pages are written to be read as Markdown in the repository, where they link to its files. So they are copied, with
// their links turned into the site's, to .stage; VitePress makes the site of that.
import { spawnSync } from "node:child_process";
import {
  cpSync,
  existsSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  writeFileSync,
} from "node:fs";
import { dirname, join, posix } from "node:path";
import { fileURLToPath, pathToFileURL } from "node:url";
import { findNode } from "../bin/node24.js";

const website = dirname(fileURLToPath(import.meta.url));
const root = dirname(website);
const stage = join(website, ".stage");
const LIMIT_MS = 300_000;

/** Pages that are not in docs/, by their path in the repository, with their names in the site. */
const FURTHER_PAGES = {
  "README.md": "about.md",
  "ARCHITECTURE.md": "architecture.md",
  "CONTRIBUTING.md": "contributing.md",
  "SECURITY.md": "reporting.md",
  "CHANGELOG.md": "changelog.md",
};

/** The page or picture of the site that a file of the repository becomes; undefined for what is neither. */
function siteName(path) {
  if (FURTHER_PAGES[path] !== undefined) return FURTHER_PAGES[path];
  // The list of all pages is for readers of the repository; the site has its sidebar.
  if (path === "docs/README.md") return "index.md";
  const isOfTheSite = path.startsWith("docs/images/") || /^docs\/.*\.md$/.test(path);
  return isOfTheSite ? path.slice("docs/".length) : undefined;
}

/** The text of a page with links that lead to where their targets are in the site. */
function withSiteLinks(path, text) {
  // Links in blocks of code are none; neither are those with a scheme.
  return text
    .split(/(^```[\s\S]*?^```$)/m)
    .map((part, at) =>
      at % 2 === 1
        ? part
        : part.replaceAll(/\]\(([^)\s]+)\)/g, (whole, target) => {
            if (/^([a-z]+:|#)/.test(target)) return whole;
            const [file, anchor] = target.split("#");
            const inRepository = posix.normalize(posix.join(posix.dirname(path), file));
            const name = siteName(inRepository);
            const suffix = anchor === undefined ? "" : `#${anchor}`;
            if (name !== undefined) return `](/${name}${suffix})`;
            const source = join(root, inRepository);
            if (!existsSync(source) || !statSync(source).isFile())
              throw new Error(`${path}: no file to link to: ${target}`);
            // Files that are no pages are handed out as they are; a browser shows them where their name ends in .txt.
            const shown = /\.(ya?ml|json|svg)$/.test(inRepository) ? inRepository : `${inRepository}.txt`;
            const copy = join(stage, "public", "files", shown);
            mkdirSync(dirname(copy), { recursive: true });
            cpSync(source, copy);
            return `](/files/${shown})`;
          }),
    )
    .join("");
}

function fillStage() {
  rmSync(stage, { recursive: true, force: true });
  mkdirSync(stage);
  const below = readdirSync(join(root, "docs"), { recursive: true, withFileTypes: true });
  const files = below
    .filter((item) => item.isFile())
    .map((item) => join(item.parentPath, item.name).slice(root.length + 1));
  for (const path of [...files, ...Object.keys(FURTHER_PAGES)]) {
    if (path === "docs/README.md") continue;
    const name = siteName(path);
    if (name === undefined) continue;
    const target = join(stage, name);
    mkdirSync(dirname(target), { recursive: true });
    if (path.endsWith(".md"))
      writeFileSync(target, withSiteLinks(path, readFileSync(join(root, path), "utf8")));
    else cpSync(join(root, path), target);
  }
  cpSync(join(website, "index.md"), join(stage, "index.md"));
}

function run(command, args) {
  const { status, error } = spawnSync(command, args, { cwd: website, stdio: "inherit", timeout: LIMIT_MS });
  if (error !== undefined) throw error;
  if (status !== 0) process.exit(1);
}

/** Builds the site into `website/dist`. */
function build() {
  const installed = join(website, "node_modules", ".package-lock.json");
  const lock = join(website, "package-lock.json");
  if (!existsSync(installed) || statSync(installed).mtimeMs < statSync(lock).mtimeMs)
    run("npm", ["ci", "--no-audit", "--no-fund", "--loglevel=error"]);
  fillStage();
  run(findNode(), [join(website, "node_modules", "vitepress", "bin", "vitepress.js"), "build"]);
}

if (import.meta.url === pathToFileURL(process.argv[1] ?? "").href) build();
