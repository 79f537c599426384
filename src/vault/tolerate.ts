import { fromStoreError, VaultError } from "./vault-error.ts";

/** Takes a line about something that is wrong and was passed over. */
export type OnProblem = (message: string) => void;

const PASSABLE = new Set(["corrupt", "unknownFormat", "notFound"]);

/**
 * Runs `action`, which reads the object at `key`: one that is rotten, of a newer format, or just gone must not keep all
 * others from being read. Answers whether it went well; everything else that fails is thrown.
 */
export async function tolerate(
  onProblem: OnProblem,
  key: string,
  action: () => Promise<void>,
): Promise<boolean> {
  try {
    await action();
    return true;
  } catch (cause) {
    const error = fromStoreError(cause, `reading ${key}`);
    if (!(error instanceof VaultError) || !PASSABLE.has(error.kind)) throw error;
    onProblem(`${key} was passed over: ${error.message}`);
    return false;
  }
}
