/** The documentation is as the program is: made pages are up to date, links lead somewhere, commands exist. */
import { strict as assert } from "node:assert";
import { existsSync, readFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { describe, test } from "node:test";
import { fileURLToPath } from "node:url";
import type { Command } from "commander";
import { parseAllDocuments } from "yaml";
import { program } from "../../src/cli/program.ts";
import { pages as allPages, blocksOf, isCommand, isRun } from "../docs/blocks.ts";
import { PAGES } from "../docs/reference.ts";

const root = fileURLToPath(new URL("../../", import.meta.url));
const pages = allPages();

/** The headings of a page, as links name them. */
function anchorsOf(text: string): Set<string> {
  const headings = [...text.matchAll(/^#+ (.+)$/gm)].map((match) => match[1] ?? "");
  return new Set(
    headings.map((heading) =>
      heading
        .toLowerCase()
        .replace(/[^\p{L}\p{N} _-]/gu, "")
        .replaceAll(" ", "-"),
    ),
  );
}

describe("the documentation", () => {
  for (const [path, make] of Object.entries(PAGES)) {
    test(`${path} is what "npm run docs" makes`, () => {
      const isCurrent = readFileSync(join(root, "docs", path), "utf8") === make();
      assert(isCurrent, `docs/${path} is not what the program says any more: run "npm run docs"`);
    });
  }

  test("every link within it leads somewhere", () => {
    const broken: string[] = [];
    for (const page of pages) {
      const text = readFileSync(join(root, page), "utf8").replace(/```[\s\S]*?```/g, "");
      for (const [, target = ""] of text.matchAll(/\]\(([^)\s]+)\)/g)) {
        if (/^[a-z]+:/.test(target)) continue;
        const [path = "", anchor] = target.split("#");
        const file = path === "" ? join(root, page) : join(root, dirname(page), path);
        if (!existsSync(file)) broken.push(`${page}: ${target}`);
        else if (anchor !== undefined && !anchorsOf(readFileSync(file, "utf8")).has(anchor))
          broken.push(`${page}: ${target} (no such heading)`);
      }
    }
    assert.deepEqual(broken, []);
  });

  test("every command in it is run by a test, or says why it is not", () => {
    const silent = pages
      .flatMap(blocksOf)
      .filter((block) => isCommand(block) && !isRun(block) && block.notRun === undefined);
    assert.deepEqual(
      silent.map(({ page, line }) => `${page}:${line}`),
      [],
    );
  });

  test("its JSON and YAML can be read", () => {
    for (const { page, line, language, text } of pages.flatMap(blocksOf)) {
      try {
        if (language === "json") JSON.parse(text);
        if (language === "yaml")
          for (const each of parseAllDocuments(text)) assert.deepEqual(each.errors, []);
      } catch (error) {
        assert.fail(`${page}:${line}: ${error}`);
      }
    }
  });

  test("every command and option of sluicegate in it exists", () => {
    const broken: string[] = [];
    let count = 0;
    for (const page of pages) {
      const text = readFileSync(join(root, page), "utf8");
      for (const [block] of text.matchAll(/^```sh\n[\s\S]*?^```/gm)) {
        for (const line of block.replaceAll("\\\n", " ").split("\n")) {
          const said = /(?:^|\s)sluicegate (?:-- )?(?!sluicegate )([a-z].*?)(?:\s+#.*|\s*[|>;&].*)?$/.exec(
            line,
          )?.[1];
          if (said === undefined) continue;
          count += 1;
          const problem = problemOf(said.replace(/\)"$/, "").split(/\s+/));
          if (problem !== undefined) broken.push(`${page}: ${said}: ${problem}`);
        }
      }
    }
    assert.deepEqual(broken, []);
    assert(count > 20, `only ${count} commands were found`);
  });
});

function problemOf(words: readonly string[]): string | undefined {
  let command: Command = program;
  for (const word of words) {
    const next = command.commands.find((each) => each.name() === word);
    if (next === undefined) break;
    command = next;
  }
  if (command.commands.length > 0) return "there is no such command";
  const known = [...command.options, ...program.options].map(({ long }) => long);
  const strange = words.find(
    (word) => word.startsWith("--") && word !== "--" && !known.includes(word.split("=")[0] ?? ""),
  );
  return strange === undefined ? undefined : `there is no ${strange}`;
}
