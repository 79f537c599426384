/** Tags of gateways and volumes; those of snapshots belong to EC2. */
import type { Catalog, Tag } from "../catalog/catalog.ts";
import type { GatewayRow } from "../catalog/schema.ts";
import { GatewayError } from "./errors.ts";
import type { Gateways } from "./gateways.ts";
import type { Volumes } from "./volumes.ts";

const TAGS_MAX = 50;

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
    return this.#options.catalog.tags(gateway.id);
  }

  async list(resourceArn: string): Promise<Tag[]> {
    return this.#options.catalog.tags(await this.#resource(resourceArn));
  }

  /** The tags of all volumes that have any, by their ids. */
  async ofVolumes(): Promise<Map<string, Tag[]>> {
    const found = new Map<string, Tag[]>();
    for (const { resource_id, key, value } of await this.#options.catalog.tagsOfAll("vol-")) {
      const tags = found.get(resource_id) ?? [];
      tags.push({ key, value });
      found.set(resource_id, tags);
    }
    return found;
  }

  /** Adds tags; a key that is there gets the new value. */
  async add(resourceArn: string, tags: readonly Tag[]): Promise<void> {
    const id = await this.#resource(resourceArn);
    const keys = new Set([...(await this.#options.catalog.tags(id)), ...tags].map(({ key }) => key));
    if (keys.size > TAGS_MAX)
      throw new GatewayError("InvalidParameters", `A resource has at most ${TAGS_MAX} tags.`);
    await this.#options.catalog.putTags(id, tags);
  }

  async remove(resourceArn: string, keys: readonly string[]): Promise<void> {
    await this.#options.catalog.removeTags(await this.#resource(resourceArn), keys);
  }

  async #resource(arn: string): Promise<string> {
    if (arn.includes("/volume/")) return (await this.#options.volumes.byArn(arn)).id;
    return (await this.#options.gateways.byArn(arn)).id;
  }
}
