/**
 * Third-party Copy VPD page (8Fh; SPC-4, 7.8.17): what EXTENDED COPY takes. There are no ROD tokens, which is how
 * Windows learns that it has to copy by itself.
 */
import type { BlockDevice } from "../block-device.ts";

const TARGETS_MAX = 8;
const TARGET_BYTES = 32;
const SEGMENTS_MAX = 64;
const SEGMENT_BYTES = 28;

/** What one EXTENDED COPY may ask for. */
export const COPY_LIMITS = {
  targets: TARGETS_MAX,
  segments: SEGMENTS_MAX,
  /** Both lists of descriptors together. */
  listBytes: TARGETS_MAX * TARGET_BYTES + SEGMENTS_MAX * SEGMENT_BYTES,
  segmentBlocks: 0xffff,
  /** Identification descriptor. */
  targetType: 0xe4,
  targetBytes: TARGET_BYTES,
  /** Block device to block device. */
  segmentType: 0x02,
  segmentBytes: SEGMENT_BYTES,
  copies: 16,
  /** The descriptor ID of the unit that the command is sent to. */
  thisUnit: 0xffff,
} as const;

const TYPE = {
  supportedCommands: 0x0001,
  parameterData: 0x0004,
  supportedDescriptors: 0x0008,
  supportedIds: 0x000c,
  generalOperations: 0x8001,
} as const;

/** Operation codes with their service actions, as the table of commands has them. */
const COMMANDS = [0x83, 1, 0x00, 0x84, 2, 0x00, 0x03];

/** The page's descriptors, in the order of their types. */
export function thirdPartyCopyDescriptors({ logicalBlockBytes }: BlockDevice): Buffer {
  const parameters = Buffer.alloc(28);
  parameters.writeUInt16BE(COPY_LIMITS.targets, 4);
  parameters.writeUInt16BE(COPY_LIMITS.segments, 6);
  parameters.writeUInt32BE(COPY_LIMITS.listBytes, 8);
  const types = [COPY_LIMITS.segmentType, COPY_LIMITS.targetType];
  const ids = Buffer.alloc(4);
  ids.writeUInt16BE(2, 0);
  ids.writeUInt16BE(COPY_LIMITS.thisUnit, 2);
  const operations = Buffer.alloc(32);
  operations.writeUInt32BE(COPY_LIMITS.copies, 0);
  operations.writeUInt32BE(COPY_LIMITS.copies, 4);
  operations.writeUInt32BE(COPY_LIMITS.segmentBlocks * logicalBlockBytes, 8);
  operations.writeUInt8(Math.log2(logicalBlockBytes), 12);
  return Buffer.concat([
    descriptor(TYPE.supportedCommands, Buffer.from([COMMANDS.length, ...COMMANDS])),
    descriptor(TYPE.parameterData, parameters),
    descriptor(TYPE.supportedDescriptors, Buffer.from([types.length, ...types])),
    descriptor(TYPE.supportedIds, ids),
    descriptor(TYPE.generalOperations, operations),
  ]);
}

/** One descriptor, padded to a multiple of four. */
function descriptor(type: number, content: Buffer): Buffer {
  const padded = Math.ceil(content.length / 4) * 4;
  const bytes = Buffer.alloc(4 + padded);
  bytes.writeUInt16BE(type, 0);
  bytes.writeUInt16BE(padded, 2);
  content.copy(bytes, 4);
  return bytes;
}
