/**
 * The house rules that no off-the-shelf tool checks, as pure functions over source texts.
 *
 * They read sources line by line, not as syntax trees: good enough to catch a slip, and simple
 * enough to be trusted. A rule's own tests feed it made-up bad sources.
 */
import { posix } from "node:path";

/** One source file: its path from the root of the repository, with "/", and its text. */
export interface Source {
  readonly path: string;
  readonly text: string;
}

/** One breach: where, and what is wrong in words that say what to do instead. */
export interface Breach {
  readonly path: string;
  readonly line: number;
  readonly message: string;
}

/** Which folders of src/ a folder may import besides itself. Imports point down only. */
export const ALLOWED_IMPORTS: Readonly<Record<string, readonly string[] | "everything">> = {
  platform: [],
  iscsi: ["platform"],
  scsi: ["platform"],
  target: ["iscsi", "scsi", "platform"],
  objects: ["platform"],
  vault: ["objects", "platform"],
  volume: ["vault", "objects", "platform"],
  catalog: ["platform"],
  gateway: ["volume", "vault", "catalog", "platform"],
  admin: ["gateway", "platform"],
  api: ["admin", "gateway", "platform"],
  cli: ["platform", "gateway", "server"],
  workers: "everything",
  server: "everything",
};

/** The part of src/ that a path belongs to: its folder, or "server" for src/server*.ts. */
export function partOf(path: string): string {
  const [, first, ...rest] = path.split("/");
  if (first === undefined) return path;
  if (rest.length > 0) return first;
  return /^server(-[a-z0-9-]+)?(\.test)?\.ts$/.test(first) ? "server" : first;
}

/** Imports of a folder that the table does not allow, and folders that the table does not know. */
export function layerBreaches(source: Source): Breach[] {
  const from = partOf(source.path);
  const allowed = ALLOWED_IMPORTS[from];
  if (allowed === undefined) {
    return [{ path: source.path, line: 1, message: `"${from}" has no row in the table of allowed imports` }];
  }
  const breaches: Breach[] = [];
  for (const { line, specifier } of relativeImports(source)) {
    // Data that is no module: the version in package.json.
    if (specifier.endsWith("/package.json")) continue;
    const target = posix.normalize(posix.join(posix.dirname(source.path), specifier));
    const to = target.startsWith("src/") ? partOf(target) : target;
    if (to === from || allowed === "everything" || allowed.includes(to)) continue;
    breaches.push({ path: source.path, line, message: `${from} may not import ${to} (${specifier})` });
  }
  return breaches;
}

const IMPORT = /(?:\bfrom|\bimport|\bimport\s*\(|\bnew URL\s*\()\s*"(\.{1,2}\/[^"]+)"/g;

function relativeImports(source: Source): { line: number; specifier: string }[] {
  const found: { line: number; specifier: string }[] = [];
  for (const { line, code } of codeLines(source.text)) {
    for (const match of code.matchAll(IMPORT)) found.push({ line, specifier: match[1] ?? "" });
  }
  return found;
}

const TIME_AND_RANDOM =
  /\b(Date\.now|Math\.random|performance\.now|process\.hrtime|setTimeout|setInterval|node:timers(?:\/promises)?)\b|\bnew Date\(\)/g;

/** Time and randomness outside src/platform, where a test could not replace them. */
export function clockBreaches(source: Source): Breach[] {
  if (partOf(source.path) === "platform" || isTest(source.path)) return [];
  return codeLines(source.text).flatMap(({ line, code }) =>
    [...code.matchAll(TIME_AND_RANDOM)].map(([name]) => ({
      path: source.path,
      line,
      message: `${name} belongs to src/platform: take a Clock or a RandomSource`,
    })),
  );
}

/** A default export: it has no name of its own, so every importer makes one up. */
export function defaultExportBreaches(source: Source): Breach[] {
  return codeLines(source.text)
    .filter(({ code }) => /^\s*export\s+default\b|\bexport\s*\{[^}]*\bas\s+default\b/.test(code))
    .map(({ line }) => ({ path: source.path, line, message: "no default exports: give it a name" }));
}

/** A file that has grown past `linesMax` without a reason in `allowed` (path → reason). */
export function lengthBreaches(
  source: Source,
  linesMax: number,
  allowed: Readonly<Record<string, string>>,
): Breach[] {
  const lines = source.text.split("\n").length - 1;
  if (lines <= linesMax || (allowed[source.path] ?? "").length > 0) return [];
  return [
    {
      path: source.path,
      line: linesMax,
      message: `${lines} lines: split it by subject, or say in LONG_FILES why it must stay in one piece`,
    },
  ];
}

export function isTest(path: string): boolean {
  return path.endsWith(".test.ts");
}

/** The lines that are not wholly comment, without what follows a "//" that stands after a blank. */
function codeLines(text: string): { line: number; code: string }[] {
  return text
    .split("\n")
    .map((raw, index) => ({ line: index + 1, code: raw.replace(/(^|\s)\/\/.*$/, "") }))
    .filter(({ code }) => !/^\s*(\*|\/\*)/.test(code) && code.trim() !== "");
}
