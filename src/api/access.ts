/**
 * Who may do what: the one place that decides, for every protocol. A protocol finds its operations here and nowhere
 * else, so none can forget to ask.
 */
import type { Operation, OperationTable, RequestContext } from "./operation.ts";

/** The caller's key may not do this. Each protocol has its own name for it. */
export class AccessDeniedError extends Error {
  override readonly name = "AccessDeniedError";
}

/** Names of operations that change nothing begin so, in all of AWS's services and in ours. */
const READS = /^(Describe|List|Get|Test)[A-Z]/;
/** These change nothing either. */
const HARMLESS: ReadonlySet<string> = new Set(["CreateSession"]);
/** They show, but what they show is for administrators. */
const SECRET: ReadonlySet<string> = new Set(["DescribeChapCredentials"]);

/** Whether the operation changes something: what only administrators may do, and what an audit has to know. */
export function isMutating(operation: string): boolean {
  return !READS.test(operation) && !HARMLESS.has(operation);
}

/** Whether a key that may only read may do this. */
export function isForReaders(operation: string): boolean {
  return !isMutating(operation) && !SECRET.has(operation);
}

/** The operations of one service, for callers who may use them. */
export class Operations<Services> {
  readonly #byName: ReadonlyMap<string, OperationTable<Services>[number]>;
  readonly #service: string;

  /** `service` is its name in policies, such as `ec2`. */
  constructor(table: OperationTable<Services>, service: string) {
    this.#byName = new Map(table.map((operation) => [operation.name, operation]));
    this.#service = service;
  }

  /**
   * The operation of that name, or undefined where it is not built. What becomes of it is traced in the context. Throws
   * an AccessDeniedError where the caller may not use it, built or not.
   */
  find(
    name: string,
    { identity, accountId, trace }: RequestContext,
  ): Operation<Services, unknown, unknown> | undefined {
    const operation = this.#byName.get(name);
    trace.service = this.#service;
    if (operation !== undefined) trace.operation = name;
    if (identity.role !== "admin" && !isForReaders(name)) {
      throw new AccessDeniedError(
        `User: arn:aws:iam::${accountId}:user/${identity.name} is not authorized to perform: ${this.#service}:${name}`,
      );
    }
    if (operation === undefined) return undefined;
    return {
      name,
      async handle(services, input, context) {
        trace.input = input;
        const output: unknown = await operation.handle(services, input, context);
        trace.output = output;
        return output;
      },
    };
  }
}
