/** Vital product data pages (SPC-4, 7.8; SBC-3, 6.6): one function a page, and the table of them. */
import { type CommandContext, TRANSFER_BYTES_MAX } from "../command.ts";
import type { UnitIdentity } from "../logical-unit.ts";
import { thirdPartyCopyDescriptors } from "./third-party-copy.ts";

/** UNMAP: at most this many blocks a command (512 MiB of 512-byte blocks). */
export const UNMAP_BLOCKS_MAX = 1024 * 1024;
export const UNMAP_DESCRIPTORS_MAX = 64;
/** WRITE SAME: at most this many blocks a command, as many as one WRITE carries. */
export const WRITE_SAME_BYTES_MAX = TRANSFER_BYTES_MAX;
/** PRE-FETCH brings at most this much. */
export const PREFETCH_BYTES_MAX = 64 * 1024 * 1024;
/** WRITE ATOMIC(16): at most this many bytes, anywhere. */
export const ATOMIC_BYTES_MAX = 128 * 1024;
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
const unitSerialNumber: VpdPage = ({ unit }) => page(0x80, Buffer.from(unit.identity.serialNumber, "ascii"));

/** Association and type of designators, second byte of each. */
const DESIGNATOR = {
  unitT10: 0x01,
  unitNaa: 0x03,
  portRelative: 0x94,
  portGroup: 0x95,
  portName: 0x98,
  deviceName: 0xa8,
} as const;
const CODE_SET = { binary: 0x01, ascii: 0x02, iscsiBinary: 0x51, iscsiUtf8: 0x53 } as const;
/** There is one target port, in one target port group. */
export const TARGET_PORT = 1;
export const TARGET_PORT_GROUP = 1;

/** The designators of the logical unit itself: what a copy names it by. */
export function unitDesignators({ vendor, serialNumber, naa }: UnitIdentity): Buffer[] {
  const t10 = Buffer.from(vendor.padEnd(8) + serialNumber, "ascii");
  const naaBytes = Buffer.alloc(8);
  naaBytes.writeBigUInt64BE(naa);
  return [
    designator(CODE_SET.ascii, DESIGNATOR.unitT10, t10),
    designator(CODE_SET.binary, DESIGNATOR.unitNaa, naaBytes),
  ];
}

/** Device identification (83h): the unit, the port and its group, and the target device. */
const deviceIdentification: VpdPage = ({ unit }) => {
  const name = unit.identity.targetName;
  const portName = `${name},t,0x${TARGET_PORT.toString(16).padStart(4, "0")}`;
  return page(
    0x83,
    Buffer.concat([
      ...unitDesignators(unit.identity),
      designator(CODE_SET.iscsiBinary, DESIGNATOR.portRelative, Buffer.from([0, 0, 0, TARGET_PORT])),
      designator(CODE_SET.iscsiBinary, DESIGNATOR.portGroup, Buffer.from([0, 0, 0, TARGET_PORT_GROUP])),
      designator(CODE_SET.iscsiUtf8, DESIGNATOR.portName, paddedName(portName)),
      designator(CODE_SET.iscsiUtf8, DESIGNATOR.deviceName, paddedName(name)),
    ]),
  );
};

/** Extended INQUIRY data (86h): SIMPLE, ORDERED and HEAD OF QUEUE tasks, a volatile cache. */
const extendedInquiry: VpdPage = () => {
  const body = Buffer.alloc(0x3c);
  body.writeUInt8(0x07, 1); // HEADSUP, ORDSUP, SIMPSUP
  body.writeUInt8(0x01, 2); // V_SUP
  return page(0x86, body);
};

const thirdPartyCopy: VpdPage = ({ device }) => page(0x8f, thirdPartyCopyDescriptors(device));

/** `codeSet` carries the protocol identifier (5h, iSCSI) in its upper half where PIV is set in `type`. */
function designator(codeSet: number, type: number, body: Buffer): Buffer {
  return Buffer.concat([Buffer.from([codeSet, type, 0, body.length]), body]);
}

/** A SCSI name string: UTF-8, ended by zeros to a multiple of four. */
function paddedName(name: string): Buffer {
  const bytes = Buffer.from(name, "utf8");
  return Buffer.concat([bytes, Buffer.alloc(4 - (bytes.length % 4))]);
}

/** UGAVALID: unmap granules begin at LBA 0. */
const UNMAP_ALIGNMENT_VALID = 0x80000000;

/** Block limits (B0h). */
const blockLimits: VpdPage = ({ device }) => {
  const body = Buffer.alloc(0x3c);
  const transferBlocks = TRANSFER_BYTES_MAX / device.logicalBlockBytes;
  const physicalBlocks = device.physicalBlockBytes / device.logicalBlockBytes;
  const atomicBlocks = ATOMIC_BYTES_MAX / device.logicalBlockBytes;
  body.writeUInt8(COMPARE_AND_WRITE_BLOCKS_MAX, 1);
  body.writeUInt16BE(physicalBlocks, 2);
  body.writeUInt32BE(transferBlocks, 4);
  body.writeUInt32BE((1024 * 1024) / device.logicalBlockBytes, 8);
  body.writeUInt32BE(PREFETCH_BYTES_MAX / device.logicalBlockBytes, 12);
  body.writeUInt32BE(UNMAP_BLOCKS_MAX, 16);
  body.writeUInt32BE(UNMAP_DESCRIPTORS_MAX, 20);
  body.writeUInt32BE(physicalBlocks, 24);
  body.writeUInt32BE(UNMAP_ALIGNMENT_VALID, 28);
  body.writeBigUInt64BE(BigInt(WRITE_SAME_BYTES_MAX / device.logicalBlockBytes), 32);
  body.writeUInt32BE(atomicBlocks, 40);
  return page(0xb0, body);
};

/** WABEREQ and WACEREQ 01b: after a SANITIZE, reads are served, also before anything is written. */
const READABLE_AFTER_SANITIZE = 0x50;

/** Block device characteristics (B1h): no rotation. */
const blockDeviceCharacteristics: VpdPage = () => {
  const body = Buffer.alloc(0x3c);
  body.writeUInt16BE(1, 0);
  body.writeUInt8(READABLE_AFTER_SANITIZE, 3);
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
  [0x86, extendedInquiry],
  [0x8f, thirdPartyCopy],
  [0xb0, blockLimits],
  [0xb1, blockDeviceCharacteristics],
  [0xb2, logicalBlockProvisioning],
]);
