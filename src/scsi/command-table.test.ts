import { strict as assert } from "node:assert";
import { readFileSync } from "node:fs";
import { describe, test } from "node:test";
import { COMMAND_TRAITS, executeWithoutUnit } from "./command-table.ts";
import { CheckCondition, SENSE } from "./sense.ts";

describe("the table of commands", () => {
  test("every usage map begins with its opcode and is as long as such a CDB is", () => {
    for (const { name, opcode, usage } of COMMAND_TRAITS) {
      const bytes = usage.split(" ");
      assert.equal(Number.parseInt(bytes[0] ?? "", 16), opcode, name);
      const group = opcode >> 5;
      const length = { 0: 6, 1: 10, 2: 10, 4: 16, 5: 12 }[group];
      assert.equal(bytes.length, length, name);
      assert(
        bytes.every((byte) => /^[0-9a-f]{2}$/.test(byte)),
        name,
      );
    }
  });

  test("docs/iscsi.md names every command and every service action", () => {
    const docs = readFileSync(new URL("../../docs/iscsi.md", import.meta.url), "utf8");
    for (const { name } of COMMAND_TRAITS) {
      for (const part of name.split(", ")) assert(docs.includes(part), name);
    }
  });

  test("a LUN that is not there says so, and answers what finds out which are", async () => {
    const send = (...bytes: number[]) => {
      const cdb = Buffer.alloc(16);
      Buffer.from(bytes).copy(cdb);
      return executeWithoutUnit(cdb);
    };
    assert.equal((await send(0x12, 0, 0, 0, 36)).dataIn?.readUInt8(0), 0x7f);
    assert.equal((await send(0xa0, 0, 0, 0, 0, 0, 0, 0, 16)).dataIn?.readUInt32BE(0), 8);
    assert.equal((await send(0x03, 0, 0, 0, 18)).dataIn?.readUInt8(12), SENSE.logicalUnitNotSupported.asc);
    await assert.rejects(send(0x00), CheckCondition);
    await assert.rejects(send(0x28, 0, 0, 0, 0, 0, 0, 0, 1), CheckCondition);
  });
});
