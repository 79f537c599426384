import { strict as assert } from "node:assert";
import { describe, test } from "node:test";
import {
  Answer,
  Caller,
  FULL,
  INITIATOR,
  OPERATIONAL,
  SECURITY,
  STATUS,
  TARGET,
} from "../../test/kit/login-caller.ts";
import { decodeText, encodeText } from "../iscsi/text-keys.ts";

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

describe("what initiators in use say", () => {
  const windows = {
    HeaderDigest: "None,CRC32C",
    DataDigest: "None,CRC32C",
    ErrorRecoveryLevel: "2",
    InitialR2T: "No",
    ImmediateData: "Yes",
    MaxRecvDataSegmentLength: "65536",
    MaxBurstLength: "262144",
    FirstBurstLength: "65536",
    MaxConnections: "1",
    DataPDUInOrder: "Yes",
    DataSequenceInOrder: "Yes",
    DefaultTime2Wait: "0",
    DefaultTime2Retain: "60",
    MaxOutstandingR2T: "16",
  };
  const linux = {
    HeaderDigest: "None",
    DataDigest: "None",
    DefaultTime2Wait: "2",
    DefaultTime2Retain: "0",
    IFMarker: "No",
    OFMarker: "No",
    ErrorRecoveryLevel: "0",
    InitialR2T: "No",
    ImmediateData: "Yes",
    MaxBurstLength: "16776192",
    FirstBurstLength: "262144",
    MaxOutstandingR2T: "1",
    MaxConnections: "1",
    DataPDUInOrder: "Yes",
    DataSequenceInOrder: "Yes",
    MaxRecvDataSegmentLength: "262144",
    iSCSIProtocolLevel: "1",
    TaskReporting: "RFC3720",
    "X-com.example.Vendor": "1",
  };
  for (const [who, stages] of Object.entries({
    "Windows: security without CHAP, then the rest": [{ AuthMethod: "None" }, windows],
    "Linux: both methods, then the rest": [{ AuthMethod: "CHAP,None" }, linux],
    "a script: all at once in the operational stage": [undefined, linux],
    "a script: all at once in the security stage": [{ AuthMethod: "None", ...windows }, undefined],
    "a script: next to nothing": [undefined, {}],
  })) {
    for (const SessionType of ["Normal", "Discovery"]) {
      test(`${who} (${SessionType})`, () => {
        const caller = new Caller();
        const [security, operational] = stages;
        const first = security ?? operational ?? {};
        const from = security === undefined ? OPERATIONAL : SECURITY;
        const to = security === undefined || operational === undefined ? FULL : OPERATIONAL;
        let answer = caller.introduce(from, to, { SessionType, ...first });
        const said = { ...answer.keys };
        if (to === OPERATIONAL) answer = caller.send(OPERATIONAL, FULL, operational ?? {});
        Object.assign(said, answer.keys);
        assert(answer.step.done, JSON.stringify(answer.step.refusal));
        for (const key of Object.keys({ ...security, ...operational })) {
          assert(key in said || key === "MaxRecvDataSegmentLength", `${key} is not answered`);
          assert.notEqual(said[key], "Reject", key);
          assert.equal(said[key] === "NotUnderstood", key.startsWith("X-"), key);
        }
      });
    }
  }
});
