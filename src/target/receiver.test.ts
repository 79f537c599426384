import { strict as assert } from "node:assert";
import { describe, test } from "node:test";
import fc from "fast-check";
import { BHS_BYTES, paddedLength } from "../iscsi/bhs.ts";
import { crc32c } from "../iscsi/crc32c.ts";
import { ProtocolError } from "../iscsi/protocol-error.ts";
import { type PduHandler, PduReceiver } from "./receiver.ts";

interface Pdu {
  readonly opcode: number;
  readonly data: Buffer;
}

const pdu = fc.record(
  {
    opcode: fc.constantFrom(0x00, 0x01, 0x05, 0x06),
    data: fc.uint8Array({ maxLength: 700 }).map((bytes) => Buffer.from(bytes)),
  },
  { noNullPrototype: true },
);

function encode({ opcode, data }: Pdu, digests: boolean): Buffer {
  const bhs = Buffer.alloc(BHS_BYTES);
  bhs.writeUInt8(opcode, 0);
  bhs.writeUIntBE(data.length, 5, 3);
  const padded = Buffer.alloc(paddedLength(data.length));
  data.copy(padded);
  const digest = (bytes: Buffer) => {
    const value = Buffer.alloc(4);
    value.writeUInt32LE(crc32c(bytes));
    return value;
  };
  if (!digests) return Buffer.concat([bhs, padded]);
  const parts = [bhs, digest(bhs), padded];
  if (data.length > 0) parts.push(digest(padded));
  return Buffer.concat(parts);
}

/** Keeps copies of what it is lent; collects the data of opcode 5 itself, as a session does for writes. */
class Recorder implements PduHandler {
  readonly got: Pdu[] = [];
  /** Opcodes of PDUs whose data had not kept its digest. */
  readonly badData: number[] = [];
  /** Opcodes of PDUs that have announced too much. */
  readonly tooLong: number[] = [];
  #target: Buffer | undefined;
  readonly #patience: () => boolean;

  constructor(patience: () => boolean = () => true) {
    this.#patience = patience;
  }

  onPdu(bhs: Buffer, data: Buffer): void {
    this.got.push({ opcode: bhs.readUInt8(0), data: Buffer.from(data) });
  }

  onTooLong(bhs: Buffer): void {
    this.tooLong.push(bhs.readUInt8(0));
  }

  collectInto(bhs: Buffer, lengthBytes: number): Buffer | undefined {
    if (bhs.readUInt8(0) !== 0x05 || lengthBytes === 0) return undefined;
    this.#target = Buffer.alloc(lengthBytes);
    return this.#target;
  }

  onDataDigestError(bhs: Buffer): void {
    this.badData.push(bhs.readUInt8(0));
  }

  onCollected(bhs: Buffer, isRight: boolean): void {
    assert(this.#target !== undefined);
    if (!isRight) {
      this.onDataDigestError(bhs);
      return;
    }
    this.got.push({ opcode: bhs.readUInt8(0), data: this.#target });
  }

  wantsMore(): boolean {
    return this.#patience();
  }
}

/** Cuts a stream at the given places. */
function pieces(stream: Buffer, cuts: readonly number[]): Buffer[] {
  const places = [...new Set(cuts.map((cut) => cut % (stream.length + 1)))].sort((a, b) => a - b);
  return [0, ...places].map((from, i) => stream.subarray(from, places[i] ?? stream.length));
}

describe("the PDU receiver", () => {
  test("finds the same PDUs however the stream is cut up", () => {
    fc.assert(
      fc.property(
        fc.array(pdu, { maxLength: 12 }),
        fc.array(fc.nat(), { maxLength: 20 }),
        fc.boolean(),
        fc.array(fc.boolean(), { minLength: 1, maxLength: 8 }),
        (pdus, cuts, digests, patience) => {
          let asked = 0;
          const recorder = new Recorder(() => patience[asked++ % patience.length] ?? true);
          const receiver = new PduReceiver(recorder);
          receiver.headerDigest = digests;
          receiver.dataDigest = digests;
          // The chunk is lent: what was not kept is overwritten afterwards.
          for (const piece of pieces(Buffer.concat(pdus.map((p) => encode(p, digests))), cuts)) {
            const lent = Buffer.from(piece);
            receiver.push(lent);
            lent.fill(0xee);
          }
          for (let i = 0; i < 200 && recorder.got.length < pdus.length; i++) receiver.resume();
          if (patience.some(Boolean)) assert.deepEqual(recorder.got, pdus);
          else assert.equal(recorder.got.length, 0);
        },
      ),
      { numRuns: 300 },
    );
  });

  test("any bytes at all end in PDUs or in a ProtocolError", () => {
    fc.assert(
      fc.property(
        fc.uint8Array({ maxLength: 2_000 }),
        fc.array(fc.nat(), { maxLength: 6 }),
        fc.boolean(),
        (bytes, cuts, digests) => {
          const receiver = new PduReceiver(new Recorder());
          receiver.headerDigest = digests;
          receiver.dataDigest = digests;
          try {
            for (const piece of pieces(Buffer.from(bytes), cuts)) receiver.push(piece);
          } catch (error) {
            assert(error instanceof ProtocolError, String(error));
          }
        },
      ),
    );
  });

  for (const opcode of [0x01, 0x05]) {
    test(`a wrong digest is noticed, opcode ${opcode}`, () => {
      const good = encode({ opcode, data: Buffer.from("data.") }, true);
      const after = encode({ opcode: 0x06, data: Buffer.from("after") }, true);
      for (const [at, cut] of Array.from(good, (_, i) =>
        [0, 20, 52, 55].map((c) => [i, c] as const),
      ).flat()) {
        if (at >= 4 && at < 8) continue;
        const bad = Buffer.from(good);
        bad[at] = (bad[at] ?? 0) ^ 1;
        const recorder = new Recorder();
        const receiver = new PduReceiver(recorder);
        receiver.headerDigest = true;
        receiver.dataDigest = true;
        const feed = () => {
          receiver.push(bad.subarray(0, cut));
          receiver.push(Buffer.concat([bad.subarray(cut), after]));
        };
        // Of a broken header nothing can be trusted; broken data costs this PDU alone.
        if (at < 52) assert.throws(feed, ProtocolError, `byte ${at}`);
        else {
          feed();
          assert.deepEqual(recorder.badData, [opcode], `byte ${at}, cut ${cut}`);
          assert.deepEqual(recorder.got, [{ opcode: 0x06, data: Buffer.from("after") }]);
        }
      }
    });
  }

  test("additional header segments of every length are passed over", () => {
    for (let words = 0; words <= 255; words++) {
      const bhs = Buffer.alloc(BHS_BYTES);
      bhs.writeUInt8(words, 4);
      bhs.writeUIntBE(3, 5, 3);
      const stream = Buffer.concat([bhs, Buffer.alloc(4 * words, 0xa5), Buffer.from("abc\0")]);
      for (const cut of [0, 47, 48, 49, 48 + 4 * words, stream.length - 1]) {
        const recorder = new Recorder();
        const receiver = new PduReceiver(recorder);
        receiver.push(stream.subarray(0, cut));
        receiver.push(stream.subarray(cut));
        assert.deepEqual(
          recorder.got,
          [{ opcode: 0, data: Buffer.from("abc") }],
          `${words} words, cut ${cut}`,
        );
      }
    }
  });

  test("a data segment longer than was agreed is refused before it is kept", () => {
    const bhs = Buffer.alloc(BHS_BYTES);
    for (const length of [256 * 1024 + 1, 2 ** 20, 2 ** 24 - 1]) {
      bhs.writeUIntBE(length, 5, 3);
      for (const cut of [0, 20]) {
        const receiver = new PduReceiver(new Recorder());
        const feed = () => {
          receiver.push(bhs.subarray(0, cut));
          receiver.push(bhs.subarray(cut));
        };
        assert.throws(feed, ProtocolError);
      }
    }
  });
});
