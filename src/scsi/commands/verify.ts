/** VERIFY(10), (12) and (16), and COMPARE AND WRITE (SBC-3, 5.2 and 5.30 to 5.33). */
import {
  type CommandContext,
  checkRange,
  readDevice,
  readLba,
  type ScsiCommand,
  TRANSFER_BYTES_MAX,
  writeDevice,
} from "../command.ts";
import { CheckCondition, SENSE } from "../sense.ts";
import { COMPARE_AND_WRITE_BLOCKS_MAX } from "../vpd/pages.ts";

const BYTCHK = { none: 0, whole: 1, oneBlock: 3 } as const;

function verify(
  name: string,
  opcode: number,
  range: (cdb: Buffer) => [lba: number, blocks: number],
): ScsiCommand {
  return {
    name,
    opcode,
    async execute(context) {
      const { cdb, dataOut, device } = context;
      const [lba, blocks] = range(cdb);
      const flags = cdb.readUInt8(1);
      if (flags >> 5 !== 0) throw new CheckCondition(SENSE.invalidFieldInCdb);
      checkRange(device, lba, blocks);
      const blockBytes = device.logicalBlockBytes;
      if (blocks * blockBytes > TRANSFER_BYTES_MAX) throw new CheckCondition(SENSE.invalidFieldInCdb);
      const data = await readDevice(device, lba * blockBytes, blocks * blockBytes);
      const check = (flags >> 1) & 0x03;
      if (check === BYTCHK.none) return {};
      if (check === 2) throw new CheckCondition(SENSE.invalidFieldInCdb);
      const due = check === BYTCHK.oneBlock ? blockBytes : data.length;
      if (dataOut.length < due) throw new CheckCondition(SENSE.invalidFieldInCdb);
      for (let at = 0; at < data.length; at += due) {
        compare(data.subarray(at, at + due), dataOut.subarray(0, due), at);
      }
      return {};
    },
  };
}

export const verify10 = verify("VERIFY(10)", 0x2f, (cdb) => [cdb.readUInt32BE(2), cdb.readUInt16BE(7)]);
export const verify12 = verify("VERIFY(12)", 0xaf, (cdb) => [cdb.readUInt32BE(2), cdb.readUInt32BE(6)]);
export const verify16 = verify("VERIFY(16)", 0x8f, (cdb) => [readLba(cdb, 2), cdb.readUInt32BE(10)]);

/** COMPARE AND WRITE: nothing else touches the unit between the comparison and the write. */
export const compareAndWrite: ScsiCommand = {
  name: "COMPARE AND WRITE",
  opcode: 0x89,
  async execute(context) {
    const { cdb, dataOut, device } = context;
    const lba = readLba(cdb, 2);
    const blocks = cdb.readUInt8(13);
    if (cdb.readUInt8(1) >> 5 !== 0) throw new CheckCondition(SENSE.invalidFieldInCdb);
    checkRange(device, lba, blocks);
    if (blocks > COMPARE_AND_WRITE_BLOCKS_MAX) throw new CheckCondition(SENSE.invalidFieldInCdb);
    if (blocks === 0) return {};
    const length = blocks * device.logicalBlockBytes;
    if (dataOut.length < 2 * length) throw new CheckCondition(SENSE.invalidFieldInCdb);
    await exclusively(device, () => swap(context, lba * device.logicalBlockBytes, length));
    if ((cdb.readUInt8(1) & 0x08) !== 0) await device.flush();
    return {};
  },
};

async function swap({ dataOut, device }: CommandContext, offsetBytes: number, length: number): Promise<void> {
  const expected = dataOut.subarray(0, length);
  const replacement = dataOut.subarray(length, 2 * length);
  for (;;) {
    compare(await readDevice(device, offsetBytes, length), expected, 0);
    // Between this read and this write nothing can run: if the device serves neither inline, bring it there first.
    const now = Buffer.allocUnsafe(length);
    if (!device.tryRead(offsetBytes, now, 0, length)) continue;
    compare(now, expected, 0);
    if (device.tryWrite(offsetBytes, replacement, 0, length)) return;
    // Writing back what is there makes room for it; the next round compares again.
    await writeDevice(device, offsetBytes, now);
  }
}

/** COMPARE AND WRITE commands of one device, one after the other. */
const queues = new WeakMap<object, Promise<void>>();

function exclusively(device: object, action: () => Promise<void>): Promise<void> {
  const run = (queues.get(device) ?? Promise.resolve()).then(action);
  queues.set(
    device,
    run.catch(() => {}),
  );
  return run;
}

/** Throws MISCOMPARE with the offset of the first byte that differs. */
function compare(actual: Buffer, expected: Buffer, baseOffset: number): void {
  if (actual.equals(expected)) return;
  let at = 0;
  while (actual[at] === expected[at]) at += 1;
  throw new CheckCondition(SENSE.miscompareDuringVerify, baseOffset + at);
}
