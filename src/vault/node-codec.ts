/** A RecordCodec of Node's own functions. */
import { createCipheriv, createDecipheriv, createHmac } from "node:crypto";
import { constants as zlib, zstdCompressSync, zstdDecompressSync } from "node:zlib";
import { type RecordCodec, TAG_BYTES, ZSTD_LEVEL } from "./record-codec.ts";

/** What a zstd frame adds at most to a record that does not compress, and the least that zlib takes as a chunk. */
const FRAME_BYTES_MAX = 8 * 1024;
const CHUNK_BYTES_MIN = 64;

export const nodeCodec: RecordCodec = {
  hmac(key, content, into) {
    createHmac("sha256", key.object).update(content).digest().copy(into);
  },

  compress(plain, into) {
    const packed = zstdCompressSync(plain, {
      params: { [zlib.ZSTD_c_compressionLevel]: ZSTD_LEVEL },
      // Room for all of it: otherwise it comes in pieces that have to be put together.
      chunkSize: plain.length + FRAME_BYTES_MAX,
    });
    if (packed.length > into.length) return undefined;
    return packed.copy(into);
  },

  decompress(body, into) {
    try {
      const plain = zstdDecompressSync(body, {
        maxOutputLength: Math.max(1, into.length),
        chunkSize: Math.max(CHUNK_BYTES_MIN, into.length),
      });
      return plain.length > into.length ? undefined : plain.copy(into);
    } catch {
      // Not a frame, or one of more bytes than it should have: the caller says which record that was.
      return undefined;
    }
  },

  seal(key, nonce, associatedData, plain, into) {
    const cipher = createCipheriv("aes-256-gcm", key.object, nonce);
    cipher.setAAD(associatedData);
    cipher.update(plain).copy(into);
    cipher.final();
    cipher.getAuthTag().copy(into, plain.length);
  },

  open(key, nonce, associatedData, sealed, into) {
    if (sealed.length < TAG_BYTES) return false;
    const decipher = createDecipheriv("aes-256-gcm", key.object, nonce);
    decipher.setAAD(associatedData);
    decipher.setAuthTag(sealed.subarray(sealed.length - TAG_BYTES));
    decipher.update(sealed.subarray(0, sealed.length - TAG_BYTES)).copy(into);
    try {
      decipher.final();
      return true;
    } catch {
      // `final` throws for one reason only: the tag is wrong.
      return false;
    }
  },
};
