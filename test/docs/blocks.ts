/**
 * The blocks of code in the documentation, and what is to become of them.
 *
 * Commands (sh, python, powershell) are run by a test, in the order of PAGES. Where that can't be, a comment says so in
 * the line before the block, with the reason: `<!-- not run: it wants a Windows machine -->`.
 */
import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";

const root = fileURLToPath(new URL("../../", import.meta.url));
const RUN_LANGUAGES = new Set(["sh", "python"]);
const COMMAND_LANGUAGES = new Set([...RUN_LANGUAGES, "powershell"]);

/** The pages whose commands are run, one after the other beside one gateway. */
export const RUN_PAGES = [
  "README.md",
  "docs/quick-start.md",
  "docs/how-to/linux.md",
  "docs/how-to/terraform.md",
  "docs/how-to/monitoring.md",
  "docs/how-to/snapshots.md",
  "docs/how-to/buckets.md",
  "docs/how-to/service.md",
  "docs/operations/keys.md",
  "docs/operations/sizing.md",
  "docs/operations/upgrading.md",
  "docs/operations/troubleshooting.md",
  "docs/how-to/disaster-recovery.md",
];

export interface Block {
  readonly page: string;
  /** Of the fence, from 1. */
  readonly line: number;
  readonly language: string;
  readonly text: string;
  /** Why it is not run, where it says that it is not. */
  readonly notRun: string | undefined;
}

/** Every Markdown page that is published, as a path from the root. */
export function pages(): string[] {
  const below = readdirSync(join(root, "docs"), { recursive: true, encoding: "utf8" });
  const docs = below.filter((name) => name.endsWith(".md")).map((name) => join("docs", name));
  return ["README.md", "ARCHITECTURE.md", "CONTRIBUTING.md", "SECURITY.md", ...docs.sort()];
}

/** The fenced blocks of a page, in order. */
export function blocksOf(page: string): Block[] {
  const lines = readFileSync(join(root, page), "utf8").split("\n");
  const blocks: Block[] = [];
  for (let i = 0; i < lines.length; i++) {
    const language = /^ *```(\S*)$/.exec(lines[i] ?? "")?.[1];
    if (language === undefined) continue;
    const end = lines.findIndex((line, at) => at > i && /^ *```$/.test(line));
    if (end === -1) throw new Error(`${page}:${i + 1}: this block has no end`);
    const before = lines.slice(0, i).findLast((line) => line.trim() !== "") ?? "";
    const notRun = /^ *<!-- not run: (.+) -->$/.exec(before)?.[1];
    const text = lines.slice(i + 1, end).join("\n");
    blocks.push({ page, line: i + 1, language, text: `${text}\n`, notRun });
    i = end;
  }
  return blocks;
}

/** Whether it holds commands: something that is run, or has to say why it is not. */
export function isCommand({ language }: Block): boolean {
  return COMMAND_LANGUAGES.has(language);
}

/** Whether the test of the documentation carries it out. */
export function isRun(block: Block): boolean {
  return block.notRun === undefined && RUN_LANGUAGES.has(block.language) && RUN_PAGES.includes(block.page);
}
