import { strict as assert } from "node:assert";
import { randomBytes } from "node:crypto";
import { test } from "node:test";
import { systemRandom } from "../platform/random.ts";
import { checkActivationKey, makeActivationKey } from "./activation.ts";
import { GatewayError } from "./errors.ts";

const NOW = Date.parse("2026-11-24T16:30:00Z");
const MINUTE_MS = 60_000;
const secret = randomBytes(32);
const outcome = (key: string, nowMs = NOW, by = secret) => {
  try {
    checkActivationKey(key, by, nowMs);
    return "good";
  } catch (error) {
    assert(error instanceof GatewayError);
    return error.code;
  }
};

test("an activation key is good for half an hour, for this service, and only as it was given", () => {
  for (let i = 0; i < 200; i++) {
    const key = makeActivationKey(secret, NOW, systemRandom);
    assert.match(key, /^([A-Z2-7]{5}-){4}[A-Z2-7]{5}$/);
    assert.equal(outcome(key), "good");
    assert.equal(outcome(key, NOW + 29 * MINUTE_MS), "good");
    assert.equal(outcome(key, NOW + 31 * MINUTE_MS), "ActivationKeyExpired");
    assert.equal(outcome(key, NOW, randomBytes(32)), "ActivationKeyNotFound");
    const at = (i * 7) % 29;
    if (key[at] === "-") continue;
    const changed = key.slice(0, at) + (key[at] === "A" ? "B" : "A") + key.slice(at + 1);
    assert.equal(outcome(changed), "ActivationKeyNotFound", `${key} ${changed}`);
  }
  for (const key of ["", "x", "AAAAA-BBBBB", "aaaaa-bbbbb-ccccc-ddddd-eeeee", "A".repeat(29)]) {
    assert.equal(outcome(key), "ActivationKeyInvalid", key);
  }
  assert.equal(outcome("29AV1-3OFV9-VVIUB-NKT0I-LRO6V"), "ActivationKeyNotFound");
});
