/**
 * What a record goes through, from buffers that are there to buffers that are there: HMAC-SHA-256, zstd, AES-256-GCM.
 *
 * Two of them do the same. One is made of Node's own functions, each of which answers a new buffer; a full volume has
 * tens of thousands of records, and then collecting those buffers costs more than the hashing. The other calls the same
 * libraries (those that Node is linked with, and shows to its addons) with buffers that are used again and again. It is
 * taken where it can be had and has shown that it does what Node does (codec-choice.ts).
 */
import { createSecretKey, type KeyObject } from "node:crypto";

export const TAG_BYTES = 16;
export const HMAC_BYTES = 32;
export const ZSTD_LEVEL = 1;

/** A key in both of its forms: which of them is the cheap one is the codec's affair. */
export class CodecKey {
  readonly bytes: Buffer;
  readonly object: KeyObject;

  constructor(bytes: Buffer) {
    this.bytes = bytes;
    this.object = createSecretKey(bytes);
  }
}

/** Buffers must not overlap. None of it waits; nothing is kept of what is handed in. */
export interface RecordCodec {
  /** HMAC-SHA-256 of `content` into the first 32 bytes of `into`. */
  hmac(key: CodecKey, content: Buffer, into: Buffer): void;
  /** Compresses into `into`; answers how many bytes that are, or undefined where they do not fit. */
  compress(plain: Buffer, into: Buffer): number | undefined;
  /** Decompresses one zstd frame; answers how many bytes came of it, undefined where it is none or they do not fit. */
  decompress(body: Buffer, into: Buffer): number | undefined;
  /** AES-256-GCM: ciphertext and tag into `into`, which has 16 bytes more than `plain`. */
  seal(key: CodecKey, nonce: Buffer, associatedData: Buffer, plain: Buffer, into: Buffer): void;
  /**
   * The plain bytes into `into`; answers whether the tag fits. Where it does not, what is in `into` means nothing.
   */
  open(key: CodecKey, nonce: Buffer, associatedData: Buffer, sealed: Buffer, into: Buffer): boolean;
}
