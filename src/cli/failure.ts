/** How commands end: the exit codes, and errors that are the user's to read. */

/**
 * The exit codes of every command.
 *
 * `failed`: it was refused or has failed. `usage`: the command line can't be meant. `amiss`: it was done, and something
 * is damaged or not as it should be (verify, export, doctor). `unreachable`: no gateway answers.
 */
export const EXIT = { done: 0, failed: 1, usage: 2, amiss: 3, unreachable: 4 } as const;

/** The gateway can't be reached, or it refuses what it is asked. The message is for the user. */
export class ClientError extends Error {
  override readonly name = "ClientError";
  readonly exitCode: number;
  /** The code of the API's error, where it was one. */
  readonly code: string | undefined;

  constructor(
    message: string,
    options: ErrorOptions & { readonly exitCode?: number; readonly code?: string } = {},
  ) {
    super(message, options);
    this.exitCode = options.exitCode ?? EXIT.failed;
    this.code = options.code;
  }
}

/** What was said on the command line can't be meant. */
export class UsageError extends ClientError {
  constructor(message: string) {
    super(message, { exitCode: EXIT.usage });
  }
}
