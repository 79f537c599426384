/** SANITIZE (SBC-4, 5.30): what the unit holds is gone, for everybody who reads the unit. */
import { once } from "node:events";
import type { CommandContext, ScsiCommand } from "../command.ts";
import { CheckCondition, invalidCdb, invalidList, SENSE } from "../sense.ts";
import { PASSES_MAX, type SanitizeOrder } from "../unit-state-file.ts";

const IMMED = 0x80;
/** What a CDB of SANITIZE may say: a command that destroys everything is not taken for what it might mean. */
const USAGE = "48 bf 00 00 00 00 00 ff ff 00";
const UNUSED = Buffer.from(USAGE.replaceAll(" ", ""), "hex").map((bits) => ~bits);
const LIST_LENGTH_AT = 7;
const OVERWRITE_HEAD_BYTES = 4;
const INVERT = 0x80;

/** With IMMED the answer comes when it has begun, and REQUEST SENSE tells how far it is. */
async function begin({ cdb, unit, signal }: CommandContext, order: SanitizeOrder): Promise<void> {
  const done = unit.sanitizer.start(order);
  if ((cdb.readUInt8(1) & IMMED) === 0) {
    // A command that is aborted ends; what it has begun does not.
    await Promise.race([done, once(signal, "abort").then(() => {})]);
    return;
  }
  // Its failure is the unit's state from then on.
  done.catch(() => {});
}

function sanitize(
  name: string,
  serviceAction: number,
  act: (context: CommandContext, list: Buffer) => Promise<void>,
): ScsiCommand {
  return {
    name: `SANITIZE, ${name}`,
    opcode: 0x48,
    serviceAction,
    usage: USAGE,
    access: "write",
    isWrite: true,
    // One that has failed is answered by another, or by giving up: refused only while one is under way.
    isSanitizeExempt: true,
    async execute(context) {
      const { cdb, dataOut, unit } = context;
      const unused = UNUSED.findIndex((bits, i) => i > 0 && (cdb.readUInt8(i) & bits) !== 0);
      if (unused >= 0) throw invalidCdb(unused);
      const { progress } = unit.sanitizer;
      if (progress !== undefined) throw new CheckCondition(SENSE.sanitizeInProgress, { progress });
      const listLength = cdb.readUInt16BE(7);
      if (dataOut.length < listLength) throw invalidCdb(LIST_LENGTH_AT);
      await act(context, dataOut.subarray(0, listLength));
      return { dataOutBytes: listLength };
    },
  };
}

function checkEmpty(list: Buffer): void {
  if (list.length > 0) throw invalidCdb(LIST_LENGTH_AT);
}

function overwriteOrder(context: CommandContext, list: Buffer): SanitizeOrder {
  const { logicalBlockBytes } = context.device;
  if (list.length <= OVERWRITE_HEAD_BYTES || list.length > logicalBlockBytes + OVERWRITE_HEAD_BYTES) {
    throw invalidCdb(LIST_LENGTH_AT);
  }
  const flags = list.readUInt8(0);
  const passes = flags & PASSES_MAX;
  const patternBytes = list.readUInt16BE(2);
  if (passes === 0) throw invalidList(0, 4);
  if (patternBytes === 0 || patternBytes !== list.length - OVERWRITE_HEAD_BYTES) throw invalidList(2);
  const pattern = Buffer.from(list.subarray(OVERWRITE_HEAD_BYTES));
  return { pattern, passes, inverts: (flags & INVERT) !== 0 };
}

/** No pattern: blocks are unmapped, and read as zeros. */
const ERASE: SanitizeOrder = { pattern: undefined, passes: 1, inverts: false };

export const sanitizeCommands: readonly ScsiCommand[] = [
  sanitize("OVERWRITE", 0x01, (context, list) => begin(context, overwriteOrder(context, list))),
  sanitize("BLOCK ERASE", 0x02, async (context, list) => {
    checkEmpty(list);
    await begin(context, ERASE);
  }),
  sanitize("CRYPTOGRAPHIC ERASE", 0x03, async (context, list) => {
    checkEmpty(list);
    await begin(context, ERASE);
  }),
  sanitize("EXIT FAILURE MODE", 0x1f, async ({ unit }, list) => {
    checkEmpty(list);
    unit.sanitizer.exitFailure();
  }),
];
