/** docs/api-coverage.md, from what the suites have noted, and what the services document. */
import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { documentedErrors, NOT_PROVOKED } from "./documented-errors.ts";
import { type OperationResult, RESULTS_FOLDER, type Results } from "./recorder.ts";

/** All suites' results, put together. */
export function readResults(): Results {
  const all: Results = {};
  for (const name of readdirSync(RESULTS_FOLDER).sort()) {
    const results = JSON.parse(readFileSync(join(RESULTS_FOLDER, name), "utf8")) as Results;
    for (const [service, operations] of Object.entries(results)) {
      all[service] ??= {};
      for (const [operation, result] of Object.entries(operations)) {
        const before = all[service][operation];
        all[service][operation] = before === undefined ? result : merged(before, result);
      }
    }
  }
  return all;
}

function merged(a: OperationResult, b: OperationResult): OperationResult {
  const union = (x: readonly string[], y: readonly string[]) => [...new Set([...x, ...y])].sort();
  return {
    valid: union(a.valid, b.valid),
    errors: union(a.errors, b.errors),
    constraints: a.constraints + b.constraints,
    examples: a.examples + b.examples,
  };
}

export function render(results: Results): string {
  const parts = [
    "# What the tests show of the API",
    "",
    "Made from the results of the tests by `npm run api-coverage`; `npm test` fails when it is not current.",
    "",
    "- **Valid**: clients by which the operation was called, and did its work: Debian's boto3 and aws-cli, and the newest",
    "  AWS SDK for JavaScript. Operations that are younger than Debian's clients are called by the SDK alone.",
    "- **Constraints**: violations of the service model (lengths, ranges, patterns, enumerations, sizes, required members,",
    "  types), one at a time, that were refused as AWS refuses them, with the member and the constraint named.",
    "- **Errors**: codes that were provoked, with class, status and text as documented.",
    "- **Examples**: botocore's documented examples that were accepted. It has none for EBS direct and the Data Lifecycle",
    "  Manager.",
    "",
    "Besides this, bad input is made from the models by a seed, for every operation of all services: it is answered, and",
    "never by an internal error.",
    "",
  ];
  const documented = documentedErrors();
  for (const [service, operations] of Object.entries(results).sort(([a], [b]) => (a < b ? -1 : 1))) {
    const rows = Object.entries(operations).sort(([a], [b]) => (a < b ? -1 : 1));
    const noun = rows.length === 1 ? "operation" : "operations";
    parts.push(`## ${service}: ${rows.length} ${noun}`, "");
    parts.push(...table(["Operation", "Valid", "Constraints", "Errors", "Examples"], rows.map(rowOf)), "");
    const codes = Object.keys(documented[service] ?? {});
    if (codes.length === 0) continue;
    parts.push(`### ${service}: error codes that are documented`, "");
    parts.push(
      ...table(
        ["Code", "Provoked by, or why it does not occur"],
        codes.sort().map((code) => [`\`${code}\``, provokedBy(operations, code) ?? whyNot(service, code)]),
      ),
      "",
    );
  }
  return parts.join("\n");
}

/** How many operations were shown to answer the code, and one of them; undefined where none was. */
export function provokedBy(operations: Results[string], code: string): string | undefined {
  const found = Object.entries(operations).flatMap(([name, { errors }]) =>
    errors.includes(code) ? [name] : [],
  );
  const [first] = found.sort();
  if (first === undefined) return undefined;
  return found.length <= 3 ? found.join(", ") : `${first} and ${found.length - 1} more`;
}

function whyNot(service: string, code: string): string {
  return `– ${NOT_PROVOKED[service]?.[code] ?? ""}`;
}

function rowOf([operation, { valid, constraints, errors, examples }]: [string, OperationResult]): string[] {
  const number = (count: number) => (count === 0 ? "" : String(count));
  return [operation, valid.join(", "), number(constraints), errors.join(", "), number(examples)];
}

function table(head: readonly string[], rows: readonly (readonly string[])[]): string[] {
  const line = (cells: readonly string[]) => `| ${cells.join(" | ")} |`;
  return [line(head), line(head.map(() => "---")), ...rows.map(line)];
}
