import { strict as assert } from "node:assert";
import { randomBytes } from "node:crypto";
import { describe, test } from "node:test";
import fc from "fast-check";
import { agrees, recordCodec } from "./codec-choice.ts";
import { nativeCodec } from "./native-codec.ts";
import { nodeCodec } from "./node-codec.ts";
import { CodecKey, TAG_BYTES } from "./record-codec.ts";

const native = nativeCodec();
const skip = native === undefined ? "no native codec on this machine" : false;

describe("codecs of records", () => {
  test("Linux on x64 and arm64 gets the native one", { skip }, () => {
    assert.notEqual(recordCodec(), nodeCodec);
  });

  test("one that does anything else than Node does is not taken", () => {
    assert(agrees(nodeCodec, nodeCodec));
    const wrong: Partial<typeof nodeCodec>[] = [
      { hmac: (_key, _content, into) => into.fill(0) },
      { open: (...args) => nodeCodec.open(...args) || true },
      { compress: () => 0 },
      { decompress: (_body, into) => into.length },
      { seal: (_key, _nonce, _data, plain, into) => plain.copy(into) },
    ];
    for (const part of wrong) assert(!agrees({ ...nodeCodec, ...part }, nodeCodec), Object.keys(part)[0]);
  });

  test("native and Node's: the same hashes and seals, each reads the other, damage is refused", {
    skip,
  }, () => {
    assert(native !== undefined);
    const bytes = fc.oneof(
      fc.uint8Array({ minLength: 1, maxLength: 3000 }),
      fc.constant(new Uint8Array(65536)),
    );
    fc.assert(
      fc.property(bytes, fc.uint8Array({ maxLength: 100 }), fc.nat(), (content, data, at) => {
        const plain = Buffer.from(content);
        const aad = Buffer.from(data);
        const key = new CodecKey(randomBytes(32));
        const nonce = randomBytes(12);
        const [a, b] = [Buffer.alloc(plain.length + TAG_BYTES), Buffer.alloc(plain.length + TAG_BYTES)];
        native.seal(key, nonce, aad, plain, a);
        nodeCodec.seal(key, nonce, aad, plain, b);
        assert.deepEqual(a, b);
        const back = Buffer.alloc(plain.length);
        assert(native.open(key, nonce, aad, b, back));
        assert.deepEqual(back, plain);
        const bit = at % (a.length * 8);
        a[bit >> 3] = (a[bit >> 3] ?? 0) ^ (1 << (bit & 7));
        assert(!native.open(key, nonce, aad, a, back));
        const [hashA, hashB] = [Buffer.alloc(32), Buffer.alloc(32)];
        native.hmac(key, plain, hashA);
        nodeCodec.hmac(key, plain, hashB);
        assert.deepEqual(hashA, hashB);
        for (const [from, to] of [
          [native, nodeCodec],
          [nodeCodec, native],
        ] as const) {
          const packed = Buffer.alloc(plain.length + 1024);
          const length = from.compress(plain, packed);
          assert(length !== undefined);
          assert.equal(to.decompress(packed.subarray(0, length), back.fill(1)), plain.length);
          assert.deepEqual(back, plain);
          // One byte too little room is noticed, and nothing is written beyond it.
          const guarded = Buffer.alloc(plain.length, 0xaa);
          assert.equal(to.decompress(packed.subarray(0, length), guarded.subarray(0, -1)), undefined);
          assert.equal(guarded.at(-1), 0xaa);
        }
        // What is no frame at all.
        assert.equal(native.decompress(randomBytes(64), back), undefined);
      }),
      { numRuns: 200 },
    );
  });
});
