/** Vital product data pages (SPC-4, 7.8; SBC-3, 6.6): one function a page, and the table of them. */
import { type CommandContext, TRANSFER_BYTES_MAX } from "../command.ts";

/** UNMAP and WRITE SAME: at most this many blocks a command (1 GiB of 512-byte blocks). */
export const UNMAP_BLOCKS_MAX = 2 * 1024 * 1024;
export const UNMAP_DESCRIPTORS_MAX = 64;
/** COMPARE AND WRITE: at most this many blocks. */
export const COMPARE_AND_WRITE_BLOCKS_MAX = 255;

const PAGE_HEAD_BYTES = 4;

type VpdPage = (context: CommandContext) => Buffer;

function page(code: number, body: Buffer): Buffer {
  const head = Buffer.alloc(PAGE_HEAD_BYTES);
  head.writeUInt8(code, 1);
  head.writeUInt16BE(body.length, 2);
  return Buffer.concat([head, body]);
}

/** Supported VPD pages (00h). */
const supportedPages: VpdPage = () => page(0x00, Buffer.from([...VPD_PAGES.keys()].sort((a, b) => a - b)));

/** Unit serial number (80h). */
const unitSerialNumber: VpdPage = ({ identity }) => page(0x80, Buffer.from(identity.serialNumber, "ascii"));

/** Device identification (83h): T10 vendor id, NAA and the target's SCSI name string. */
const deviceIdentification: VpdPage = ({ identity }) => {
  const t10 = Buffer.from(identity.vendor.padEnd(8) + identity.serialNumber, "ascii");
  const naa = Buffer.alloc(8);
  naa.writeBigUInt64BE(identity.naa);
  const relativePort = Buffer.from([0, 0, 0, 1]);
  const name = paddedName(identity.targetName);
  return page(
    0x83,
    Buffer.concat([
      designator(0x02, 0x01, t10),
      designator(0x01, 0x03, naa),
      designator(0x51, 0x94, relativePort),
      designator(0x53, 0xa8, name),
    ]),
  );
};

/** `codeSet` carries the protocol identifier (5h, iSCSI) in its upper half where PIV is set in `type`. */
function designator(codeSet: number, type: number, body: Buffer): Buffer {
  return Buffer.concat([Buffer.from([codeSet, type, 0, body.length]), body]);
}

/** A SCSI name string: UTF-8, ended by zeros to a multiple of four. */
function paddedName(name: string): Buffer {
  const bytes = Buffer.from(name, "utf8");
  return Buffer.concat([bytes, Buffer.alloc(4 - (bytes.length % 4))]);
}

/** Block limits (B0h). */
const blockLimits: VpdPage = ({ device }) => {
  const body = Buffer.alloc(0x3c);
  const transferBlocks = TRANSFER_BYTES_MAX / device.logicalBlockBytes;
  const physicalBlocks = device.physicalBlockBytes / device.logicalBlockBytes;
  body.writeUInt8(COMPARE_AND_WRITE_BLOCKS_MAX, 1);
  body.writeUInt16BE(physicalBlocks, 2);
  body.writeUInt32BE(transferBlocks, 4);
  body.writeUInt32BE((1024 * 1024) / device.logicalBlockBytes, 8);
  body.writeUInt32BE(UNMAP_BLOCKS_MAX, 16);
  body.writeUInt32BE(UNMAP_DESCRIPTORS_MAX, 20);
  body.writeUInt32BE(physicalBlocks, 24);
  body.writeBigUInt64BE(BigInt(UNMAP_BLOCKS_MAX), 32);
  return page(0xb0, body);
};

/** Block device characteristics (B1h): no rotation. */
const blockDeviceCharacteristics: VpdPage = () => {
  const body = Buffer.alloc(0x3c);
  body.writeUInt16BE(1, 0);
  return page(0xb1, body);
};

/** Logical block provisioning (B2h): thin; UNMAP and WRITE SAME give blocks back, which then read as zeros. */
const logicalBlockProvisioning: VpdPage = () => {
  const body = Buffer.alloc(4);
  body.writeUInt8(0x80 | 0x40 | 0x20 | (1 << 2), 1);
  body.writeUInt8(0x02, 2);
  return page(0xb2, body);
};

export const VPD_PAGES: ReadonlyMap<number, VpdPage> = new Map([
  [0x00, supportedPages],
  [0x80, unitSerialNumber],
  [0x83, deviceIdentification],
  [0xb0, blockLimits],
  [0xb1, blockDeviceCharacteristics],
  [0xb2, logicalBlockProvisioning],
]);
