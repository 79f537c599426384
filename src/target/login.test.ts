import { strict as assert } from "node:assert";
import { describe, test } from "node:test";
import { MemoryDevice } from "../../test/kit/memory-device.ts";
import { SeededRandom } from "../../test/kit/seeded-random.ts";
import { chapResponse, chooseAlgorithm, decodeBinaryValue, encodeBinaryValue } from "../iscsi/chap.ts";
import { decodeText, encodeText } from "../iscsi/text-keys.ts";
import type { ChapCredential, TargetEntry } from "./directory.ts";
import { Login, type LoginStep } from "./login.ts";

const INITIATOR = "iqn.1994-05.com.example:host";
const TARGET = "iqn.1997-05.com.amazon:one";
const IN = "initiator-secret";
const OUT = "target-secret-1";
const SECURITY = 0;
const OPERATIONAL = 1;
const FULL = 3;
const STATUS = {
  ok: 0,
  initiatorError: 0x0200,
  authentication: 0x0201,
  notFound: 0x0203,
  tooManyConnections: 0x0206,
  missing: 0x0207,
  noSession: 0x020a,
  duringLogin: 0x020b,
};

type Keys = Record<string, string>;

/** One initiator that logs in, request by request. */
class Caller {
  readonly login: Login;
  entry: TargetEntry;
  readonly sessions = new Set<number>();
  hasRoom = true;
  isid = 1;
  tsih = 0;
  cid = 0;

  constructor(credentials: readonly ChapCredential[] = []) {
    this.entry = {
      targetName: TARGET,
      device: new MemoryDevice(1024 * 1024),
      identity: { serialNumber: "1", naa: 3n << 60n, vendor: "TEST", product: "TEST", revision: "1" },
      credentials,
    };
    this.login = new Login({
      directory: { list: () => [this.entry], find: (name) => (name === TARGET ? this.entry : undefined) },
      random: new SeededRandom(3),
      newTsih: () => 7,
      hasSession: (tsih, _name, isid) => this.sessions.has(tsih) && isid.readUInt32BE(0) === 1,
      hasRoom: () => this.hasRoom,
    });
  }

  send(csg: number, nsg: number | undefined, keys: Keys | Buffer, more = false): Answer {
    const bhs = Buffer.alloc(48);
    bhs.writeUInt8(0x43, 0);
    bhs.writeUInt8((nsg === undefined ? 0 : 0x80 | nsg) | (more ? 0x40 : 0) | (csg << 2), 1);
    bhs.writeUInt32BE(this.isid, 8);
    bhs.writeUInt16BE(this.tsih, 14);
    bhs.writeUInt16BE(this.cid, 20);
    const data = Buffer.isBuffer(keys) ? keys : encodeText(Object.entries(keys));
    return new Answer(this.login.step(bhs, data));
  }

  /** The first request, with what every initiator says. */
  introduce(csg: number, nsg: number | undefined, keys: Keys = {}): Answer {
    const names = { InitiatorName: INITIATOR, SessionType: "Normal", TargetName: TARGET };
    return this.send(csg, nsg, { ...names, ...keys });
  }
}

class Answer {
  readonly step: LoginStep;
  constructor(step: LoginStep) {
    this.step = step;
  }

  get keys(): Keys {
    return Object.fromEntries(decodeText(this.step.data));
  }

  get status(): number {
    return this.step.header.readUInt16BE(36);
  }

  /** The T bit and the stage after it. */
  get transit(): number | undefined {
    const flags = this.step.header.readUInt8(1);
    return (flags & 0x80) === 0 ? undefined : flags & 0x03;
  }

  get moreKeys(): boolean {
    return (this.step.header.readUInt8(1) & 0x40) !== 0;
  }
}

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

describe("login stages (RFC 7143, 6.3)", () => {
  test("security, operational, full feature", () => {
    const caller = new Caller();
    const first = caller.introduce(SECURITY, OPERATIONAL, { AuthMethod: "CHAP,None" });
    assert.deepEqual(first.keys, { AuthMethod: "None", TargetPortalGroupTag: "1" });
    assert.equal(first.transit, OPERATIONAL);
    const last = caller.send(OPERATIONAL, FULL, { HeaderDigest: "None" });
    assert.equal(last.transit, FULL);
    assert.equal(last.keys.MaxRecvDataSegmentLength, "262144");
    assert.equal(last.step.done?.tsih, 7);
    assert.equal(last.step.header.readUInt16BE(14), 7);
  });

  test("from either stage straight to full feature", () => {
    for (const stage of [SECURITY, OPERATIONAL]) {
      const answer = new Caller().introduce(stage, FULL);
      assert.equal(answer.status, STATUS.ok);
      assert(answer.step.done);
    }
  });

  test("stages are not skipped, repeated or gone back", () => {
    const bad: [number, number | undefined][] = [
      [2, FULL],
      [FULL, FULL],
      [SECURITY, SECURITY],
      [SECURITY, 2],
      [OPERATIONAL, SECURITY],
      [OPERATIONAL, OPERATIONAL],
    ];
    for (const [csg, nsg] of bad) {
      assert.equal(new Caller().introduce(csg, nsg).status, STATUS.initiatorError, `${csg} to ${nsg}`);
    }
    const caller = new Caller();
    caller.introduce(SECURITY, OPERATIONAL);
    assert.equal(caller.send(SECURITY, FULL, {}).status, 0x020b);
    const early = new Caller();
    early.introduce(SECURITY, undefined);
    assert.equal(early.send(OPERATIONAL, FULL, {}).status, 0x020b);
  });

  test("who and whom has to be said, once", () => {
    assert.equal(new Caller().send(OPERATIONAL, FULL, {}).status, 0x0207);
    assert.equal(new Caller().send(OPERATIONAL, FULL, { InitiatorName: INITIATOR }).status, 0x0207);
    assert.equal(new Caller().introduce(OPERATIONAL, FULL, { TargetName: "iqn.x:no" }).status, 0x0203);
    assert.equal(new Caller().introduce(OPERATIONAL, FULL, { SessionType: "Boot" }).status, 0x0209);
    for (const name of ["iqn.x:a b", "iqn.x:a\nb", "iqn.x:\u001b[2J", "iqn.x:\u202eb"]) {
      const answer = new Caller().introduce(OPERATIONAL, FULL, { InitiatorName: name });
      assert.equal(answer.status, STATUS.initiatorError);
      assert.equal(answer.step.refusal?.initiatorName, "", "not into the log");
      const target = new Caller().introduce(OPERATIONAL, FULL, { TargetName: name });
      assert.deepEqual([target.status, target.step.refusal?.targetName], [STATUS.notFound, ""]);
    }
    assert(new Caller().introduce(OPERATIONAL, FULL, { InitiatorName: "eui.02004567A425678D" }).step.done);
    assert(
      new Caller().introduce(OPERATIONAL, FULL, { InitiatorName: "iqn.2026-01.test:m\u00fcnchen" }).step.done,
    );
    const caller = new Caller();
    caller.introduce(OPERATIONAL, undefined, { MaxBurstLength: "4096" });
    assert.equal(caller.send(OPERATIONAL, FULL, { MaxBurstLength: "8192" }).status, STATUS.initiatorError);
    const again = new Caller();
    again.introduce(SECURITY, OPERATIONAL);
    assert.equal(again.introduce(OPERATIONAL, FULL).status, STATUS.ok, "names may be repeated");
    for (const field of ["isid", "tsih", "cid"] as const) {
      const other = new Caller();
      other.introduce(SECURITY, OPERATIONAL);
      other[field] += 1;
      assert.equal(other.send(OPERATIONAL, FULL, {}).status, STATUS.initiatorError, `another ${field}`);
    }
  });

  test("a request that is the last of its stage and goes on (T and C) is refused", () => {
    const caller = new Caller();
    const answer = caller.send(OPERATIONAL, FULL, { InitiatorName: INITIATOR }, true);
    assert.equal(answer.status, STATUS.initiatorError);
    assert(answer.step.refusal);
  });

  test("what is no login request is refused in the middle of a login, and has no answer before one", () => {
    const caller = new Caller();
    assert.equal(caller.login.interrupted(), undefined);
    caller.introduce(SECURITY, OPERATIONAL);
    const step = caller.login.interrupted();
    assert(step?.refusal);
    assert.equal(new Answer(step).status, STATUS.duringLogin);
  });

  test("a login without end is refused", () => {
    const caller = new Caller();
    let { status, step } = caller.introduce(SECURITY, undefined);
    let rounds = 1;
    for (; status === STATUS.ok && rounds < 1000; rounds++) {
      ({ status, step } = caller.send(SECURITY, undefined, {}));
    }
    assert(rounds < 1000 && step.refusal);
    assert.equal(status, STATUS.initiatorError);
  });

  test("keys of other stages, and of others: what can be settled is, what can't is refused", () => {
    // Operational keys in the security stage: some initiators say all they have at once.
    const hasty = new Caller().introduce(SECURITY, FULL, { AuthMethod: "None", MaxBurstLength: "4096" });
    assert.equal(hasty.keys.MaxBurstLength, "4096");
    assert.equal(hasty.step.done?.parameters.maxBurstLength, 4096);
    const late = new Caller().introduce(OPERATIONAL, FULL, { AuthMethod: "CHAP,None" });
    assert.equal(late.keys.AuthMethod, "None");
    assert(late.step.done);
    for (const stage of [SECURITY, OPERATIONAL]) {
      const answer = new Caller().introduce(stage, FULL, { CHAP_A: "5" });
      assert.equal(answer.status, STATUS.initiatorError);
    }
    const others = { SendTargets: "All", TargetAlias: "x", TargetPortalGroupTag: "2" };
    const answered = new Caller().introduce(OPERATIONAL, undefined, others);
    assert.deepEqual(
      [answered.keys.SendTargets, answered.keys.TargetAlias, answered.status],
      ["Reject", "Reject", STATUS.ok],
    );
  });

  test("a session has one connection: a second is told so, a stranger's TSIH too", () => {
    const caller = new Caller();
    caller.sessions.add(9);
    caller.tsih = 9;
    assert.equal(caller.introduce(OPERATIONAL, FULL).status, STATUS.tooManyConnections);
    const stranger = new Caller();
    stranger.tsih = 10;
    assert.equal(stranger.introduce(OPERATIONAL, FULL).status, STATUS.noSession);
    const guesser = new Caller();
    guesser.sessions.add(9);
    guesser.tsih = 9;
    guesser.isid = 2;
    assert.equal(guesser.introduce(OPERATIONAL, FULL).status, STATUS.noSession, "another's session");
    const full = new Caller();
    full.hasRoom = false;
    assert.equal(full.introduce(OPERATIONAL, FULL).status, 0x0302);
  });

  test("text that goes over several requests is one text; a long answer goes over several responses", () => {
    const caller = new Caller();
    const keys = Array.from({ length: 120 }, (_, i): [string, string] => [`X-${"k".repeat(58)}${i}`, "1"]);
    const text = encodeText([["InitiatorName", INITIATOR], ["TargetName", TARGET], ...keys]);
    const half = 4001;
    const empty = caller.send(OPERATIONAL, undefined, text.subarray(0, half), true);
    assert.equal(empty.step.data.length, 0);
    let answer = caller.send(OPERATIONAL, FULL, text.subarray(half));
    const parts = [answer.step.data];
    for (let round = 0; answer.moreKeys; round++) {
      assert(round < 10 && answer.transit === undefined && answer.step.data.length <= 8192);
      answer = caller.send(OPERATIONAL, FULL, {});
      parts.push(answer.step.data);
    }
    assert(parts.length > 1 && answer.step.done);
    const whole = Object.fromEntries(decodeText(Buffer.concat(parts)));
    for (const [key] of keys) assert.equal(whole[key], "NotUnderstood");
  });
});

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
