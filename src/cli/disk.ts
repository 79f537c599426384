/** `sluicegate disk create` and `disk list`: they work on the folder, whether the gateway runs or not. */
import { createDiskFile, scanDisks } from "../gateway/disks.ts";
import { parseSize } from "./options.ts";

const GIB = 1024 ** 3;

export function diskCreate(dataDir: string, name: string, size: string): void {
  const disk = createDiskFile(dataDir, name, parseSize(size));
  process.stdout.write(`${disk.diskId}\t${disk.sizeBytes}\t${disk.path}\n`);
}

export function diskList(dataDir: string): void {
  for (const { diskId, sizeBytes, path } of scanDisks(dataDir, [])) {
    process.stdout.write(`${diskId}\t${(sizeBytes / GIB).toFixed(2)} GiB\t${path}\n`);
  }
}
