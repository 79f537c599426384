/** What the scenarios of the services share. */

// biome-ignore lint/suspicious/noExplicitAny: the shapes are the service's; a test looks only at what it expects.
export type Answer = any;

/** Calls an operation by whichever client; the answer as JSON has it. */
export type Call = (operation: string, input?: object) => Promise<Answer>;

/** A request that is refused: operation, input, code (with the reason in brackets, if there is one), status or 400. */
export type Refusal = readonly [operation: string, input: object, code: string, status?: number];
