/** TransportIDs of iSCSI initiator ports (SPC-4, 7.6.4.6): protocol identifier 5h, format 00b or 01b. */
import { invalidList } from "./sense.ts";

const PROTOCOL_ISCSI = 0x05;
/** One port: `NAME,i,0xISID`. */
const FORMAT_PORT = 0x40;
/** A whole device, by its name alone. */
const FORMAT_DEVICE = 0x00;
const HEAD_BYTES = 4;
const NAME = /^(iqn|eui|naa)\.[^\s,\0]{1,219}$/;
const PORT = /^(iqn|eui|naa)\.[^\s,\0]{1,219},i,0x[0-9a-f]{12}$/;

/** The TransportID of a port named `NAME,i,0xISID`. */
export function encodeTransportId(port: string): Buffer {
  const name = Buffer.from(`${port}\0`, "utf8");
  const padded = Math.ceil(name.length / 4) * 4;
  const id = Buffer.alloc(HEAD_BYTES + padded);
  id.writeUInt8(FORMAT_PORT | PROTOCOL_ISCSI, 0);
  id.writeUInt16BE(padded, 2);
  name.copy(id, HEAD_BYTES);
  return id;
}

/**
 * The ports of TransportIDs that begin at `offset` of a parameter list. A device's name stands for all of its ports that
 * `portsOf` knows, which has to be one at least. Throws INVALID FIELD IN PARAMETER LIST for anything else.
 */
export function decodeTransportIds(
  list: Buffer,
  offset: number,
  portsOf: (initiatorName: string) => Iterable<string>,
): string[] {
  const ports: string[] = [];
  for (let at = 0; at < list.length; ) {
    const id = list.subarray(at);
    if (id.length < HEAD_BYTES || (id.readUInt8(0) & 0x3f) !== PROTOCOL_ISCSI) throw invalidList(offset + at);
    const length = id.readUInt16BE(2);
    if (length % 4 !== 0 || id.length < HEAD_BYTES + length) throw invalidList(offset + at + 2);
    const name = id.subarray(HEAD_BYTES, HEAD_BYTES + length);
    const end = name.indexOf(0);
    const text = name
      .subarray(0, end < 0 ? name.length : end)
      .toString("utf8")
      .toLowerCase();
    const format = id.readUInt8(0) & 0xc0;
    let found: readonly string[] = [];
    if (format === FORMAT_PORT && PORT.test(text)) found = [text];
    else if (format === FORMAT_DEVICE && NAME.test(text)) found = [...portsOf(text)];
    if (found.length === 0) throw invalidList(offset + at);
    ports.push(...found);
    at += HEAD_BYTES + length;
  }
  return ports;
}
