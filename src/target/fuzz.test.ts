import { strict as assert } from "node:assert";
import { after, before, describe, test } from "node:test";
import fc from "fast-check";
import { fuzzTarget } from "../../test/fuzz/peer-fuzzer.ts";
import { MemoryDevice } from "../../test/kit/memory-device.ts";
import { SeededRandom } from "../../test/kit/seeded-random.ts";
import { TargetKit } from "../../test/kit/target-kit.ts";
import { defaultParameters, negotiate } from "../iscsi/negotiation.ts";
import { ProtocolError } from "../iscsi/protocol-error.ts";
import { decodeText, encodeText } from "../iscsi/text-keys.ts";
import type { TargetEntry } from "./directory.ts";
import { Login } from "./login.ts";

const ROUNDS = 400;

describe("peers that break the protocol", () => {
  const kit = new TargetKit();
  before(() => kit.start());
  after(() => kit.stop());

  test(`${ROUNDS} of them: others are served, nothing is left behind`, async () => {
    const { answers } = await fuzzTarget(kit, 1, ROUNDS);
    assert(answers > ROUNDS, `${answers} answers`);
  });
});

describe("text negotiation, whatever is said", () => {
  const name = fc.constantFrom(
    ...["HeaderDigest", "DataDigest", "MaxConnections", "InitialR2T", "ImmediateData", "MaxBurstLength"],
    ...["FirstBurstLength", "DefaultTime2Wait", "DefaultTime2Retain", "MaxOutstandingR2T", "constructor"],
    ...["ErrorRecoveryLevel", "MaxRecvDataSegmentLength", "iSCSIProtocolLevel", "toString", "X-other"],
  );
  const value = fc.oneof(
    fc.constantFrom("Yes", "No", "None", "CRC32C", "Reject", "NotUnderstood", "", "0", "-1", "0x200", "1e3"),
    fc.integer({ min: -1, max: 2 ** 33 }).map(String),
    fc.string({ maxLength: 40 }).map((text) => text.replaceAll("\0", "")),
  );

  test("every key but declarations is answered once, and the parameters stay within their ranges", () => {
    fc.assert(
      fc.property(fc.uniqueArray(fc.tuple(name, value), { selector: ([key]) => key }), (offers) => {
        const parameters = defaultParameters();
        const answers = negotiate(offers, parameters, false);
        const asked = offers.map(([key]) => key).filter((key) => key !== "MaxRecvDataSegmentLength");
        const answered = answers.map(([key]) => key).filter((key) => key !== "MaxRecvDataSegmentLength");
        assert.deepEqual(answered.sort(), asked.sort());
        assert(parameters.firstBurstLength <= parameters.maxBurstLength);
        for (const [key, min, max] of [
          ["maxRecvDataSegmentLength", 512, 16_777_215],
          ["maxBurstLength", 512, 16_777_215],
          ["firstBurstLength", 512, 16_777_215],
          ["maxOutstandingR2T", 1, 1],
          ["maxConnections", 1, 1],
          ["errorRecoveryLevel", 0, 0],
        ] as const) {
          assert(parameters[key] >= min && parameters[key] <= max, `${key}=${parameters[key]}`);
        }
      }),
    );
  });

  test("no sequence of login requests gets past a target's credentials, or throws anything unforeseen", () => {
    const initiatorName = "iqn.2026-01.test:fuzz";
    const targetName = "iqn.1997-05.com.amazon:one";
    const entry: TargetEntry = {
      targetName,
      device: new MemoryDevice(512),
      identity: { serialNumber: "1", naa: 3n << 60n, vendor: "TEST", product: "TEST", revision: "1" },
      credentials: [{ initiatorName, secretToAuthenticateInitiator: "never-guessed" }],
    };
    const said = fc.constantFrom(
      ...[`InitiatorName=${initiatorName}`, `TargetName=${targetName}`, "SessionType=Normal"],
      ...["AuthMethod=CHAP,None", "AuthMethod=None", "AuthMethod=CHAP", "CHAP_A=5", "CHAP_A=8,7,5"],
      ...[`CHAP_N=${initiatorName}`, "CHAP_R=0x00112233445566778899aabbccddeeff", "CHAP_R=0b", "CHAP_I=1"],
      ...["CHAP_C=0x00", "HeaderDigest=None", "MaxBurstLength=512", "no pair"],
    );
    const request = fc.record({
      flags: fc.oneof(fc.constantFrom(0x00, 0x81, 0x83, 0x87, 0x04, 0x40), fc.nat(255)),
      keys: fc.array(said, { maxLength: 6 }),
      isFirst: fc.boolean(),
    });
    fc.assert(
      fc.property(fc.array(request, { maxLength: 8 }), fc.nat(), (requests, seed) => {
        const login = new Login({
          directory: { list: () => [entry], find: (wanted) => (wanted === targetName ? entry : undefined) },
          random: new SeededRandom(seed),
          newTsih: () => 1,
          hasSession: () => false,
          hasRoom: () => true,
        });
        for (const { flags, keys, isFirst } of requests) {
          const bhs = Buffer.alloc(48);
          bhs.writeUInt8(0x43, 0);
          bhs.writeUInt8(flags, 1);
          const names = isFirst ? [`InitiatorName=${initiatorName}`, `TargetName=${targetName}`] : [];
          const text = Buffer.from([...names, ...keys].map((pair) => `${pair}\0`).join(""));
          try {
            const step = login.step(bhs, text);
            assert.equal(step.done, undefined, "admitted");
            if (step.refusal !== undefined) return;
            assert.deepEqual(encodeText(decodeText(step.data)), step.data);
          } catch (error) {
            if (!(error instanceof ProtocolError)) throw error;
            return;
          }
        }
      }),
      { numRuns: 1000 },
    );
  });
});
