/** How figures are told: one line each, with the bar where there is one. */

/** Prints the title of a workload. */
export function title(id: string, what: string): void {
  process.stdout.write(`${id} ${what}\n`);
}

/** Prints a figure without a bar. */
export function figure(name: string, value: number, unit: string): void {
  process.stdout.write(`   ${name}: ${value.toFixed(value < 10 ? 2 : 0)} ${unit}\n`);
}

/** Prints a figure that has to be at least (`min`) or at most (`max`) its bar. */
export function against(
  name: string,
  value: number,
  unit: string,
  bar: { readonly min: number } | { readonly max: number },
): void {
  const holds = "min" in bar ? value >= bar.min : value <= bar.max;
  const text = "min" in bar ? `at least ${bar.min}` : `at most ${bar.max}`;
  const shown = value.toFixed(value < 100 ? 2 : 0);
  process.stdout.write(
    `   ${name}: ${shown}${unit && ` ${unit}`} (bar ${text}) ${holds ? "holds" : "MISSED"}\n`,
  );
}

/** The value that `part` (0 to 1) of the values are not above. */
export function quantile(values: readonly number[], part: number): number {
  const sorted = [...values].sort((a, b) => a - b);
  return sorted[Math.min(sorted.length - 1, Math.floor(sorted.length * part))] ?? Number.NaN;
}
