/** TransportIDs of iSCSI initiator ports (SPC-4, 7.6.4.6): protocol identifier 5h, format 01b. */
import { invalidList } from "./sense.ts";

const PROTOCOL_ISCSI = 0x05;
const FORMAT_PORT = 0x40;
const HEAD_BYTES = 4;
const NAME = /^(iqn|eui|naa)\.[^\s,\0]{1,219},i,0x[0-9a-f]{12}$/;

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

/** The ports of TransportIDs that begin at `offset` of a parameter list; throws INVALID FIELD IN PARAMETER LIST for any that is not of that form. */
export function decodeTransportIds(list: Buffer, offset: number): string[] {
  const ports: string[] = [];
  for (let at = 0; at < list.length; ) {
    const id = list.subarray(at);
    if (id.length < HEAD_BYTES || id.readUInt8(0) !== (FORMAT_PORT | PROTOCOL_ISCSI))
      throw invalidList(offset + at);
    const length = id.readUInt16BE(2);
    if (length % 4 !== 0 || id.length < HEAD_BYTES + length) throw invalidList(offset + at);
    const name = id.subarray(HEAD_BYTES, HEAD_BYTES + length);
    const end = name.indexOf(0);
    const port = name
      .subarray(0, end < 0 ? name.length : end)
      .toString("utf8")
      .toLowerCase();
    if (!NAME.test(port)) throw invalidList(offset + at);
    ports.push(port);
    at += HEAD_BYTES + length;
  }
  return ports;
}
