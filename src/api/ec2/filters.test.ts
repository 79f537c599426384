import { strict as assert } from "node:assert";
import { test } from "node:test";
import fc from "fast-check";
import { matcher } from "./filters.ts";

test("patterns: `*` is any text, `?` one character, a backslash takes a meaning away", () => {
  const cases: [pattern: string, text: string, is: boolean][] = [
    ["", "", true],
    ["", "a", false],
    ["*", "", true],
    ["*", "anything", true],
    ["a*c", "abbbc", true],
    ["a*c", "abbbd", false],
    ["?", "ä", true],
    ["?", "\u{1F4BE}", true],
    ["?", "", false],
    ["a\\*", "a*", true],
    ["a\\*", "ab", false],
    ["a\\?*", "a?xyz", true],
    ["\\\\", "\\", true],
    ["x\\", "x\\", true],
    ["(a|b)+", "a", false],
    ["**a**", "cab", true],
  ];
  for (const [pattern, text, is] of cases) assert.equal(matcher(pattern)(text), is, `${pattern} ${text}`);
});

test("agrees with a regular expression, whatever the pattern", () => {
  const letters = fc.string({ unit: fc.constantFrom("a", "b", "*", "?"), maxLength: 10 });
  const texts = fc.string({ unit: fc.constantFrom("a", "b"), maxLength: 10 });
  fc.assert(
    fc.property(letters, texts, (pattern, text) => {
      const source = pattern.replaceAll("*", ".*").replaceAll("?", ".");
      assert.equal(matcher(pattern)(text), new RegExp(`^${source}$`).test(text));
    }),
  );
});

test("many stars over a long text take no longer than both are", () => {
  assert.equal(matcher(`${"*a".repeat(500)}b`)("a".repeat(5000)), false);
});
