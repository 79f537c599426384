import { strict as assert } from "node:assert";
import { describe, test } from "node:test";
import {
  type Answer,
  Caller,
  FULL,
  INITIATOR,
  type Keys,
  OPERATIONAL,
  SECURITY,
  STATUS,
  TARGET,
} from "../../test/kit/login-caller.ts";
import { MemoryDevice } from "../../test/kit/memory-device.ts";
import { chapResponse, chooseAlgorithm, decodeBinaryValue, encodeBinaryValue } from "../iscsi/chap.ts";
import type { ChapCredential } from "./directory.ts";

const IN = "initiator-secret";
const OUT = "target-secret-1";

const ONE_WAY: ChapCredential = { initiatorName: INITIATOR, secretToAuthenticateInitiator: IN };
const MUTUAL: ChapCredential = { ...ONE_WAY, secretToAuthenticateTarget: OUT };

/** Goes through CHAP with `secret`; the answer to CHAP_R. */
function prove(
  caller: Caller,
  secret: string,
  algorithms: string,
  more: (challenge: Answer) => Keys,
): Answer {
  assert.equal(caller.introduce(SECURITY, undefined, { AuthMethod: "CHAP,None" }).keys.AuthMethod, "CHAP");
  const challenge = caller.send(SECURITY, undefined, { CHAP_A: algorithms });
  const { CHAP_A = "", CHAP_I = "", CHAP_C = "" } = challenge.keys;
  const algorithm = chooseAlgorithm(CHAP_A);
  const bytes = decodeBinaryValue(CHAP_C);
  assert(algorithm !== undefined && bytes !== undefined, CHAP_A);
  const CHAP_R = encodeBinaryValue(chapResponse(algorithm, Number(CHAP_I), secret, bytes));
  return caller.send(SECURITY, OPERATIONAL, { CHAP_N: INITIATOR, CHAP_R, ...more(challenge) });
}

describe("CHAP (RFC 7143, 12.1)", () => {
  for (const [offered, chosen] of [
    ["5", 5],
    ["7,5", 7],
    ["8,7,6,5", 8],
    ["6,5", 5],
  ] as const) {
    test(`one way, algorithms ${offered}`, () => {
      const caller = new Caller([ONE_WAY]);
      const answer = prove(caller, IN, offered, ({ keys }) => {
        assert.equal(keys.CHAP_A, String(chosen));
        return {};
      });
      assert.equal(answer.status, STATUS.ok);
      assert.equal(answer.transit, OPERATIONAL);
      assert.equal(caller.send(OPERATIONAL, FULL, {}).step.done?.credential, ONE_WAY);
    });
  }

  test("mutual: the target proves itself with its own secret", () => {
    const challenge = Buffer.from("a challenge of the initiator's");
    const answer = prove(new Caller([MUTUAL]), IN, "7", () => ({
      CHAP_I: "0x21",
      CHAP_C: `0b${challenge.toString("base64")}`,
    }));
    assert.equal(answer.status, STATUS.ok);
    assert.equal(answer.keys.CHAP_N, TARGET);
    const sha256 = chooseAlgorithm("7");
    assert(sha256);
    assert.equal(answer.keys.CHAP_R, encodeBinaryValue(chapResponse(sha256, 0x21, OUT, challenge)));
  });

  test("an initiator that says its algorithms along with the method is challenged at once", () => {
    const caller = new Caller([ONE_WAY]);
    const { keys } = caller.introduce(SECURITY, undefined, { AuthMethod: "None,CHAP", CHAP_A: "5" });
    assert.deepEqual([keys.AuthMethod, keys.CHAP_A], ["CHAP", "5"]);
    const md5 = chooseAlgorithm("5");
    const challenge = decodeBinaryValue(keys.CHAP_C ?? "");
    assert(md5 && challenge);
    const response = chapResponse(md5, Number(keys.CHAP_I), IN, challenge).toString("base64");
    const answer = caller.send(SECURITY, FULL, { CHAP_N: INITIATOR, CHAP_R: `0B${response}` });
    assert(answer.step.done);
  });

  test("binary values: both spellings of both forms, and a zero in front left out", () => {
    for (const text of ["0x0a0b", "0X0A0B", "0xa0b", "0bCgs=", "0BCgs="]) {
      assert.deepEqual(decodeBinaryValue(text), Buffer.of(0x0a, 0x0b), text);
    }
    for (const text of ["", "0x", "0b", "0a0b", "0x0g", "0b=", "1x00"]) {
      assert.equal(decodeBinaryValue(text), undefined, text);
    }
  });

  interface Wrong {
    readonly secret?: string;
    readonly credential?: ChapCredential;
    readonly more?: (challenge: Answer) => Keys;
    readonly status?: number;
  }
  // A value that proves nothing is one thing, a step that is not as it has to be another (12.1).
  const wrong: Record<string, Wrong> = {
    "a wrong secret": { secret: "initiator-secreT" },
    "a wrong name": { more: () => ({ CHAP_N: "iqn.1994-05.com.example:other" }) },
    "our own challenge sent back": {
      credential: MUTUAL,
      more: ({ keys }) => ({ CHAP_I: "1", CHAP_C: keys.CHAP_C ?? "" }),
    },
    "a proof wanted that the target can't give": { more: () => ({ CHAP_I: "1", CHAP_C: "0x0102" }) },
    "a challenge without an identifier": {
      credential: MUTUAL,
      more: () => ({ CHAP_C: "0x0102" }),
      status: STATUS.missing,
    },
    "a challenge that is none": {
      credential: MUTUAL,
      more: () => ({ CHAP_I: "1", CHAP_C: "0xzz" }),
      status: STATUS.initiatorError,
    },
    "an identifier that is none": {
      credential: MUTUAL,
      more: () => ({ CHAP_I: "256", CHAP_C: "0x0102" }),
      status: STATUS.initiatorError,
    },
    "a challenge without end": {
      credential: MUTUAL,
      more: () => ({ CHAP_I: "1", CHAP_C: `0x${"00".repeat(1025)}` }),
      status: STATUS.initiatorError,
    },
    "a response that is none": { more: () => ({ CHAP_R: "0x" }), status: STATUS.initiatorError },
    "a response of another length": { more: () => ({ CHAP_R: "0x00" }) },
    "the algorithms once more": { more: () => ({ CHAP_A: "5" }), status: STATUS.initiatorError },
    "an initiator that the target does not know": {
      credential: { ...ONE_WAY, initiatorName: "iqn.1994-05.com.example:other" },
    },
  };
  for (const [what, { secret, credential, more, status }] of Object.entries(wrong)) {
    test(`refused: ${what}`, () => {
      const answer = prove(new Caller([credential ?? ONE_WAY]), secret ?? IN, "7,5", more ?? (() => ({})));
      assert.equal(answer.status, status ?? STATUS.authentication);
      assert.equal(answer.step.done, undefined);
      assert.deepEqual(answer.keys, {});
      assert(!JSON.stringify(answer.step.refusal).includes(IN), "no secret in what is logged");
    });
  }

  test("no way round it", () => {
    assert.equal(new Caller([ONE_WAY]).introduce(OPERATIONAL, FULL).status, STATUS.authentication);
    assert.equal(
      new Caller([ONE_WAY]).introduce(SECURITY, FULL, { AuthMethod: "None" }).status,
      STATUS.authentication,
    );
    // Without a word about a method it stays where it is.
    const mute = new Caller([ONE_WAY]);
    assert.equal(mute.introduce(SECURITY, FULL).transit, undefined);
    assert.equal(mute.send(SECURITY, FULL, {}).transit, undefined);
    assert.equal(mute.send(SECURITY, OPERATIONAL, { CHAP_A: "5" }).transit, undefined);
    const hasty = new Caller([ONE_WAY]);
    assert.equal(hasty.introduce(SECURITY, FULL, { AuthMethod: "CHAP" }).transit, undefined);
    assert.equal(hasty.send(SECURITY, FULL, {}).status, STATUS.missing);
    const half = new Caller([ONE_WAY]);
    half.introduce(SECURITY, FULL, { AuthMethod: "CHAP", CHAP_A: "5" });
    assert.equal(half.send(SECURITY, FULL, { CHAP_N: INITIATOR }).status, STATUS.missing);
    const swapped = new Caller([ONE_WAY]);
    swapped.introduce(SECURITY, FULL, { AuthMethod: "CHAP" });
    assert.equal(swapped.send(SECURITY, FULL, { CHAP_N: INITIATOR, CHAP_R: "0x00" }).status, STATUS.missing);
    const unknown = new Caller([ONE_WAY]);
    unknown.introduce(SECURITY, undefined, { AuthMethod: "CHAP" });
    assert.equal(unknown.send(SECURITY, undefined, { CHAP_A: "1,6" }).status, STATUS.authentication);
    assert.equal(
      new Caller().introduce(SECURITY, OPERATIONAL, { AuthMethod: "CHAP" }).status,
      STATUS.authentication,
      "an initiator that insists on CHAP at an open target",
    );
  });

  test("credentials that change while an initiator logs in count at once", () => {
    const caller = new Caller();
    caller.introduce(SECURITY, OPERATIONAL);
    caller.entry = { ...caller.entry, credentials: [ONE_WAY] };
    assert.equal(caller.send(OPERATIONAL, FULL, {}).status, STATUS.authentication);
    const gone = new Caller();
    gone.introduce(SECURITY, OPERATIONAL);
    gone.entry = { ...gone.entry, device: new MemoryDevice(512) };
    assert.equal(gone.send(OPERATIONAL, FULL, {}).status, STATUS.notFound);
  });
});
