/** The gateway as a user runs it: `sluicegate start` in a process of its own. */
import { strict as assert } from "node:assert";
import { type ChildProcess, spawn, spawnSync } from "node:child_process";
import { once } from "node:events";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { fileURLToPath } from "node:url";
import { freePort } from "../servers/free-port.ts";
import { Boto, type BotoSettings } from "./boto.ts";

const command = fileURLToPath(new URL("../../bin/sluicegate.js", import.meta.url));
const READY_MS_MAX = 120_000;
const LOG_CHARS_MAX = 100_000;

export class GatewayProcess {
  readonly dataDir: string;
  readonly #options: readonly string[];
  readonly #program: string;
  #child: ChildProcess | undefined;
  #ready: RegExpExecArray | undefined;
  #log = "";
  #boto: Boto | undefined;

  readonly #readyMsMax: number;

  /**
   * `options` follow `sluicegate start`, and beat what is said here. `program`: another one than that of this folder.
   * `readyMsMax`: for gateways that have much to open.
   */
  constructor(
    dataDir: string,
    options: readonly string[] = [],
    { program = command, readyMsMax = READY_MS_MAX }: { program?: string; readyMsMax?: number } = {},
  ) {
    this.dataDir = dataDir;
    this.#program = program;
    this.#readyMsMax = readyMsMax;
    this.#options = options;
  }

  /** What it wrote so far, over all of its runs. */
  get log(): string {
    return this.#log;
  }

  get endpoint(): string {
    return this.#address(1);
  }

  /** HOST:PORT of the first iSCSI portal. */
  get portal(): string {
    return this.#address(2).split(",")[0] ?? "";
  }

  /** boto3 with this gateway's own credentials. */
  get boto(): Boto {
    this.#boto ??= new Boto(this.botoSettings());
    return this.#boto;
  }

  botoSettings(): BotoSettings {
    const credentials = readFileSync(join(this.dataDir, "credentials"), "utf8");
    const get = (name: string) => new RegExp(`^${name} *= *(.+)$`, "m").exec(credentials)?.[1] ?? "";
    return {
      endpoint: this.endpoint,
      accessKeyId: get("aws_access_key_id"),
      secretAccessKey: get("aws_secret_access_key"),
    };
  }

  /** Starts it; resolves when it says that it is ready. The second start keeps the addresses of the first. */
  async start(): Promise<void> {
    assert.equal(this.#child, undefined);
    const isFirst = this.#ready === undefined;
    const listen = isFirst ? `127.0.0.1:${await freePort()}` : new URL(this.endpoint).host;
    const iscsi = isFirst ? `127.0.0.1:${await freePort()}` : this.#address(2);
    const args = ["start", "--data", this.dataDir, "--listen", listen, "--iscsi", iscsi, ...this.#options];
    const child = spawn(process.execPath, [this.#program, ...args], { stdio: ["ignore", "pipe", "pipe"] });
    this.#child = child;
    child.stderr?.setEncoding("utf8").on("data", (text: string) => this.#keep(text));
    const lines = createInterface({ input: child.stdout });
    await new Promise<void>((resolve, reject) => {
      const timer = setTimeout(() => reject(new Error(`not ready in time\n${this.#log}`)), this.#readyMsMax);
      child.once("exit", (code) => {
        clearTimeout(timer);
        reject(new Error(`the gateway ended with ${code} before it was ready\n${this.#log}`));
      });
      lines.on("line", (line) => {
        this.#keep(`${line}\n`);
        const ready = /^ready api=(\S+) iscsi=(\S+) console=(\S+)$/.exec(line);
        if (ready === null) return;
        this.#ready = ready;
        clearTimeout(timer);
        resolve();
      });
    });
  }

  /** SIGTERM; resolves with the exit code and how long it took. */
  async stop(): Promise<{ code: number | null; tookMs: number }> {
    const child = this.#child;
    if (child === undefined) return { code: null, tookMs: 0 };
    this.#closeBoto();
    this.#child = undefined;
    const startedMs = performance.now();
    child.kill("SIGTERM");
    const code = child.exitCode ?? ((await once(child, "exit")) as [number | null])[0];
    return { code, tookMs: performance.now() - startedMs };
  }

  /** SIGKILL to the launcher and to the gateway itself: nothing is closed, nothing is flushed. */
  async kill(): Promise<void> {
    const child = this.#child;
    if (child === undefined) return;
    this.#child = undefined;
    this.#closeBoto();
    const exited = child.exitCode === null ? once(child, "exit") : undefined;
    for (const pid of [...childrenOf(child.pid ?? 0), child.pid ?? 0]) process.kill(pid, "SIGKILL");
    await exited;
  }

  /** Kills it and starts it again. */
  async crash(): Promise<void> {
    await this.kill();
    await this.start();
  }

  /** Only for tests of what happens when the launcher alone is killed. */
  get launcher(): ChildProcess | undefined {
    return this.#child;
  }

  #closeBoto(): void {
    this.#boto?.close();
    this.#boto = undefined;
  }

  #address(group: number): string {
    const found = this.#ready?.[group];
    assert(found !== undefined, "the gateway has not been ready yet");
    return found;
  }

  #keep(text: string): void {
    this.#log = (this.#log + text).slice(-LOG_CHARS_MAX);
  }
}

/** What a command has printed, and how it has ended. */
interface Ended {
  readonly status: number | null;
  readonly stdout: string;
  readonly stderr: string;
}

/** Runs another `sluicegate` command to its end. */
export function sluicegate(...args: string[]): Ended {
  return sluicegateWith(process.env, ...args);
}

/** The same, with another environment. */
export function sluicegateWith(env: NodeJS.ProcessEnv, ...args: string[]): Ended {
  return spawnSync(process.execPath, [command, ...args], { encoding: "utf8", timeout: READY_MS_MAX, env });
}

/** The processes that `pid` has started. */
export function childrenOf(pid: number): number[] {
  const children = readFileSync(`/proc/${pid}/task/${pid}/children`, "utf8");
  return children.split(" ").filter(Boolean).map(Number);
}
