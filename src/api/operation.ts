import type { Identity } from "../gateway/access-keys.ts";

/**
 * One API operation: a name and a handler. What is wire (signature, parsing, validation from the service model,
 * error bodies, encoding) happens around it and never inside it.
 */
export interface Operation<Services, Input, Output> {
  /** The operation's name in the service model, such as `CreateSnapshot`. */
  readonly name: string;
  /**
   * Carries the operation out. `input` has passed the service model's constraints. Rejects with a GatewayError, an
   * Ec2Error or an EbsError for what the caller can know; anything else is answered as an internal error and logged.
   */
  handle(services: Services, input: Input, context: RequestContext): Promise<Output>;
}

/** Who asks, and which request it is. */
export interface RequestContext {
  readonly requestId: string;
  /** The access key that signed, or that of the session. */
  readonly accessKeyId: string;
  readonly identity: Identity;
  readonly accountId: string;
  readonly region: string;
  readonly trace: CallTrace;
}

/** What a request turned out to be: filled in on its way, for metrics and the activity log. */
export interface CallTrace {
  /** Set where the signature is good. */
  caller?: { readonly accessKeyId: string } & Identity;
  service?: string;
  /** Set for operations that exist. */
  operation?: string;
  input?: unknown;
  output?: unknown;
}

/** A table of operations whose shapes differ: what a protocol's router holds. */
// biome-ignore lint/suspicious/noExplicitAny: a heterogeneous table; each entry was typed where it was defined
export type OperationTable<Services> = readonly Operation<Services, any, any>[];
