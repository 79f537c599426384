/** What commands print: tables for people, JSON with --json. Progress goes to standard error, and only to a terminal. */

const state = { json: false };

/** From now on everything that is printed is JSON, or is not. */
export function printAsJson(json: boolean): void {
  state.json = json;
}

/** Prints a result: as it is with --json, else in the words that `human` makes of it. */
export function print(value: unknown, human: () => string | readonly string[]): void {
  if (state.json) {
    process.stdout.write(`${JSON.stringify(value, undefined, 2)}\n`);
    return;
  }
  const words = human();
  const text = typeof words === "string" ? words : words.join("\n");
  if (text !== "") process.stdout.write(`${text}\n`);
}

/** Columns with a heading, as wide as what is in them. `empty` is said where there are no rows. */
export function table(
  headings: readonly string[],
  rows: readonly (readonly string[])[],
  empty: string,
): string[] {
  if (rows.length === 0) return [empty];
  const widths = headings.map((heading, i) =>
    Math.max(heading.length, ...rows.map((row) => (row[i] ?? "").length)),
  );
  const line = (cells: readonly string[]) =>
    cells
      .map((cell, i) => cell.padEnd(widths[i] ?? 0))
      .join("  ")
      .trimEnd();
  return [line(headings), ...rows.map(line)];
}

/** Names and values, one below the other. What has no value is left out. */
export function pairs(all: readonly (readonly [name: string, value: string | undefined])[]): string[] {
  const there = all.filter(([, value]) => value !== undefined);
  const width = Math.max(0, ...there.map(([name]) => name.length));
  return there.map(([name, value]) => `${`${name}:`.padEnd(width + 2)}${value}`);
}

const UNITS = ["B", "KiB", "MiB", "GiB", "TiB", "PiB"];

/** Bytes for people: `1.5 GiB`. */
export function bytes(count: number): string {
  let value = count;
  let unit = 0;
  while (Math.abs(value) >= 1024 && unit < UNITS.length - 1) {
    value /= 1024;
    unit += 1;
  }
  const digits = unit === 0 || Number.isInteger(value) ? 0 : value < 10 ? 2 : 1;
  return `${value.toFixed(digits)} ${UNITS[unit]}`;
}

/** A moment, to the second, in UTC. */
export function time(seconds: number): string {
  return new Date(seconds * 1000).toISOString().replace(/\.\d+Z$/, "Z");
}

export function percent(value: number): string {
  return `${value.toFixed(value < 10 && value > 0 ? 1 : 0)} %`;
}
