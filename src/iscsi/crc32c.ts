import { crc32c as native } from "@node-rs/crc32";

/** CRC32C of header and data digests (RFC 7143, 13.1). On the wire it stands little endian. */
export function crc32c(bytes: Buffer, initial = 0): number {
  return native(bytes, initial);
}
