import { strict as assert } from "node:assert";
import {
  appendFileSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  truncateSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, describe, test } from "node:test";
import { LineLog } from "./line-log.ts";

const root = mkdtempSync(join(tmpdir(), "sg-lines-"));
after(() => rmSync(root, { recursive: true, force: true }));

function open(name: string): LineLog {
  return LineLog.open({ folder: join(root, name), name: "log", fileBytesMax: 100, filesMax: 3 });
}

function numbers(log: LineLog, before?: number): number[] {
  return [...log.newestFirst(before)].map(({ number, line }) => {
    assert.equal(line, `line ${number}`);
    return number;
  });
}

describe("a log of lines", () => {
  test("is read newest first, from any number on, also after it was opened again", () => {
    let log = open("reopened");
    for (let i = 1; i <= 20; i++) {
      assert.equal(
        log.append((number) => `line ${number}`),
        i,
      );
      if (i % 3 !== 0) continue;
      log.close();
      log = open("reopened");
    }
    assert.deepEqual(numbers(log).slice(0, 12), [20, 19, 18, 17, 16, 15, 14, 13, 12, 11, 10, 9]);
    assert.deepEqual(numbers(log, 18).slice(0, 3), [17, 16, 15]);
  });

  test("keeps so many files and no more, which nobody else can read", () => {
    const log = open("bounded");
    for (let i = 0; i < 200; i++) log.append((number) => `line ${number}`);
    const files = readdirSync(join(root, "bounded"));
    assert.equal(files.length, 3);
    for (const file of files) {
      const { size, mode } = statSync(join(root, "bounded", file));
      assert(size <= 100);
      assert.equal(mode & 0o777, 0o600);
    }
    const kept = numbers(log);
    assert.equal(kept[0], 200);
    assert(kept.length > 16 && kept.length < 40);
  });

  test("goes on behind a line that was cut short, whatever of it there is", () => {
    const log = open("torn");
    for (let i = 0; i < 5; i++) log.append((number) => `line ${number}`);
    log.close();
    const [file] = readdirSync(join(root, "torn"));
    const path = join(root, "torn", file ?? "");
    truncateSync(path, statSync(path).size - 3);
    const again = open("torn");
    assert.equal(
      again.append((number) => `line ${number}`),
      6,
    );
    assert.deepEqual(
      [...again.newestFirst()].map(({ number, line }) => [number, line]),
      [
        [6, "line 6"],
        [5, "line"],
        [4, "line 4"],
        [3, "line 3"],
        [2, "line 2"],
        [1, "line 1"],
      ],
    );
    again.close();
    appendFileSync(path, "\n");
    assert(readFileSync(path, "utf8").endsWith("\n\n"));
    assert.equal([...open("torn").newestFirst()].length, 6);
  });
});
