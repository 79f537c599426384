/** What of a request may be written down: everything but secrets, and not without end. */

const SECRET = /secret|passw|passphrase|credential|token|authorization/i;
/** Named like secrets, and none. */
const HARMLESS = /^(ClientToken|NextToken)$/;
const NAME = /(ARNs?|Ids?|ID|IDs|SnapshotName)$/;
const HIDDEN = "(hidden)";
const DEPTH_MAX = 6;
const ITEMS_MAX = 50;
const TEXT_CHARS_MAX = 500;
const NAMES_MAX = 100;

/** A copy of decoded input in which secrets are hidden and what is long is cut. */
export function withoutSecrets(value: unknown, depth = 0): unknown {
  if (typeof value === "string")
    return value.length <= TEXT_CHARS_MAX ? value : `${value.slice(0, TEXT_CHARS_MAX)}…`;
  if (value === null || typeof value !== "object") return value;
  if (value instanceof Date) return value.toISOString();
  if (value instanceof Uint8Array) return `(${value.length} bytes)`;
  if (depth >= DEPTH_MAX) return "…";
  if (Array.isArray(value))
    return value.slice(0, ITEMS_MAX).map((item: unknown) => withoutSecrets(item, depth + 1));
  return Object.fromEntries(
    Object.entries(value)
      .slice(0, ITEMS_MAX)
      .map(([key, item]: [string, unknown]) => [
        key,
        SECRET.test(key) && !HARMLESS.test(key) ? HIDDEN : withoutSecrets(item, depth + 1),
      ]),
  );
}

/** ARNs and ids in decoded input or output, without repetition. */
export function namesIn(value: unknown): string[] {
  const found = new Set<string>();
  collect(value, "", 0, found);
  return [...found];
}

function collect(value: unknown, key: string, depth: number, found: Set<string>): void {
  if (found.size >= NAMES_MAX || depth > DEPTH_MAX) return;
  if (typeof value === "string") {
    if (NAME.test(key) && value.length <= TEXT_CHARS_MAX) found.add(value);
    return;
  }
  if (value === null || typeof value !== "object" || value instanceof Uint8Array || value instanceof Date)
    return;
  for (const [name, item] of Object.entries(value) as [string, unknown][])
    collect(item, Array.isArray(value) ? key : name, depth + 1, found);
}
