/** aws-cli, driven from a test: a process of its own that runs one command after the other. */
import { type ChildProcessWithoutNullStreams, spawn } from "node:child_process";
import { createInterface } from "node:readline";
import { fileURLToPath } from "node:url";
import type { BotoSettings } from "./boto.ts";

/** A command ended with an error. */
export class AwsCliError extends Error {
  override readonly name = "AwsCliError";
  /** What stands in the brackets of "An error occurred (…)". */
  readonly code: string | undefined;

  constructor(stderr: string) {
    super(/operation: ([\s\S]*)/.exec(stderr)?.[1]?.trim() ?? stderr.trim());
    this.code = /An error occurred \(([\w.]+)\)/.exec(stderr)?.[1];
  }
}

interface Outcome {
  readonly status: number;
  readonly stdout: string;
  readonly stderr: string;
}

export class AwsCli {
  readonly #child: ChildProcessWithoutNullStreams;
  readonly #waiting: { resolve(outcome: Outcome): void; reject(error: Error): void }[] = [];
  #stderr = "";

  constructor(settings: BotoSettings) {
    const script = fileURLToPath(new URL("./aws_cli.py", import.meta.url));
    // Debian's Python, which has Debian's aws-cli; another one may come first in the PATH.
    this.#child = spawn("/usr/bin/python3", [script, JSON.stringify(settings)]);
    this.#child.stderr.setEncoding("utf8").on("data", (text: string) => {
      this.#stderr += text;
    });
    createInterface({ input: this.#child.stdout }).on("line", (line) =>
      this.#waiting.shift()?.resolve(JSON.parse(line)),
    );
    this.#child.on("error", (error) => this.#ended(error.message));
    this.#child.on("exit", (code) => this.#ended(`aws-cli ended with ${code}: ${this.#stderr}`));
  }

  /** Runs a command with `--cli-input-json`, if there is any, and what follows; its output, read as JSON. Rejects with an AwsCliError. */
  async call(
    service: string,
    command: string,
    input: object | undefined,
    more: readonly string[] = [],
    // biome-ignore lint/suspicious/noExplicitAny: the shapes are the service's.
  ): Promise<any> {
    const outcome = await new Promise<Outcome>((resolve, reject) => {
      this.#waiting.push({ resolve, reject });
      this.#child.stdin.write(`${JSON.stringify({ service, command, input, more })}\n`);
    });
    if (outcome.status !== 0) throw new AwsCliError(outcome.stderr);
    return outcome.stdout.trim() === "" ? {} : JSON.parse(outcome.stdout);
  }

  close(): void {
    this.#child.stdin.end();
  }

  #ended(reason: string): void {
    for (const { reject } of this.#waiting.splice(0)) reject(new Error(reason));
  }
}
