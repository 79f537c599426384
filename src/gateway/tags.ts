/** Tags of gateways and volumes; those of snapshots belong to EC2. */
import type { Catalog, Tag } from "../catalog/catalog.ts";
import type { GatewayRow } from "../catalog/schema.ts";
import { GatewayError } from "./errors.ts";
import type { Gateways } from "./gateways.ts";
import type { Volumes } from "./volumes.ts";

const TAGS_MAX = 50;
/** Of more resources than that all tags are read: it is as quick. */
const LOOKED_UP_MAX = 200;

export class Tags {
  readonly #options: { readonly catalog: Catalog; readonly gateways: Gateways; readonly volumes: Volumes };

  constructor(options: {
    readonly catalog: Catalog;
    readonly gateways: Gateways;
    readonly volumes: Volumes;
  }) {
    this.#options = options;
  }

  /** The tags of a gateway, whether it runs or not. */
  ofGateway(gateway: GatewayRow): Promise<Tag[]> {
    return this.#options.catalog.tags.of(gateway.id);
  }

  async list(resourceArn: string): Promise<Tag[]> {
    return this.#options.catalog.tags.of(await this.#resource(resourceArn));
  }

  /** The tags of volumes that have any, by their ids: of all of them, or at least of those named. */
  async ofVolumes(ids?: readonly string[]): Promise<Map<string, Tag[]>> {
    const { catalog } = this.#options;
    const found = new Map<string, Tag[]>();
    const isMany = ids === undefined || ids.length > LOOKED_UP_MAX;
    const rows = isMany
      ? await catalog.tags.ofAll("vol-")
      : ids.length > 0
        ? await catalog.tags.ofMany(ids)
        : [];
    for (const { resource_id, key, value } of rows) {
      const tags = found.get(resource_id) ?? [];
      tags.push({ key, value });
      found.set(resource_id, tags);
    }
    return found;
  }

  /** Adds tags; a key that is there gets the new value. */
  async add(resourceArn: string, tags: readonly Tag[]): Promise<void> {
    const id = await this.#resource(resourceArn);
    const keys = new Set([...(await this.#options.catalog.tags.of(id)), ...tags].map(({ key }) => key));
    if (keys.size > TAGS_MAX)
      throw new GatewayError("InvalidParameters", `A resource has at most ${TAGS_MAX} tags.`);
    await this.#options.catalog.tags.put(id, tags);
  }

  async remove(resourceArn: string, keys: readonly string[]): Promise<void> {
    await this.#options.catalog.tags.remove(await this.#resource(resourceArn), keys);
  }

  async #resource(arn: string): Promise<string> {
    if (arn.includes("/volume/")) return (await this.#options.volumes.byArn(arn)).id;
    return (await this.#options.gateways.byArn(arn)).id;
  }
}
