/** Which RecordCodec a thread works with. */
import { nativeCodec } from "./native-codec.ts";
import { nodeCodec } from "./node-codec.ts";
import { CodecKey, type RecordCodec } from "./record-codec.ts";

let chosen: RecordCodec | undefined;

/** The codec of this thread: the fast one where it is there and agrees with Node's. */
export function recordCodec(): RecordCodec {
  chosen ??= trusted(nativeCodec());
  return chosen;
}

function trusted(native: RecordCodec | undefined): RecordCodec {
  return native !== undefined && agrees(native, nodeCodec) ? native : nodeCodec;
}

/** Whether `one` makes what `other` makes, reads what it has made, and refuses what it refuses. */
export function agrees(one: RecordCodec, other: RecordCodec): boolean {
  const key = new CodecKey(Buffer.alloc(32, 7));
  const nonce = Buffer.alloc(12, 3);
  const data = Buffer.from("associated data");
  const plain = Buffer.from("The quick brown fox jumps over the lazy dog. ".repeat(200));
  const [hmacs, sealed, back] = [[Buffer.alloc(32), Buffer.alloc(32)], [buffer(16), buffer(16)], buffer(0)];
  for (const [i, codec] of [one, other].entries()) {
    codec.hmac(key, plain, hmacs[i] ?? back);
    codec.seal(key, nonce, data, plain, sealed[i] ?? back);
  }
  if (hmacs[0]?.equals(hmacs[1] ?? back) !== true || sealed[0]?.equals(sealed[1] ?? back) !== true)
    return false;
  if (!one.open(key, nonce, data, sealed[1] ?? back, back) || !back.equals(plain)) return false;
  const damaged = Buffer.from(sealed[1] ?? back);
  damaged[5] = (damaged[5] ?? 0) ^ 1;
  if (one.open(key, nonce, data, damaged, back) || one.open(key, nonce, plain, sealed[1] ?? back, back))
    return false;
  for (const [from, to] of [
    [one, other],
    [other, one],
    [one, one],
  ] as const) {
    const packed = buffer(0);
    const length = from.compress(plain, packed);
    if (length === undefined || to.decompress(packed.subarray(0, length), back.fill(0)) !== plain.length)
      return false;
    if (!back.equals(plain)) return false;
    if (to.decompress(packed.subarray(0, length), back.subarray(1)) !== undefined) return false;
    if (to.decompress(packed.subarray(0, length - 1), back) !== undefined) return false;
  }
  return one.compress(plain, back.subarray(0, 8)) === undefined;

  function buffer(more: number): Buffer {
    return Buffer.alloc(plain.length + more);
  }
}
