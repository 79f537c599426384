import { strict as assert } from "node:assert";
import { describe, test } from "node:test";
import fc from "fast-check";
import type { SnapshotId, VolumeId } from "../platform/ids.ts";
import { decodeRecords, EpochLogError, type EpochRecord, encodeRecord } from "./epoch-log.ts";
import { DESCRIPTOR_BYTES, decodeDescriptor, encodeDescriptor } from "./slot-descriptor.ts";

const hex = (digits: number) =>
  fc
    .array(fc.nat({ max: 15 }), { minLength: digits, maxLength: digits })
    .map((ns) => ns.map((n) => n.toString(16)).join(""));
const state = fc.record(
  {
    used: fc.boolean(),
    mask: fc.nat({ max: 0xffff }),
    epoch: fc.nat({ max: 0xffffffff }),
    sequence: fc.nat({ max: 2 ** 48 - 1 }),
  },
  { noNullPrototype: true },
);
const descriptor = fc.record(
  {
    volumeId: hex(17).map((digits) => `vol-${digits}` as VolumeId),
    block: fc.nat({ max: 2 ** 48 - 1 }),
    current: state,
    previous: state,
    older: state,
  },
  { noNullPrototype: true },
);

describe("slot descriptors", () => {
  test("come back as they were written, at any place", () => {
    fc.assert(
      fc.property(descriptor, fc.nat({ max: 5 }), (value, place) => {
        const table = Buffer.alloc(DESCRIPTOR_BYTES * 6, 0xaa);
        encodeDescriptor(value, table, place * DESCRIPTOR_BYTES);
        assert.deepEqual(decodeDescriptor(table, place * DESCRIPTOR_BYTES), value);
        for (let i = 0; i < 6; i++) {
          if (i !== place)
            assert(table.subarray(i * DESCRIPTOR_BYTES, (i + 1) * DESCRIPTOR_BYTES).every((b) => b === 0xaa));
        }
      }),
    );
  });

  test("one with a turned bit is not believed", () => {
    fc.assert(
      fc.property(descriptor, fc.nat({ max: DESCRIPTOR_BYTES * 8 - 1 }), (value, bit) => {
        const bytes = Buffer.alloc(DESCRIPTOR_BYTES);
        encodeDescriptor(value, bytes, 0);
        bytes[bit >> 3] = (bytes[bit >> 3] ?? 0) ^ (1 << (bit & 7));
        assert.equal(decodeDescriptor(bytes, 0), undefined);
      }),
    );
  });
});

const RECORDS: readonly EpochRecord[] = [
  { type: "format", version: 1 },
  { type: "boot", bootId: "boot" },
  { type: "cut", epoch: 1, cutAtMs: 5, sizeBytes: 65536, snapshotId: "snap-0123456789abcdef0" as SnapshotId },
  { type: "durable", epoch: 1 },
  { type: "uploaded", epoch: 1, rootKey: "volumes/x/roots/1", uploadedBytes: 3, fullBytes: 4, cutAtMs: 9 },
  { type: "size", sizeBytes: 131072 },
  { type: "reset", epoch: 1, reason: "the cache was reset" },
  { type: "suspect" },
  { type: "cut", epoch: 2, cutAtMs: 6, sizeBytes: 131072 },
  { type: "failed", epoch: 2, reason: "a reason with \n a line's end" },
  { type: "hydrated" },
  { type: "clean" },
];

/** The log as it grows, all durable up to line `durableLines`. */
function logOf(records: readonly EpochRecord[], durableLines: number): { bytes: Buffer; ends: number[] } {
  const lines: Buffer[] = [];
  const ends: number[] = [];
  let length = 0;
  for (const [i, record] of records.entries()) {
    const line = encodeRecord(record, i < durableLines ? length : (ends[durableLines - 1] ?? 0));
    lines.push(line);
    length += line.length;
    ends.push(length);
  }
  return { bytes: Buffer.concat(lines), ends };
}

describe("the epoch log", () => {
  test("comes back as it was written", () => {
    assert.deepEqual(decodeRecords(logOf(RECORDS, 3).bytes, "log"), RECORDS);
    assert.deepEqual(decodeRecords(Buffer.alloc(0), "log"), []);
  });

  test("an end that was not synced may be in any state: what is durable is kept", () => {
    fc.assert(
      fc.property(
        fc.nat({ max: 7 }),
        fc.array(fc.tuple(fc.nat(), fc.nat({ max: 255 })), { maxLength: 6 }),
        fc.nat(),
        (at, damage, cut) => {
          const durableLines = at + 1;
          const { bytes, ends } = logOf(RECORDS, durableLines);
          const durableBytes = ends[durableLines - 1] ?? 0;
          const torn = Buffer.from(bytes);
          for (const [place, value] of damage) {
            if (durableBytes < torn.length)
              torn[durableBytes + (place % (torn.length - durableBytes))] = value;
          }
          const length = durableBytes + (cut % (torn.length - durableBytes + 1));
          const found = decodeRecords(torn.subarray(0, length), "log");
          assert.deepEqual(found.slice(0, durableLines), RECORDS.slice(0, durableLines));
          for (const record of found)
            assert(RECORDS.some((r) => JSON.stringify(r) === JSON.stringify(record)));
        },
      ),
    );
  });

  test("rot in what had been durable is an error, not a shorter log", () => {
    const { bytes, ends } = logOf(RECORDS, RECORDS.length);
    const lastLine = ends.at(-2) ?? 0;
    for (let at = 0; at < (ends.at(-3) ?? 0); at++) {
      const rotten = Buffer.from(bytes);
      rotten[at] = (rotten[at] ?? 0) ^ 0x01;
      assert.throws(() => decodeRecords(rotten, "log"), EpochLogError, `byte ${at} of ${lastLine}`);
    }
  });

  test("a format of the future is refused", () => {
    const future = encodeRecord({ type: "format", version: 2 } as never, 0);
    assert.throws(() => decodeRecords(future, "log"), EpochLogError);
  });
});
