import { strict as assert } from "node:assert";
import { describe, test } from "node:test";
import {
  compilePattern,
  EC2_MODEL,
  STORAGE_GATEWAY_MODEL,
  validate,
  validationMessage,
} from "./validator.ts";

const ARN = "arn:aws:storagegateway:us-east-1:000000000000:gateway/sgw-12345678/volume/vol-0123456789ABCDEF0";
const good = { VolumeARN: ARN, SnapshotDescription: "d", Tags: [{ Key: "k", Value: "v" }] };
const errors = (over: object) => validate(STORAGE_GATEWAY_MODEL, "CreateSnapshot", { ...good, ...over });

describe("validation from the service models", () => {
  test("every pattern of both models is a regular expression", () => {
    let patterns = 0;
    for (const model of [STORAGE_GATEWAY_MODEL, EC2_MODEL]) {
      for (const { pattern } of Object.values(model.shapes)) {
        if (pattern === undefined) continue;
        compilePattern(pattern);
        patterns += 1;
      }
    }
    assert(patterns > 10, `${patterns}`);
  });

  test("good input has no errors", () => {
    assert.deepEqual(errors({}), []);
    assert.deepEqual(errors({ Tags: undefined }), []);
    assert.deepEqual(
      errors({ SnapshotDescription: "\u{1F4BE}".repeat(255) }),
      [],
      "characters, not code units",
    );
  });

  test("every error names the member and the constraint", () => {
    assert.deepEqual(errors({ SnapshotDescription: "" }), [
      "Value at 'snapshotDescription' failed to satisfy constraint: Member must have length greater than or equal to 1",
    ]);
    assert.match(errors({ VolumeARN: undefined })[0] ?? "", /'volumeARN'.*must not be null/);
    assert.match(errors({ VolumeARN: "x".repeat(60) })[0] ?? "", /'volumeARN'.*regular expression pattern/);
    assert.match(errors({ Tags: [{ Key: "k" }] })[0] ?? "", /'tags\.1\.member\.value'.*must not be null/);
    assert.match(errors({ Tags: [good.Tags[0], { Key: "", Value: "" }] })[0] ?? "", /'tags\.2\.member\.key'/);
    const both = errors({ SnapshotDescription: "", VolumeARN: undefined });
    assert.match(validationMessage(both), /^2 validation errors detected: .*; /);
    assert.match(validationMessage(both.slice(0, 1)), /^1 validation error detected: /);
  });

  test("ranges and enumerations", () => {
    const schedule = (over: object) =>
      validate(STORAGE_GATEWAY_MODEL, "UpdateSnapshotSchedule", {
        VolumeARN: ARN,
        StartAt: 0,
        RecurrenceInHours: 24,
        ...over,
      });
    assert.deepEqual(schedule({}), []);
    assert.match(schedule({ StartAt: 24 })[0] ?? "", /less than or equal to 23/);
    assert.match(schedule({ RecurrenceInHours: 0 })[0] ?? "", /greater than or equal to 1/);
  });

  test("an operation that the model does not know has nothing to check", () => {
    assert.deepEqual(validate(STORAGE_GATEWAY_MODEL, "NoSuchThing", { a: 1 }), []);
  });
});
