/**
 * EXTENDED COPY(LID1), RECEIVE COPY STATUS(LID1) and RECEIVE COPY OPERATING PARAMETERS (SPC-4, 6.4, 6.21 and 6.20):
 * blocks copied within a volume or between two, without a way over the network.
 *
 * An initiator may copy only between units that it is logged in to: knowing a unit's name opens nothing.
 */
import { nextTurn } from "../../platform/clock.ts";
import {
  allocated,
  type CommandContext,
  readDevice,
  type ScsiCommand,
  STEP_BYTES,
  writeDevice,
} from "../command.ts";
import type { LogicalUnit } from "../logical-unit.ts";
import { CheckCondition, invalidCdb, invalidList, SENSE } from "../sense.ts";
import { unitDesignators } from "../vpd/pages.ts";
import { COPY_LIMITS } from "../vpd/third-party-copy.ts";

const HEAD_BYTES = 16;
const TARGET = { type: COPY_LIMITS.targetType, bytes: COPY_LIMITS.targetBytes } as const;
const SEGMENT = { type: COPY_LIMITS.segmentType, bytes: COPY_LIMITS.segmentBytes } as const;
/** LIST ID USAGE: the list identifier means nothing. */
const NO_LIST_ID = 3;
/** The unit that the command is sent to, as a source or a destination (SPC-4, table 131). */
const THIS_UNIT = COPY_LIMITS.thisUnit;
const CODE_SET_MASK = 0x0f;
const DESIGNATOR_MASK = 0x3f;
const DESIGNATOR_BYTES_MAX = 20;
/** DISK BLOCK LENGTH of an identification descriptor. */
const BLOCK_LENGTH_AT = 29;

interface Segment {
  readonly source: number;
  readonly destination: number;
  readonly blocks: number;
  readonly sourceLba: bigint;
  readonly destinationLba: bigint;
}

interface CopyList {
  readonly listId: number | undefined;
  readonly targets: readonly Buffer[];
  readonly segments: readonly Segment[];
}

export const extendedCopy: ScsiCommand = {
  name: "EXTENDED COPY(LID1)",
  opcode: 0x83,
  serviceAction: 0x00,
  usage: "83 1f 00 00 00 00 00 00 00 00 ff ff ff ff 00 00",
  access: "write",
  timeoutS: 0,
  async execute(context) {
    const { cdb, dataOut, nexus, unit } = context;
    const listLength = cdb.readUInt32BE(10);
    if (listLength === 0) return { dataOutBytes: 0 };
    if (dataOut.length < listLength) throw new CheckCondition(SENSE.parameterListLengthError);
    const { listId, targets, segments } = readList(dataOut.subarray(0, listLength));
    const units = targets.map((descriptor, i) => unitOf(context, descriptor, HEAD_BYTES + TARGET.bytes * i));
    let done = 0;
    let bytes = 0;
    try {
      for (const segment of segments) {
        bytes += await copy(context, units, segment);
        done += 1;
      }
    } finally {
      const failed = done < segments.length;
      if (listId !== undefined) {
        unit.copies.keep(nexus.initiatorPort, listId, { failed, segments: done, bytes });
      }
    }
    return { dataOutBytes: listLength };
  },
};

function readList(list: Buffer): CopyList {
  if (list.length < HEAD_BYTES) throw new CheckCondition(SENSE.parameterListLengthError);
  const targetBytes = list.readUInt16BE(2);
  const segmentBytes = list.readUInt32BE(8);
  const inlineBytes = list.readUInt32BE(12);
  if (
    targetBytes + segmentBytes > COPY_LIMITS.listBytes ||
    HEAD_BYTES + targetBytes + segmentBytes + inlineBytes > list.length
  ) {
    throw new CheckCondition(SENSE.parameterListLengthError);
  }
  const targetList = list.subarray(HEAD_BYTES, HEAD_BYTES + targetBytes);
  const segmentList = list.subarray(HEAD_BYTES + targetBytes, HEAD_BYTES + targetBytes + segmentBytes);
  const targets = split(targetList, TARGET, SENSE.unsupportedTargetDescriptor);
  const segments = split(segmentList, SEGMENT, SENSE.unsupportedSegmentDescriptor);
  if (targets.length > COPY_LIMITS.targets) throw new CheckCondition(SENSE.tooManyTargetDescriptors);
  if (segments.length > COPY_LIMITS.segments) throw new CheckCondition(SENSE.tooManySegmentDescriptors);
  const usage = (list.readUInt8(1) >> 3) & 0x03;
  return {
    listId: usage === NO_LIST_ID ? undefined : list.readUInt8(0),
    targets,
    segments: segments.map((segment, i) =>
      readSegment(segment, HEAD_BYTES + targetBytes + SEGMENT.bytes * i),
    ),
  };
}

function split(
  list: Buffer,
  kind: { readonly type: number; readonly bytes: number },
  unsupported: (typeof SENSE)["unsupportedTargetDescriptor" | "unsupportedSegmentDescriptor"],
): Buffer[] {
  const parts: Buffer[] = [];
  for (let at = 0; at < list.length; at += kind.bytes) {
    if (list.readUInt8(at) !== kind.type) throw new CheckCondition(unsupported);
    if (at + kind.bytes > list.length) throw new CheckCondition(SENSE.parameterListLengthError);
    parts.push(list.subarray(at, at + kind.bytes));
  }
  return parts;
}

/** `at`: where the descriptor begins in the list. */
function readSegment(descriptor: Buffer, at: number): Segment {
  if (descriptor.readUInt16BE(2) !== SEGMENT.bytes - 4) throw invalidList(at + 2);
  return {
    source: descriptor.readUInt16BE(4),
    destination: descriptor.readUInt16BE(6),
    blocks: descriptor.readUInt16BE(10),
    sourceLba: descriptor.readBigUInt64BE(12),
    destinationLba: descriptor.readBigUInt64BE(20),
  };
}

/** The unit that an identification descriptor, `at` in the list, names; undefined where it is to be passed over as unreachable. */
function unitOf({ nexus, unit }: CommandContext, descriptor: Buffer, at: number): LogicalUnit | undefined {
  const flags = descriptor.readUInt8(1);
  const isNull = (flags & 0x20) !== 0;
  // A disk is peripheral device type 0. LU ID TYPE says nothing that the designator does not.
  if ((flags & 0x1f) !== 0) throw invalidList(at + 1, 4);
  const length = descriptor.readUInt8(7);
  if (length > DESIGNATOR_BYTES_MAX) throw invalidList(at + 7);
  if (isNull) return undefined;
  const codeSet = descriptor.readUInt8(4) & CODE_SET_MASK;
  const type = descriptor.readUInt8(5) & DESIGNATOR_MASK;
  const bytes = descriptor.subarray(8, 8 + length);
  for (const candidate of unit.unitsOf(nexus.initiatorName)) {
    if (candidate !== unit && candidate.nexusesOf(nexus.initiatorName).length === 0) continue;
    for (const own of unitDesignators(candidate.identity)) {
      const isSame = own.readUInt8(0) === codeSet && own.readUInt8(1) === type;
      if (!isSame || !own.subarray(4).equals(bytes)) continue;
      // Who counts in blocks of another size would copy something else.
      const blockBytes = descriptor.readUIntBE(BLOCK_LENGTH_AT, 3);
      if (blockBytes !== 0 && blockBytes !== candidate.device.logicalBlockBytes) {
        throw invalidList(at + BLOCK_LENGTH_AT);
      }
      return candidate;
    }
  }
  return undefined;
}

/** Copies one segment; answers how many bytes. */
async function copy(
  { nexus, signal, unit }: CommandContext,
  units: readonly (LogicalUnit | undefined)[],
  segment: Segment,
): Promise<number> {
  const source = segment.source === THIS_UNIT ? unit : units[segment.source];
  const destination = segment.destination === THIS_UNIT ? unit : units[segment.destination];
  if (source === undefined || destination === undefined) {
    throw new CheckCondition(SENSE.copyTargetNotReachable);
  }
  checkAccess(source, nexus.initiatorName, "read");
  checkAccess(destination, nexus.initiatorName, "write");
  const from = offsetOf(source, segment.sourceLba, segment.blocks);
  const to = offsetOf(destination, segment.destinationLba, segment.blocks);
  const length = segment.blocks * source.device.logicalBlockBytes;
  if (source.device.logicalBlockBytes !== destination.device.logicalBlockBytes) {
    throw new CheckCondition(SENSE.copyAborted);
  }
  // Ranges that overlap are copied from the end, so that nothing is overwritten before it is read.
  const backwards = source === destination && from < to;
  const buffer = Buffer.allocUnsafe(Math.min(STEP_BYTES, length));
  await destination.locks.shared(to, length, async () => {
    for (let done = 0; done < length; done += buffer.length) {
      if (signal.aborted) throw new CheckCondition(SENSE.copyAborted);
      const step = Math.min(buffer.length, length - done);
      const at = backwards ? length - done - step : done;
      await readDevice(source.device, from + at, buffer, step);
      await writeDevice(destination.device, to + at, buffer, step);
      await nextTurn();
    }
  });
  if (destination.modes.isWriteThrough) await destination.device.flush();
  return length;
}

/** Throws COPY ABORTED where the initiator could not read or write the unit by itself, by any of its ports. */
function checkAccess(unit: LogicalUnit, initiatorName: string, access: "read" | "write"): void {
  const isAdmitted = unit.nexusesOf(initiatorName).some((nexus) => !unit.isForbidden(nexus, access, false));
  const isProtected = access === "write" && (unit.modes.writeProtect || unit.isMediumProtected);
  if (!isAdmitted || isProtected || unit.sanitizer.isActive) {
    throw new CheckCondition(SENSE.copyTargetNotReachable);
  }
}

function offsetOf({ device }: LogicalUnit, lba: bigint, blocks: number): number {
  const capacity = BigInt(device.sizeBytes / device.logicalBlockBytes);
  if (lba + BigInt(blocks) > capacity) throw new CheckCondition(SENSE.copyAborted);
  return Number(lba) * device.logicalBlockBytes;
}

const COPY_STATUS = { done: 0x01, failed: 0x02 } as const;

export const receiveCopyStatus: ScsiCommand = {
  name: "RECEIVE COPY STATUS(LID1)",
  opcode: 0x84,
  serviceAction: 0x00,
  usage: "84 1f ff 00 00 00 00 00 00 00 ff ff ff ff 00 00",
  access: "any",
  timeoutS: 10,
  execute({ cdb, nexus, unit }) {
    const result = unit.copies.take(nexus.initiatorPort, cdb.readUInt8(2));
    if (result === undefined) throw invalidCdb(2);
    const data = Buffer.alloc(12);
    data.writeUInt32BE(data.length - 4, 0);
    data.writeUInt8(result.failed ? COPY_STATUS.failed : COPY_STATUS.done, 4);
    data.writeUInt16BE(result.segments, 5);
    data.writeUInt32BE(result.bytes, 8);
    return allocated(data, cdb.readUInt32BE(10));
  },
};

export const receiveCopyParameters: ScsiCommand = {
  name: "RECEIVE COPY OPERATING PARAMETERS",
  opcode: 0x84,
  serviceAction: 0x03,
  usage: "84 1f 00 00 00 00 00 00 00 00 ff ff ff ff 00 00",
  access: "any",
  timeoutS: 10,
  execute({ cdb, device }) {
    const types = [SEGMENT.type, TARGET.type];
    const data = Buffer.alloc(44 + types.length);
    data.writeUInt32BE(data.length - 4, 0);
    data.writeUInt8(0x01, 4); // SNLID: LIST ID USAGE 11b is known
    data.writeUInt16BE(COPY_LIMITS.targets, 8);
    data.writeUInt16BE(COPY_LIMITS.segments, 10);
    data.writeUInt32BE(COPY_LIMITS.listBytes, 12);
    data.writeUInt32BE(COPY_LIMITS.segmentBlocks * device.logicalBlockBytes, 16);
    data.writeUInt16BE(COPY_LIMITS.copies, 34);
    data.writeUInt8(COPY_LIMITS.copies, 36);
    // DATA SEGMENT GRANULARITY as a power of two: a block.
    data.writeUInt8(Math.log2(device.logicalBlockBytes), 37);
    data.writeUInt8(types.length, 43);
    Buffer.from(types).copy(data, 44);
    return allocated(data, cdb.readUInt32BE(10));
  },
};
