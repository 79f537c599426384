/**
 * What tests have shown of the API's operations. A suite notes it while it runs; at its end it must be what
 * `test/api-coverage/results/SUITE.json` says, of which docs/api-coverage.md is made. `npm run api-coverage` writes both anew.
 *
 * To bring another service in: make a recorder in its tests, note what they show, call `finish` at the end, and run
 * `npm run api-coverage`.
 */
import { strict as assert } from "node:assert";
import { existsSync, mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";

/** valid: clients by which the operation was called and answered well. errors: codes that were provoked. */
export type NotedColumn = "valid" | "errors";
/** constraints: violations of the model that were refused. examples: botocore's examples that were accepted. */
export type CountedColumn = "constraints" | "examples";

export interface OperationResult {
  readonly valid: string[];
  readonly errors: string[];
  constraints: number;
  examples: number;
}

/** By service, by operation. */
export type Results = Record<string, Record<string, OperationResult>>;

export const RESULTS_FOLDER = fileURLToPath(new URL("./results/", import.meta.url));
export const WRITE_VARIABLE = "SLUICEGATE_COVERAGE";

export class CoverageRecorder {
  readonly #suite: string;
  readonly #results: Results = {};

  /** `suite` names the file of results. */
  constructor(suite: string) {
    this.#suite = suite;
  }

  note(service: string, operation: string, column: NotedColumn, text: string): void {
    const list = this.#of(service, operation)[column];
    if (!list.includes(text)) list.push(text);
    list.sort();
  }

  count(service: string, operation: string, column: CountedColumn): void {
    this.#of(service, operation)[column] += 1;
  }

  /** Holds what was noted to the file, or writes it. To be called when every test of the suite has passed. */
  finish(): void {
    const path = join(RESULTS_FOLDER, `${this.#suite}.json`);
    const text = `${JSON.stringify(sorted(this.#results), undefined, 1)}\n`;
    if (process.env[WRITE_VARIABLE] === "write") {
      mkdirSync(RESULTS_FOLDER, { recursive: true });
      writeFileSync(path, text);
      return;
    }
    const known = existsSync(path) ? JSON.parse(readFileSync(path, "utf8")) : {};
    assert.deepEqual(JSON.parse(text), known, "the results have changed: npm run api-coverage");
  }

  #of(service: string, operation: string): OperationResult {
    this.#results[service] ??= {};
    const operations = this.#results[service];
    operations[operation] ??= { valid: [], errors: [], constraints: 0, examples: 0 };
    return operations[operation];
  }
}

function sorted(results: Results): Results {
  const byName = <T>(record: Record<string, T>) =>
    Object.fromEntries(Object.entries(record).sort(([a], [b]) => (a < b ? -1 : 1)));
  return byName(
    Object.fromEntries(Object.entries(results).map(([service, each]) => [service, byName(each)])),
  );
}
