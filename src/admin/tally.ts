/**
 * Sums over volumes that never go down: a volume that is deleted takes its own counters away, and not what it had added
 * to those of its gateway and of the whole service.
 */
import type { GatewayId, VolumeId } from "../platform/ids.ts";
import { addCounted, type Counted, countedSince, NOTHING_COUNTED, type VolumeSample } from "./sample.ts";

export class Tally {
  #seen: ReadonlyMap<VolumeId, VolumeSample> = new Map();
  readonly #gateways = new Map<GatewayId, Counted>();
  #service: Counted = NOTHING_COUNTED;

  /** Adds what the volumes have counted since the last time. */
  take(volumes: ReadonlyMap<VolumeId, VolumeSample>): void {
    for (const [id, volume] of volumes) {
      const more = countedSince(volume, this.#seen.get(id));
      this.#gateways.set(volume.gatewayId, addCounted(this.#gateways.get(volume.gatewayId), more));
      this.#service = addCounted(this.#service, more);
    }
    this.#seen = volumes;
  }

  gateway(id: GatewayId): Counted {
    return this.#gateways.get(id) ?? NOTHING_COUNTED;
  }

  get service(): Counted {
    return this.#service;
  }
}
