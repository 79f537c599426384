/** `sluicegate disk …`: making and listing work on the folder, whether the gateway runs or not. */
import { createDiskFile, scanDisks } from "../gateway/disks.ts";
import { UsageError } from "./failure.ts";
import { clientOf, findGateway, type GatewayChoice } from "./inventory.ts";
import { parseSize } from "./options.ts";
import { bytes, print, table } from "./output.ts";

export function diskCreate(dataDir: string, name: string, size: string): void {
  const disk = createDiskFile(dataDir, name, parseSize(size));
  print(disk, () => `${disk.diskId}\t${disk.sizeBytes}\t${disk.path}`);
}

export function diskList(dataDir: string): void {
  const disks = scanDisks(dataDir, []);
  print(disks, () =>
    table(
      ["DISK", "SIZE", "PATH"],
      disks.map(({ diskId, sizeBytes, path }) => [diskId, bytes(sizeBytes), path]),
      "there are no disks",
    ),
  );
}

const USES: Readonly<Record<string, string>> = { cache: "AddCache", "upload-buffer": "AddUploadBuffer" };

/** Puts a free disk to use. */
export async function diskUse(
  name: string,
  choice: GatewayChoice & { readonly as: string; readonly gateway?: string },
): Promise<void> {
  const operation = USES[choice.as];
  if (operation === undefined) throw new UsageError("--as takes cache or upload-buffer");
  const api = clientOf(choice);
  const kind = choice.as === "cache" ? "CACHED" : undefined;
  const { GatewayARN, GatewayName } = await findGateway(api, choice.gateway, kind);
  await api.call(operation, { GatewayARN, DiskIds: [name] });
  print(
    { GatewayARN, DiskId: name },
    () => `${name} is part of the ${choice.as.replace("-", " ")} of ${GatewayName} now`,
  );
}
