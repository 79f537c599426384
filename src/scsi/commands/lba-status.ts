/** GET LBA STATUS (SBC-3, 5.4). */
import { nextTurn } from "../../platform/clock.ts";
import type { BlockDevice } from "../block-device.ts";
import { type CommandContext, checkRange, checkWanted, readLba, type ScsiCommand } from "../command.ts";

const HEAD_BYTES = 8;
const DESCRIPTOR_BYTES = 16;
const LBA_COUNT_MAX = 0xffffffff;
const STATUS = { mapped: 0, deallocated: 1 } as const;
/** Read in one command at most, where the device does not know without that. */
const SCAN_BYTES_MAX = 1024 * 1024 * 1024;
/** Extents that the device knows of, at most, in one command: they may be small. */
const KNOWN_MAX = 65_536;
const TURN_BYTES = 4 * 1024 * 1024;
const SCAN_STEP_BYTES = 64 * 1024;
const DESCRIPTORS_MAX = 1024;
/**
 * Where so much lies together that is not zeros, the rest is not read for it: it counts as mapped as far as the device
 * knows of nothing else, asked at every so many bytes. Initiators ask this before they read, many at a time.
 */
const DENSE_BYTES = 1024 * 1024;
const DENSE_STEPS_MAX = 2048;

interface Extent {
  readonly isMapped: boolean;
  readonly start: number;
  end: number;
}

/**
 * Which blocks hold something. Provisioning goes by physical blocks: a request that begins within one is answered from
 * the next one on. What is zeros counts as deallocated: it reads the same, and takes no space in the vault.
 */
export const getLbaStatus: ScsiCommand = {
  name: "GET LBA STATUS",
  opcode: 0x9e,
  serviceAction: 0x12,
  usage: "9e 1f ff ff ff ff ff ff ff ff ff ff ff ff 00 00",
  access: "read",
  timeoutS: 30,
  async execute({ cdb, device, signal }) {
    const lba = readLba(cdb, 2);
    checkRange(device, lba, 1);
    const allocationLength = cdb.readUInt32BE(10);
    const room = Math.floor((allocationLength - HEAD_BYTES) / DESCRIPTOR_BYTES);
    const from = lba * device.logicalBlockBytes;
    const aligned = Math.ceil(from / device.physicalBlockBytes) * device.physicalBlockBytes;
    const start = aligned < device.sizeBytes ? aligned : from;
    const extents = await extentsFrom(
      { device, signal },
      start,
      Math.min(Math.max(room, 1), DESCRIPTORS_MAX),
    );
    const data = Buffer.alloc(HEAD_BYTES + DESCRIPTOR_BYTES * extents.length);
    data.writeUInt32BE(data.length - 4, 0);
    for (const [i, extent] of extents.entries()) {
      const at = HEAD_BYTES + DESCRIPTOR_BYTES * i;
      const blocks = (extent.end - extent.start) / device.logicalBlockBytes;
      data.writeBigUInt64BE(BigInt(extent.start / device.logicalBlockBytes), at);
      data.writeUInt32BE(blocks, at + 8);
      data.writeUInt8(extent.isMapped ? STATUS.mapped : STATUS.deallocated, at + 12);
    }
    return { dataIn: data.subarray(0, allocationLength) };
  },
};

/** At most `max` extents, of one status each. */
async function extentsFrom(
  { device, signal }: Pick<CommandContext, "device" | "signal">,
  start: number,
  max: number,
): Promise<Extent[]> {
  const extents: Extent[] = [];
  const buffer = Buffer.allocUnsafe(SCAN_STEP_BYTES);
  const { sizeBytes, physicalBlockBytes, logicalBlockBytes } = device;
  let scanned = 0;
  let known = 0;
  let at = start;
  while (at < sizeBytes && scanned < SCAN_BYTES_MAX && known < KNOWN_MAX) {
    const most = Math.min(sizeBytes - at, LBA_COUNT_MAX * logicalBlockBytes);
    const told = device.emptyBytes?.(at, most) ?? 0;
    const empty = told === most ? told : told - (told % physicalBlockBytes);
    if (empty > 0) {
      if (!append(extents, false, at, empty, max, logicalBlockBytes)) return extents;
      at += empty;
      known += 1;
      continue;
    }
    // Steps end where the volume's own blocks do.
    const step = Math.min(SCAN_STEP_BYTES - (at % SCAN_STEP_BYTES), sizeBytes - at);
    const isRead =
      device.tryRead(at, buffer, 0, step) || (await device.readNear?.(at, buffer, 0, step)) === true;
    for (let i = 0; i < step; i += physicalBlockBytes) {
      const length = Math.min(physicalBlockBytes, step - i);
      const isMapped = !isRead || !isZeros(buffer, i, length);
      if (!append(extents, isMapped, at + i, length, max, logicalBlockBytes)) return extents;
    }
    at += step;
    scanned += step;
    const last = extents.at(-1);
    if (last?.isMapped === true && at - last.start >= DENSE_BYTES) {
      at = endOfDense(device, at);
      last.end = Math.min(at, last.start + LBA_COUNT_MAX * logicalBlockBytes);
      if (last.end < at || extents.length === max) return extents;
    }
    if (scanned % TURN_BYTES < SCAN_STEP_BYTES) {
      await nextTurn();
      checkWanted({ signal });
    }
  }
  return extents;
}

/** As far as nothing from `at` on is known to be empty; a look every so often has to do. */
function endOfDense(device: BlockDevice, at: number): number {
  let end = at;
  for (let i = 0; i < DENSE_STEPS_MAX && end < device.sizeBytes; i++) {
    const step = Math.min(DENSE_BYTES, device.sizeBytes - end);
    if ((device.emptyBytes?.(end, step) ?? 0) > 0) break;
    end += step;
  }
  return end;
}

function append(
  extents: Extent[],
  isMapped: boolean,
  start: number,
  length: number,
  max: number,
  blockBytes: number,
): boolean {
  const last = extents.at(-1);
  if (last?.isMapped === isMapped && (start + length - last.start) / blockBytes <= LBA_COUNT_MAX) {
    last.end = start + length;
    return true;
  }
  if (extents.length === max) return false;
  extents.push({ isMapped, start, end: start + length });
  return true;
}

const ZEROS = Buffer.alloc(SCAN_STEP_BYTES);

function isZeros(buffer: Buffer, offset: number, length: number): boolean {
  return buffer.compare(ZEROS, 0, length, offset, offset + length) === 0;
}
