import { strict as assert } from "node:assert";
import { describe, test } from "node:test";
import fc from "fast-check";
import { crc32c } from "./crc32c.ts";
import { defaultParameters, negotiate } from "./negotiation.ts";
import { decodeLoginRequest } from "./pdu/login.ts";
import { ProtocolError } from "./protocol-error.ts";
import { serialAdd, serialBefore } from "./serial.ts";
import { decodeText, encodeText } from "./text-keys.ts";

describe("text keys", () => {
  test("come back as they were encoded", () => {
    const key = fc.stringMatching(/^[A-Za-z][A-Za-z0-9-]{0,62}$/);
    const value = fc.string({ maxLength: 40 }).map((text) => text.replaceAll("\0", ""));
    fc.assert(
      fc.property(fc.array(fc.tuple(key, value), { maxLength: 50 }), (pairs) => {
        assert.deepEqual(decodeText(encodeText(pairs)), pairs);
      }),
    );
  });

  test("anything else is a ProtocolError, whatever it is", () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 300 }), (bytes) => {
        try {
          for (const [key] of decodeText(Buffer.from(bytes))) assert(key.length > 0);
        } catch (error) {
          assert(error instanceof ProtocolError);
        }
      }),
    );
    assert.throws(() => decodeText(Buffer.from(`${"k=v\0".repeat(129)}`)), ProtocolError);
    assert.throws(() => decodeText(Buffer.alloc(64 * 1024 + 1)), ProtocolError);
  });
});

describe("negotiation (RFC 7143, 13)", () => {
  const settle = (offers: [string, string][]) => {
    const parameters = defaultParameters();
    return { answers: Object.fromEntries(negotiate(offers, parameters, false)), parameters };
  };

  test("each key by its rule", () => {
    const { answers, parameters } = settle([
      ["InitiatorName", "iqn.x"],
      ["HeaderDigest", "CRC32C,None"],
      ["DataDigest", "None,CRC32C"],
      ["InitialR2T", "No"],
      ["ImmediateData", "No"],
      ["MaxConnections", "8"],
      ["MaxBurstLength", "0x40000"],
      ["FirstBurstLength", "1048576"],
      ["MaxRecvDataSegmentLength", "65536"],
      ["ErrorRecoveryLevel", "2"],
      ["X-com.example.private", "1"],
    ]);
    assert.deepEqual(answers, {
      HeaderDigest: "CRC32C",
      DataDigest: "None",
      InitialR2T: "No",
      ImmediateData: "No",
      MaxConnections: "1",
      MaxBurstLength: "262144",
      FirstBurstLength: "262144",
      ErrorRecoveryLevel: "0",
      "X-com.example.private": "NotUnderstood",
    });
    assert.equal(parameters.maxRecvDataSegmentLength, 65536);
    assert.deepEqual([parameters.headerDigest, parameters.dataDigest], [true, false]);
  });

  test("what is no value of the key is rejected, and changes nothing", () => {
    const { answers, parameters } = settle([
      ["InitialR2T", "maybe"],
      ["MaxBurstLength", "511"],
      ["MaxOutstandingR2T", "0"],
      ["HeaderDigest", "MD5"],
      ["ErrorRecoveryLevel", "-1"],
      ["DataPDUInOrder", "yes"],
      ["DataSequenceInOrder", ""],
      ["OFMarker", "1"],
      ["OFMarkInt", "1~65535"],
      ["iSCSIProtocolLevel", "32"],
      ["TaskReporting", "FastAbort,ResponseFence"],
      ["SendTargets", "All"],
      ["TargetPortalGroupTag", "1"],
    ]);
    assert.deepEqual([...new Set(Object.values(answers))], ["Reject"]);
    assert.deepEqual(parameters, defaultParameters());
  });

  test("a declaration that is none is rejected, and no key is answered twice", () => {
    const answers = negotiate([["MaxRecvDataSegmentLength", "511"]], defaultParameters(), true);
    assert.deepEqual(answers, [["MaxRecvDataSegmentLength", "Reject"]]);
  });

  test("of a list the first that is known; of levels the lower; hexadecimal numbers are numbers", () => {
    const { answers } = settle([
      ["HeaderDigest", "X-other,CRC32C,None"],
      ["TaskReporting", "FastAbort,RFC3720"],
      ["iSCSIProtocolLevel", "2"],
      ["MaxBurstLength", "0x1000"],
      ["MaxOutstandingR2T", "0xFF"],
      ["DataPDUInOrder", "No"],
      ["IFMarker", "Yes"],
    ]);
    assert.deepEqual(answers, {
      HeaderDigest: "CRC32C",
      TaskReporting: "RFC3720",
      iSCSIProtocolLevel: "1",
      MaxBurstLength: "4096",
      MaxOutstandingR2T: "1",
      DataPDUInOrder: "Yes",
      IFMarker: "No",
    });
    assert.equal(settle([["iSCSIProtocolLevel", "0"]]).answers.iSCSIProtocolLevel, "0");
  });

  test("the first burst never exceeds a burst", () => {
    fc.assert(
      fc.property(
        fc.integer({ min: 512, max: 16777215 }),
        fc.integer({ min: 512, max: 16777215 }),
        (max, first) => {
          const offers: [string, string][] = [
            ["FirstBurstLength", String(first)],
            ["MaxBurstLength", String(max)],
          ];
          for (const each of [offers, offers.toReversed()]) {
            const { answers, parameters } = settle(each);
            assert(parameters.firstBurstLength <= parameters.maxBurstLength);
            // What was answered is what is kept to.
            assert.equal(answers.FirstBurstLength, String(parameters.firstBurstLength));
            assert.equal(answers.MaxBurstLength, String(parameters.maxBurstLength));
          }
        },
      ),
    );
  });
});

describe("serial numbers (RFC 1982)", () => {
  test("are compared around the wrap", () => {
    fc.assert(
      fc.property(
        fc.integer({ min: 0, max: 0xffffffff }),
        fc.integer({ min: 1, max: 0x7fffffff }),
        (a, n) => {
          const b = serialAdd(a, n);
          assert(serialBefore(a, b));
          assert(!serialBefore(b, a));
        },
      ),
    );
    assert.equal(serialAdd(0xffffffff, 1), 0);
    assert(!serialBefore(5, 5));
  });
});

describe("codecs", () => {
  test("CRC32C of RFC 7143's examples", () => {
    assert.equal(crc32c(Buffer.alloc(32)), 0x8a9136aa);
    assert.equal(crc32c(Buffer.alloc(32, 0xff)), 0x62a8ab43);
    assert.equal(crc32c(Buffer.from(Array.from({ length: 32 }, (_, i) => i))), 0x46dd794e);
  });

  test("a login request of any bytes is decoded: what is wrong with it is the login's to say", () => {
    fc.assert(
      fc.property(fc.uint8Array({ minLength: 48, maxLength: 48 }), (bytes) => {
        const request = decodeLoginRequest(Buffer.from(bytes));
        assert(request.isid.equals(Buffer.from(bytes.slice(8, 14))));
      }),
    );
  });
});
