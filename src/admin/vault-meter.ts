/** How the vault's upkeep went: its last jobs, also those before this start, and what those of this run have come to. */
import type { VaultJob } from "../gateway/vault-upkeep.ts";
import type { GatewayEvent } from "./event.ts";
import type { VaultFigures } from "./sample.ts";

export class VaultMeter {
  #figures: VaultFigures = { freedBytes: 0 };

  get figures(): VaultFigures {
    return this.#figures;
  }

  /** How much there was in the vault a moment ago. */
  measured(storedBytes: number): void {
    this.#figures = { ...this.#figures, storedBytes };
  }

  /** Takes a job that was done before this start. */
  remembers({ kind, endedAtMs, verification }: VaultJob): void {
    if (kind === "CollectGarbage")
      this.#figures = { ...this.#figures, ...(endedAtMs !== undefined && { collectedAtMs: endedAtMs }) };
    else
      this.#figures = {
        ...this.#figures,
        ...(endedAtMs !== undefined && { verifiedAtMs: endedAtMs }),
        ...(verification !== undefined && { damagedObjects: verification.problemCount }),
      };
  }

  /** Takes a job that has ended; answers what is to be told of it. */
  ended(job: VaultJob, nowMs: number): GatewayEvent | undefined {
    const { kind, state, collection, verification } = job;
    if (kind === "CollectGarbage") {
      this.#figures = {
        ...this.#figures,
        collectionFailed: state === "failed",
        // To have looked is not to have collected.
        ...(collection !== undefined && collection.state !== "looked" && { collectedAtMs: nowMs }),
        ...(collection !== undefined && {
          packs: collection.packs - collection.deletedPacks,
          packBytes: collection.packBytes - collection.deletedBytes,
          freedBytes: this.#figures.freedBytes + collection.deletedBytes,
        }),
      };
      if (collection === undefined || collection.state !== "done") return undefined;
      const message = `A collection of garbage has deleted ${collection.deletedPacks} packs of ${collection.deletedBytes} bytes.`;
      return { type: "CollectionDone", severity: "info", atMs: nowMs, message, resources: [] };
    }
    this.#figures = {
      ...this.#figures,
      verificationFailed: state === "failed",
      ...(verification !== undefined && {
        verifiedAtMs: nowMs,
        packs: verification.packs,
        damagedObjects: verification.problemCount,
      }),
    };
    if (verification === undefined || verification.problemCount > 0) return undefined;
    const message = `A verification has read ${verification.packsRead} of ${verification.packs} packs and found nothing wrong.`;
    return { type: "VerificationPassed", severity: "info", atMs: nowMs, message, resources: [] };
  }
}
