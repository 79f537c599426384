import { strict as assert } from "node:assert";
import { readFileSync } from "node:fs";
import { describe, test } from "node:test";
import { storageGatewayOperations } from "../../src/api/storage-gateway/index.ts";
import { STORAGE_GATEWAY_MODEL } from "../../src/api/wire/validator.ts";
import { STORAGE_GATEWAY_CLIENTS } from "../clients/storage-gateway.ts";
import { violations } from "../kit/model-cases.ts";
import { readResults, render } from "./render.ts";

describe("docs/api-coverage.md", () => {
  test("is what the tests' results say", () => {
    const text = readFileSync(new URL("../../docs/api-coverage.md", import.meta.url), "utf8");
    assert.equal(text, render(readResults()), "npm run api-coverage makes it anew");
  });

  test("has no hole in the Storage Gateway API of volume gateways", () => {
    const results = readResults().storagegateway ?? {};
    assert.equal(storageGatewayOperations.length, 47);
    for (const { name } of storageGatewayOperations) {
      const result = results[name];
      assert.deepEqual(result?.valid, [...STORAGE_GATEWAY_CLIENTS].sort(), name);
      assert.equal(result?.constraints, violations(STORAGE_GATEWAY_MODEL, name).length, name);
      const members =
        STORAGE_GATEWAY_MODEL.shapes[STORAGE_GATEWAY_MODEL.operations[name] ?? ""]?.members ?? {};
      const namesSomething = Object.keys(members).some((member) => /ARNs?$/.test(member));
      assert((result?.errors.length ?? 0) > 0 || !namesSomething, `${name} has no errors`);
    }
  });
});
