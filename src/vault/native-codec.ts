/**
 * A RecordCodec of the libraries that Node is linked with, libcrypto (OpenSSL 3) and libzstd, called directly: into
 * buffers of the caller's, with one context a thread that is used for every record.
 *
 * What is handed to C is checked here: no length is believed that a buffer does not have.
 */
import { strict as assert } from "node:assert";
import { processFunction } from "../platform/libc.ts";
import { HMAC_BYTES, type RecordCodec, TAG_BYTES, ZSTD_LEVEL } from "./record-codec.ts";

const KEY_BYTES = 32;
const NONCE_BYTES = 12;
const EVP_CTRL_AEAD_GET_TAG = 0x10;
const EVP_CTRL_AEAD_SET_TAG = 0x11;

/** The codec, or undefined where the machine, or the Node that runs here, does not have what it takes. */
export function nativeCodec(): RecordCodec | undefined {
  if (process.platform !== "linux") return undefined;
  try {
    return makeCodec();
  } catch {
    // No binary of koffi for this machine, or a Node that was built without these: its own functions do.
    return undefined;
  }
}

function makeCodec(): RecordCodec {
  const cipherContext = processFunction("void *EVP_CIPHER_CTX_new()")() as object;
  const aes256Gcm = processFunction("void *EVP_aes_256_gcm()")() as object;
  const sha256 = processFunction("void *EVP_sha256()")() as object;
  const compressor = processFunction("void *ZSTD_createCCtx()")() as object;
  const decompressor = processFunction("void *ZSTD_createDCtx()")() as object;
  for (const made of [cipherContext, aes256Gcm, sha256, compressor, decompressor]) assert(made !== null);
  const clearErrors = processFunction("void ERR_clear_error()");
  const hmacOf = processFunction(
    "void *HMAC(void *md, uint8_t *key, int keyBytes, uint8_t *data, size_t bytes, uint8_t *into, void *length)",
  );
  const zstdCompress = processFunction(
    "size_t ZSTD_compressCCtx(void *context, uint8_t *into, size_t capacity, uint8_t *from, size_t bytes, int level)",
  );
  const zstdDecompress = processFunction(
    "size_t ZSTD_decompressDCtx(void *context, uint8_t *into, size_t capacity, uint8_t *from, size_t bytes)",
  );
  const encryptInit = processFunction(
    "int EVP_EncryptInit_ex(void *context, void *type, void *engine, uint8_t *key, uint8_t *iv)",
  );
  const encryptUpdate = processFunction(
    "int EVP_EncryptUpdate(void *context, uint8_t *into, uint8_t *length, uint8_t *from, int bytes)",
  );
  const encryptFinal = processFunction(
    "int EVP_EncryptFinal_ex(void *context, uint8_t *into, uint8_t *length)",
  );
  const decryptInit = processFunction(
    "int EVP_DecryptInit_ex(void *context, void *type, void *engine, uint8_t *key, uint8_t *iv)",
  );
  const decryptUpdate = processFunction(
    "int EVP_DecryptUpdate(void *context, uint8_t *into, uint8_t *length, uint8_t *from, int bytes)",
  );
  const decryptFinal = processFunction(
    "int EVP_DecryptFinal_ex(void *context, uint8_t *into, uint8_t *length)",
  );
  const control = processFunction(
    "int EVP_CIPHER_CTX_ctrl(void *context, int type, int argument, uint8_t *bytes)",
  );
  /** Where OpenSSL says how many bytes it has written; and room for its last block, which GCM does not have. */
  const length = Buffer.alloc(4);
  const lastBlock = Buffer.alloc(TAG_BYTES);
  const done = (answer: unknown) => {
    if (answer === 1) return;
    clearErrors();
    throw new Error("OpenSSL refused to encrypt or to hash");
  };
  /** A size, or undefined for what is an error: those are the largest numbers there are. */
  const sizeOf = (answer: unknown, most: number) => {
    const size = Number(answer);
    return size <= most ? size : undefined;
  };

  return {
    hmac(key, content, into) {
      assert(key.bytes.length === KEY_BYTES && into.length >= HMAC_BYTES);
      done(hmacOf(sha256, key.bytes, KEY_BYTES, content, content.length, into, null) === null ? 0 : 1);
    },

    compress(plain, into) {
      const size = zstdCompress(compressor, into, into.length, plain, plain.length, ZSTD_LEVEL);
      return sizeOf(size, into.length);
    },

    decompress(body, into) {
      return sizeOf(zstdDecompress(decompressor, into, into.length, body, body.length), into.length);
    },

    seal(key, nonce, associatedData, plain, into) {
      assert(key.bytes.length === KEY_BYTES && nonce.length === NONCE_BYTES);
      assert(into.length === plain.length + TAG_BYTES);
      done(encryptInit(cipherContext, aes256Gcm, null, key.bytes, nonce));
      done(encryptUpdate(cipherContext, null, length, associatedData, associatedData.length));
      done(encryptUpdate(cipherContext, into, length, plain, plain.length));
      done(encryptFinal(cipherContext, lastBlock, length));
      done(control(cipherContext, EVP_CTRL_AEAD_GET_TAG, TAG_BYTES, into.subarray(plain.length)));
    },

    open(key, nonce, associatedData, sealed, into) {
      assert(key.bytes.length === KEY_BYTES && nonce.length === NONCE_BYTES);
      const bytes = sealed.length - TAG_BYTES;
      if (bytes < 0) return false;
      assert(into.length >= bytes);
      done(decryptInit(cipherContext, aes256Gcm, null, key.bytes, nonce));
      done(decryptUpdate(cipherContext, null, length, associatedData, associatedData.length));
      done(decryptUpdate(cipherContext, into, length, sealed, bytes));
      done(control(cipherContext, EVP_CTRL_AEAD_SET_TAG, TAG_BYTES, sealed.subarray(bytes)));
      if (decryptFinal(cipherContext, lastBlock, length) === 1) return true;
      clearErrors();
      return false;
    },
  };
}
