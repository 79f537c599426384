/** The name of a volume, which its target's name ends in. */

const NAME = /^[-.;a-z0-9]+$/;
const NAME_LENGTH_MAX = 200;

/** What is wrong with a name for a volume, beside those that are taken. */
export function targetNameProblem(name: string, taken: readonly string[]): string | undefined {
  if (name === "") return "Enter a name.";
  if (!NAME.test(name)) return "Small letters, digits, dots and hyphens only.";
  if (name.length > NAME_LENGTH_MAX) return `At most ${NAME_LENGTH_MAX} characters.`;
  if (taken.includes(name)) return "Another volume has this name.";
  return undefined;
}
