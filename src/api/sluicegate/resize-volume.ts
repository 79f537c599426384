import type { Services } from "../../gateway/services.ts";
import type { Operation } from "../operation.ts";

interface Shape {
  readonly VolumeARN: string;
  readonly VolumeSizeInBytes: number;
}

/** ResizeVolume: makes a volume larger while it is in use. Initiators are told by a unit attention condition. */
export const resizeVolume: Operation<Services, Shape, Shape> = {
  name: "ResizeVolume",
  async handle({ volumes }, { VolumeARN, VolumeSizeInBytes }) {
    const row = await volumes.byArn(VolumeARN);
    await volumes.grow(row, VolumeSizeInBytes);
    return { VolumeARN: volumes.arnOf(row), VolumeSizeInBytes };
  },
};
