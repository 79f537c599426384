import { DiskCreationError } from "../../gateway/disks.ts";
import { GatewayError } from "../../gateway/errors.ts";
import type { Services } from "../../gateway/services.ts";
import type { Operation } from "../operation.ts";

interface Input {
  readonly DiskName: string;
  readonly SizeInBytes: number;
}

interface Output {
  readonly DiskId: string;
  readonly DiskPath: string;
  readonly DiskSizeInBytes: number;
}

/** CreateLocalDisk: makes a sparse file in the data folder's `disks`; it is free until something uses it. */
export const createLocalDisk: Operation<Services, Input, Output> = {
  name: "CreateLocalDisk",
  async handle({ disks }, { DiskName, SizeInBytes }) {
    try {
      const { diskId, path, sizeBytes } = disks.create(DiskName, SizeInBytes);
      return { DiskId: diskId, DiskPath: path, DiskSizeInBytes: sizeBytes };
    } catch (error) {
      if (!(error instanceof DiskCreationError)) throw error;
      throw new GatewayError("InvalidParameters", `${error.message}.`, { cause: error });
    }
  },
};
