/**
 * Local disks: the files in `DATA/disks` and the devices named in the configuration. A disk's id is its file name (or
 * the device's path) and never changes; whether it is in use, and for what, stands in the catalog.
 */
import {
  closeSync,
  fsyncSync,
  ftruncateSync,
  linkSync,
  openSync,
  readdirSync,
  rmSync,
  statSync,
} from "node:fs";
import { basename, join, resolve } from "node:path";
import type { Catalog } from "../catalog/catalog.ts";
import type { DiskRow } from "../catalog/schema.ts";
import type { DiskId, GatewayId } from "../platform/ids.ts";
import { systemDisk } from "../platform/system-disk.ts";
import { DiskNodes } from "./disk-nodes.ts";
import { GatewayError } from "./errors.ts";
import type { DiskLocation } from "./ports.ts";

export interface LocalDisk extends DiskLocation {
  /** `SCSI (0:N)`: where the disk sits among the others, for good. */
  readonly node: string;
  readonly status: "present" | "missing" | "mismatch";
  /** Undefined: free. */
  readonly use: DiskRow | undefined;
}

/** A disk can't be made. */
export class DiskCreationError extends Error {
  override readonly name = "DiskCreationError";
}

const NAME = /^[A-Za-z0-9][A-Za-z0-9._-]{0,99}$/;
const SIZE_BYTES_MIN = 1024 * 1024;
const SIZE_UNIT_BYTES = 1024 * 1024;

export function disksFolder(dataDir: string): string {
  return join(resolve(dataDir), "disks");
}

/** Makes a sparse file as a local disk, whole or not at all. */
export function createDiskFile(dataDir: string, name: string, sizeBytes: number): DiskLocation {
  if (!NAME.test(name))
    throw new DiskCreationError(`"${name}" is no name for a disk: letters, digits, . _ -`);
  if (!Number.isSafeInteger(sizeBytes) || sizeBytes < SIZE_BYTES_MIN || sizeBytes % SIZE_UNIT_BYTES !== 0) {
    throw new DiskCreationError("a disk's size is a whole number of MiB");
  }
  const folder = disksFolder(dataDir);
  systemDisk.makeFolder(folder);
  const path = join(folder, name);
  const temporary = join(folder, `.new-${process.pid}-${name}`);
  try {
    const fd = openSync(temporary, "wx", 0o600);
    try {
      ftruncateSync(fd, sizeBytes);
      fsyncSync(fd);
    } finally {
      closeSync(fd);
    }
    // A link never replaces a disk that is there.
    linkSync(temporary, path);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === "EEXIST") {
      throw new DiskCreationError(`there is a disk ${name} already`);
    }
    throw error;
  } finally {
    rmSync(temporary, { force: true });
  }
  const fd = openSync(folder, "r");
  fsyncSync(fd);
  closeSync(fd);
  return { diskId: name as DiskId, path, sizeBytes };
}

/** Makes a disk at least so large: a file gets longer, a device has to have the size. Throws a GatewayError. */
export function growDisk(path: string, sizeBytes: number): void {
  const stat = statSync(path, { throwIfNoEntry: false });
  if (stat === undefined) throw new GatewayError("DiskDoesNotExist");
  const file = systemDisk.open(path, stat.isFile() ? { sizeBytes } : {});
  const grownBytes = file.sizeBytes;
  file.close();
  if (grownBytes < sizeBytes)
    throw new GatewayError("DiskSizeLessThanVolumeSize", `It has ${grownBytes} bytes.`);
}

/** The disks that are there now, by file name or path. */
export function scanDisks(dataDir: string, devices: readonly string[]): DiskLocation[] {
  const folder = disksFolder(dataDir);
  let names: string[] = [];
  try {
    names = readdirSync(folder).filter((name) => NAME.test(name));
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== "ENOENT") throw error;
  }
  const found: DiskLocation[] = [];
  for (const name of names.sort()) {
    const path = join(folder, name);
    const stat = statSync(path, { throwIfNoEntry: false });
    if (stat?.isFile()) found.push({ diskId: name as DiskId, path, sizeBytes: stat.size });
  }
  for (const path of devices) {
    const stat = statSync(path, { throwIfNoEntry: false });
    if (stat === undefined) continue;
    const file = systemDisk.open(path);
    found.push({ diskId: path as DiskId, path, sizeBytes: file.sizeBytes });
    file.close();
  }
  return found;
}

export class Disks {
  readonly #catalog: Catalog;
  readonly #dataDir: string;
  readonly #devices: readonly string[];
  readonly #nodes: DiskNodes;

  constructor(catalog: Catalog, dataDir: string, devices: readonly string[]) {
    this.#catalog = catalog;
    this.#nodes = new DiskNodes(catalog);
    this.#dataDir = dataDir;
    this.#devices = devices;
  }

  /** Makes a sparse file as a free disk. Throws a DiskCreationError. */
  create(name: string, sizeBytes: number): DiskLocation {
    return createDiskFile(this.#dataDir, name, sizeBytes);
  }

  /** All disks: those that are there and those that should be. */
  async all(): Promise<LocalDisk[]> {
    const uses = new Map((await this.#catalog.disks()).map((use) => [use.id, use]));
    const present = scanDisks(this.#dataDir, this.#devices);
    const disks = present.map((disk) => {
      const use = uses.get(disk.diskId);
      const status = use !== undefined && use.size_bytes !== disk.sizeBytes ? "mismatch" : "present";
      return { ...disk, status, use } as const;
    });
    for (const use of uses.values()) {
      if (disks.some((disk) => disk.diskId === use.id)) continue;
      const { id, path, size_bytes } = use;
      disks.push({ diskId: id, path, sizeBytes: size_bytes, status: "missing" as "present", use });
    }
    const nodes = await this.#nodes.of(disks.map(({ diskId }) => diskId));
    return disks.map((disk) => ({ ...disk, node: nodes.get(disk.diskId) ?? "" }));
  }

  /** The disks a gateway lists: its own, and the free ones. */
  async ofGateway(gatewayId: GatewayId): Promise<LocalDisk[]> {
    return (await this.all()).filter(({ use }) => use === undefined || use.gateway_id === gatewayId);
  }

  /** The free disk that is meant by an id, a path or a node. Throws a GatewayError where there is none. */
  async free(gatewayId: GatewayId, name: string): Promise<LocalDisk> {
    const disk = (await this.all()).find(
      ({ diskId, path, node }) =>
        diskId === name || path === name || node === name || basename(path) === name,
    );
    if (disk === undefined || disk.status === "missing") throw new GatewayError("DiskDoesNotExist");
    if (disk.use !== undefined) throw new GatewayError("DiskAlreadyAllocated", usedBy(disk.use, gatewayId));
    return disk;
  }
}

function usedBy(use: DiskRow, gatewayId: GatewayId): string | undefined {
  return use.gateway_id === gatewayId ? undefined : "Another gateway uses it.";
}
