/** PRE-FETCH(10) and (16) (SBC-3, 5.10 and 5.11): brings blocks to the gateway before they are read. */
import { nextTurn } from "../../platform/clock.ts";
import type { BlockDevice } from "../block-device.ts";
import {
  checkRange,
  checkWanted,
  lengthByte,
  readDevice,
  readLba,
  type ScsiCommand,
  STEP_BYTES,
} from "../command.ts";
import { invalidCdb } from "../sense.ts";
import { PREFETCH_BYTES_MAX } from "../vpd/pages.ts";

const IMMED = 0x02;
/** Devices for which one is under way in the background: another one at the same time is not begun. */
const underWay = new WeakSet<BlockDevice>();

function preFetch(
  name: string,
  opcode: number,
  usage: string,
  range: (cdb: Buffer) => [lba: number, blocks: number],
): ScsiCommand {
  return {
    name,
    opcode,
    usage,
    access: "read",
    timeoutS: 60,
    /** GOOD says that it was tried: whether the blocks stay is up to the cache. */
    async execute({ cdb, device, signal }) {
      const [lba, asked] = range(cdb);
      checkRange(device, lba, asked);
      const most = PREFETCH_BYTES_MAX / device.logicalBlockBytes;
      if (asked > most) throw invalidCdb(lengthByte(cdb));
      const left = device.sizeBytes / device.logicalBlockBytes - lba;
      const blocks = asked === 0 ? Math.min(left, most) : asked;
      const bring = (whileWanted: () => void) =>
        fetchAll(device, lba * device.logicalBlockBytes, blocks * device.logicalBlockBytes, whileWanted);
      if ((cdb.readUInt8(1) & IMMED) === 0) await bring(() => checkWanted({ signal }));
      else if (!underWay.has(device)) {
        underWay.add(device);
        // What can't be brought now will say so when it is read.
        void bring(() => {})
          .catch(() => {})
          .finally(() => underWay.delete(device));
      }
      return {};
    },
  };
}

/** `whileWanted` throws where it is to end early. */
async function fetchAll(
  device: BlockDevice,
  offset: number,
  length: number,
  whileWanted: () => void,
): Promise<void> {
  const buffer = Buffer.allocUnsafe(Math.min(STEP_BYTES, length));
  for (let at = 0; at < length; at += buffer.length) {
    await readDevice(device, offset + at, buffer, Math.min(buffer.length, length - at));
    await nextTurn();
    whileWanted();
  }
}

export const preFetch10 = preFetch("PRE-FETCH(10)", 0x34, "34 02 ff ff ff ff 00 ff ff 00", (cdb) => [
  cdb.readUInt32BE(2),
  cdb.readUInt16BE(7),
]);

export const preFetch16 = preFetch(
  "PRE-FETCH(16)",
  0x90,
  "90 02 ff ff ff ff ff ff ff ff ff ff ff ff 00 00",
  (cdb) => [readLba(cdb, 2), cdb.readUInt32BE(10)],
);
