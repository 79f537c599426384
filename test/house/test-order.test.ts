/** The order of the test files speaks of files that are there. */
import { strict as assert } from "node:assert";
import { test } from "node:test";
import { testFiles } from "../../scripts/node-tests.js";
import { ALONE, longestFirst, SECONDS } from "../../scripts/test-order.js";

test("every file with a place in the order of the tests is there, and all of them are run", () => {
  const files = [...testFiles("src"), ...testFiles("test")];
  for (const name of [...Object.keys(SECONDS), ...Object.keys(ALONE)])
    assert(files.includes(name), `there is no ${name}: scripts/test-order.js`);
  assert.deepEqual(longestFirst(files).sort(), files);
});
