/** ARNs of volumes' rows, kept at hand: lists are in their order, page by page, and rows are the same objects each time. */
import type { VolumeRow } from "../catalog/schema.ts";
import { type Realm, volumeArn } from "./arn.ts";

export class VolumeArns {
  readonly #realm: Realm;
  readonly #arns = new WeakMap<VolumeRow, string>();
  #rows: readonly VolumeRow[] = [];
  #sorted: readonly VolumeRow[] = [];

  constructor(realm: Realm) {
    this.#realm = realm;
  }

  of(row: VolumeRow): string {
    let arn = this.#arns.get(row);
    if (arn === undefined) {
      arn = volumeArn(this.#realm, row.gateway_id, row.id);
      this.#arns.set(row, arn);
    }
    return arn;
  }

  /** The rows in the order of their ARNs. */
  sorted(rows: readonly VolumeRow[]): readonly VolumeRow[] {
    if (rows !== this.#rows) {
      this.#sorted = [...rows].sort((a, b) => (this.of(a) < this.of(b) ? -1 : 1));
      this.#rows = rows;
    }
    return this.#sorted;
  }
}
