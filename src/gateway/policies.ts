/** Lifecycle policies: kept, changed, and told of. What they do is in policy-runner.ts. */
import type { Catalog, Tag } from "../catalog/catalog.ts";
import type { PolicyRow, PolicyScheduleRow } from "../catalog/schema.ts";
import type { Clock } from "../platform/clock.ts";
import type { Random } from "../platform/random.ts";
import { type PolicyRules, timesOf } from "./policy-rules.ts";

export type PolicyErrorKind = "invalid" | "notFound" | "limit";

/** A request about policies that is refused. */
export class PolicyError extends Error {
  override readonly name = "PolicyError";
  readonly kind: PolicyErrorKind;
  /** The policies that are not there. */
  readonly ids: readonly string[];
  /** Of an invalid request: parameters that it has to have, and those that it can't have together. */
  readonly parameters: { readonly required?: readonly string[]; readonly exclusive?: readonly string[] };

  constructor(
    kind: PolicyErrorKind,
    message: string,
    ids: readonly string[] = [],
    parameters: PolicyError["parameters"] = {},
  ) {
    super(message);
    this.kind = kind;
    this.ids = ids;
    this.parameters = parameters;
  }
}

export interface PoliciesOptions {
  readonly catalog: Catalog;
  readonly clock: Clock;
  readonly random: Random;
}

/** What a policy is made of. `details` is what was asked for, as JSON, and `rules` what that means. */
export interface WantedPolicy {
  readonly description: string;
  readonly roleArn: string;
  readonly isEnabled: boolean;
  readonly details: string;
  readonly rules: PolicyRules;
}

export interface PolicyView {
  readonly row: PolicyRow;
  readonly rules: PolicyRules;
  readonly tags: readonly Tag[];
  readonly schedules: readonly PolicyScheduleRow[];
}

const POLICIES_MAX = 100;
const TAGS_MAX = 50;
const ID_BYTES = 9;
const ID_DIGITS = 17;

export class Policies {
  readonly #options: PoliciesOptions;

  constructor(options: PoliciesOptions) {
    this.#options = options;
  }

  /** Makes a policy: it is due for the first time after now. Answers its id. */
  async create(wanted: WantedPolicy, tags: readonly Tag[]): Promise<string> {
    const { catalog, clock, random } = this.#options;
    if ((await catalog.policies.all()).length >= POLICIES_MAX)
      throw new PolicyError("limit", `There are at most ${POLICIES_MAX} policies.`);
    const nowMs = clock.nowMs();
    const row: PolicyRow = {
      id: `policy-${random.bytes(ID_BYTES).toString("hex").slice(0, ID_DIGITS)}`,
      description: wanted.description,
      role_arn: wanted.roleArn,
      enabled: wanted.isEnabled ? 1 : 0,
      details: wanted.details,
      rules: JSON.stringify(wanted.rules),
      created_at: nowMs,
      modified_at: nowMs,
    };
    await catalog.policies.put(row, begun(row.id, wanted.rules, nowMs));
    await catalog.tags.put(row.id, tags);
    return row.id;
  }

  /**
   * Changes what is given. A schedule whose times are the same goes on where it was; one whose times are new, and all of a
   * policy that is enabled again, begin from now.
   */
  async update(id: string, change: Partial<WantedPolicy>): Promise<void> {
    const { catalog, clock } = this.#options;
    const { row, rules: before, schedules } = await this.get(id);
    const nowMs = clock.nowMs();
    const rules = change.rules ?? before;
    const isEnabled = change.isEnabled ?? row.enabled === 1;
    const isNew = isEnabled && row.enabled === 0;
    const kept = begun(id, rules, nowMs).map((fresh) => {
      const old = schedules.find(({ name }) => name === fresh.name);
      const isSame = JSON.stringify(whenOf(before, fresh.name)) === JSON.stringify(whenOf(rules, fresh.name));
      return old !== undefined && isSame && !isNew ? old : fresh;
    });
    await catalog.policies.put(
      {
        ...row,
        description: change.description ?? row.description,
        role_arn: change.roleArn ?? row.role_arn,
        enabled: isEnabled ? 1 : 0,
        details: change.details ?? row.details,
        rules: JSON.stringify(rules),
        modified_at: nowMs,
      },
      kept,
    );
  }

  /** Removes the policy; what it has made stays. */
  async remove(id: string): Promise<void> {
    if (!(await this.#options.catalog.policies.remove(id))) throw notFound([id]);
  }

  async get(id: string): Promise<PolicyView> {
    const row = await this.#options.catalog.policies.get(id);
    if (row === undefined) throw notFound([id]);
    return this.#view(row);
  }

  /** Those of the ids, or all. */
  async list(ids: readonly string[]): Promise<PolicyView[]> {
    const rows = await this.#options.catalog.policies.all();
    const missing = ids.filter((id) => !rows.some((row) => row.id === id));
    if (missing.length > 0) throw notFound(missing);
    return Promise.all(
      rows.filter(({ id }) => ids.length === 0 || ids.includes(id)).map((row) => this.#view(row)),
    );
  }

  async putTags(id: string, tags: readonly Tag[]): Promise<void> {
    const { tags: present } = await this.get(id);
    if (new Set([...present, ...tags].map(({ key }) => key)).size > TAGS_MAX)
      throw new PolicyError("invalid", `A policy has at most ${TAGS_MAX} tags.`);
    await this.#options.catalog.tags.put(id, tags);
  }

  async removeTags(id: string, keys: readonly string[]): Promise<void> {
    await this.get(id);
    await this.#options.catalog.tags.remove(id, keys);
  }

  async #view(row: PolicyRow): Promise<PolicyView> {
    const { catalog } = this.#options;
    const [tags, schedules] = await Promise.all([
      catalog.tags.of(row.id),
      catalog.policies.schedules(row.id),
    ]);
    return { row, rules: JSON.parse(row.rules) as PolicyRules, tags, schedules };
  }
}

/** The schedules of a policy that has not run yet. Throws a GatewayError where one can never be due. */
export function begun(policyId: string, rules: PolicyRules, nowMs: number): PolicyScheduleRow[] {
  return rules.schedules.map(({ name, when }) => {
    timesOf(when, nowMs);
    return {
      policy_id: policyId,
      name,
      settled_until: nowMs,
      last_run_at: null,
      missed_runs: 0,
      problem: null,
    };
  });
}

function whenOf(rules: PolicyRules, name: string): unknown {
  return rules.schedules.find((schedule) => schedule.name === name)?.when;
}

function notFound(ids: readonly string[]): PolicyError {
  return new PolicyError("notFound", `The policy ${ids.join(", ")} does not exist.`, ids);
}
