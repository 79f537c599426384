import { strict as assert } from "node:assert";
import { test } from "node:test";
import { tagsForEbs } from "./server-ebs-client.ts";

test("tags that EBS would refuse the whole snapshot for stay here", () => {
  const tags = [
    { key: "aws:dlm:lifecycle-policy-id", value: "policy-1" },
    { key: "team", value: "db" },
    { key: "k".repeat(128), value: "" },
    { key: "v", value: "v".repeat(256) },
  ];
  assert.deepEqual(tagsForEbs(tags), [{ Key: "team", Value: "db" }]);
  const many = Array.from({ length: 52 }, (_, i) => ({ key: String(i), value: "" }));
  assert.equal(tagsForEbs(many).length, 50);
});
