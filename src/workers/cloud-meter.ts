/** Counts the bytes that go to the bucket and come from it, for each volume and each gateway. */
import type { BackupFigures, CloudBytes } from "../gateway/measurements.ts";
import type { GatewayId, VolumeId } from "../platform/ids.ts";
import type { ByteLimit } from "../platform/token-bucket.ts";

interface Counted {
  uploaded: number;
  downloaded: number;
}

export class CloudMeter {
  readonly #volumes = new Map<VolumeId, Counted>();
  readonly #gateways = new Map<GatewayId, Counted>();

  /** More bytes of packs have been sent for the volume. */
  uploaded(gatewayId: GatewayId, volumeId: VolumeId, bytes: number): void {
    countedOf(this.#gateways, gatewayId).uploaded += bytes;
    countedOf(this.#volumes, volumeId).uploaded += bytes;
  }

  /** `limit`, with what passes it counted as fetched for the volume. */
  downloads(gatewayId: GatewayId, volumeId: VolumeId, limit: ByteLimit): ByteLimit {
    const gateway = countedOf(this.#gateways, gatewayId);
    const volume = countedOf(this.#volumes, volumeId);
    return {
      get rate() {
        return limit.rate;
      },
      async take(bytes, options) {
        await limit.take(bytes, options);
        gateway.downloaded += bytes;
        volume.downloaded += bytes;
      },
    };
  }

  /** The volume is gone. */
  forget(volumeId: VolumeId): void {
    this.#volumes.delete(volumeId);
  }

  get figures(): Pick<BackupFigures, "volumes" | "gateways"> {
    return {
      volumes: [...this.#volumes].map(([volumeId, counted]) => ({ volumeId, ...counted })),
      gateways: [...this.#gateways].map(([gatewayId, counted]) => ({ gatewayId, ...counted })),
    };
  }
}

function countedOf<Id>(all: Map<Id, Counted>, id: Id): CloudBytes & Counted {
  let counted = all.get(id);
  if (counted === undefined) {
    counted = { uploaded: 0, downloaded: 0 };
    all.set(id, counted);
  }
  return counted;
}
