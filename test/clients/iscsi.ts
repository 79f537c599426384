/** Real initiators: the tools of qemu and of libiscsi. */
import { strict as assert } from "node:assert";
import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { createInterface } from "node:readline";

const LIMIT_MS = 240_000;
const COMPLAINT_CHARS_MAX = 2_000;

export interface Outcome {
  readonly status: number | null;
  readonly output: string;
}

/** Runs a program to its end; its standard output and standard error together. */
export async function run(program: string, args: readonly string[], env: object = {}): Promise<Outcome> {
  const child = spawn(program, args, {
    stdio: ["ignore", "pipe", "pipe"],
    timeout: LIMIT_MS,
    env: { ...process.env, ...env },
  });
  let output = "";
  for (const stream of [child.stdout, child.stderr]) {
    stream.setEncoding("utf8").on("data", (text: string) => {
      output += text;
    });
  }
  const [status] = (await once(child, "close")) as [number | null];
  return { status, output };
}

/** Runs a program that has to succeed; its output. */
export async function runOk(program: string, args: readonly string[], env: object = {}): Promise<string> {
  const { status, output } = await run(program, args, env);
  assert.equal(status, 0, `${program} ${args.join(" ")}: ${output}`);
  return output;
}

/** The URL by which libiscsi and qemu know a volume. */
export function volumeUrl(portal: string, targetName: string): string {
  return `iscsi://${portal}/iqn.1997-05.com.amazon:${targetName}/0`;
}

/** Writes an image into a volume. */
export async function writeImage(file: string, url: string): Promise<void> {
  await runOk("qemu-img", ["convert", "-n", "-f", "raw", "-O", "raw", file, url]);
}

/** Whether the volume holds exactly the image (zeros beyond its end). */
export async function isEqual(file: string, url: string): Promise<boolean> {
  const { status, output } = await run("qemu-img", ["compare", "-f", "raw", "-F", "raw", file, url]);
  assert(status === 0 || status === 1, output);
  return status === 0;
}

/** Runs commands of qemu-io: `write -P 7 0 64k`, `read -P 7 0 64k`, `flush` and so on. All have to succeed. */
export async function qemuIo(url: string, ...commands: string[]): Promise<string> {
  const output = await runOk("qemu-io", ["-f", "raw", "-t", "none", ...commandArgs(commands), url]);
  assert(!/fail|error/i.test(output), output);
  return output;
}

function commandArgs(commands: readonly string[]): string[] {
  return commands.flatMap((command) => ["-c", command]);
}

/** A client that writes one block after the other, in order, until it is stopped. */
export class OrderedWriter {
  /** Writes that were acknowledged. */
  acknowledged = 0;
  readonly #child: ChildProcess;
  readonly #ended: Promise<unknown>;
  readonly #waiting = new Map<() => void, number>();
  #complaints = "";

  /**
   * Writes `count` times 64 KiB from `offsetBytes` on; the i-th is filled with `patternOf(i)`. After `span` of them it
   * begins at the first place again.
   */
  constructor(url: string, offsetBytes: number, count: number, span = count) {
    const commands = Array.from(
      { length: count },
      (_, i) => `write -P ${OrderedWriter.patternOf(i)} ${offsetBytes + (i % span) * 65536} 64k`,
    );
    this.#child = spawn("stdbuf", ["-oL", "qemu-io", "-f", "raw", "-t", "none", url], {
      stdio: ["pipe", "pipe", "pipe"],
    });
    this.#ended = once(this.#child, "close");
    assert(this.#child.stdout && this.#child.stdin && this.#child.stderr);
    this.#child.stderr.on("data", (text: Buffer) => {
      this.#complaints = (this.#complaints + text.toString("utf8")).slice(0, COMPLAINT_CHARS_MAX);
    });
    createInterface({ input: this.#child.stdout }).on("line", (line) => {
      if (!line.includes("wrote 65536/65536")) return;
      this.acknowledged += 1;
      for (const [resolve, count] of this.#waiting) if (this.acknowledged >= count) resolve();
    });
    this.#child.stdin.on("error", () => {});
    this.#child.stdin.end(`${commands.join("\n")}\n`);
  }

  static patternOf(i: number): number {
    return (i % 255) + 1;
  }

  /** Resolves when so many writes were acknowledged. */
  async reached(count: number): Promise<void> {
    if (this.acknowledged >= count) return;
    const reached = new Promise<void>((resolve) => this.#waiting.set(resolve, count));
    await Promise.race([reached, this.#ended]);
    assert(
      this.acknowledged >= count,
      `the writer ended after ${this.acknowledged} writes: ${this.#complaints}`,
    );
  }

  /** Resolves when all is written. */
  async finished(): Promise<void> {
    await this.#ended;
  }

  async stop(): Promise<void> {
    this.#child.kill("SIGKILL");
    await this.#ended;
  }
}
