/** Seconds that the longest test files take, roughly. */
export const SECONDS: Readonly<Record<string, number>>;
/** Files that can't share the machine, each with the reason. */
export const ALONE: Readonly<Record<string, string>>;
/** The files in the order in which they are begun. */
export function longestFirst(files: readonly string[]): string[];
