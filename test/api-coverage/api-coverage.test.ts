import { strict as assert } from "node:assert";
import { readFileSync } from "node:fs";
import { describe, test } from "node:test";
import { STORAGE_GATEWAY_CLIENTS } from "../clients/storage-gateway.ts";
import { violations } from "../kit/model-cases.ts";
import { MODEL_SERVICES, shownViolations } from "../kit/model-services.ts";
import { documentedErrors, NOT_PROVOKED } from "./documented-errors.ts";
import { provokedBy, readResults, render } from "./render.ts";

/** How many operations of each service are in scope. */
const IN_SCOPE = { storagegateway: 47, ec2: 21, ebs: 6, dlm: 8 } as const;
/** Debian's boto3 and aws-cli don't know these yet. */
const YOUNG = ["LockSnapshot", "UnlockSnapshot", "DescribeLockedSnapshots"];

describe("docs/api-coverage.md", () => {
  test("is what the tests' results say", () => {
    const text = readFileSync(new URL("../../docs/api-coverage.md", import.meta.url), "utf8");
    assert.equal(text, render(readResults()), "npm run api-coverage makes it anew");
  });

  for (const [name, count] of Object.entries(IN_SCOPE)) {
    test(`has no hole in the operations of ${name}`, async () => {
      const service = MODEL_SERVICES.find((one) => one.name === name);
      assert(service !== undefined);
      const results = readResults()[name] ?? {};
      assert.equal(service.operations.length, count);
      for (const { name: operation } of service.operations) {
        const result = results[operation];
        const clients = YOUNG.includes(operation) ? ["aws-sdk"] : [...STORAGE_GATEWAY_CLIENTS].sort();
        assert.deepEqual(result?.valid, clients, operation);
        const all = await shownViolations(service, operation, violations(service.model, operation));
        assert.equal(result?.constraints, all.length, operation);
        const shape = service.model.shapes[service.model.operations[operation] ?? ""];
        const namesSomething = Object.keys(shape?.members ?? {}).some((member) => /(ARN|Id)s?$/.test(member));
        assert((result?.errors.length ?? 0) > 0 || !namesSomething, `${operation} has no errors`);
      }
    });
  }

  test("has every documented error: provoked, or with the reason why it does not occur", () => {
    const results = readResults();
    for (const [service, codes] of Object.entries(documentedErrors())) {
      for (const code of Object.keys(codes)) {
        const shown = provokedBy(results[service] ?? {}, code);
        const reason = NOT_PROVOKED[service]?.[code];
        assert.equal(shown === undefined, reason !== undefined, `${service} ${code}: ${shown ?? reason}`);
      }
      for (const code of Object.keys(NOT_PROVOKED[service] ?? {})) assert(code in codes, code);
    }
  });
});
