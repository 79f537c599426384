/** boto3, driven from a test: a Python process of its own that takes calls line by line. */
import { type ChildProcessWithoutNullStreams, spawn } from "node:child_process";
import { createInterface } from "node:readline";
import { fileURLToPath } from "node:url";

export interface BotoSettings {
  readonly endpoint: string;
  readonly accessKeyId: string;
  readonly secretAccessKey: string;
  readonly sessionToken?: string;
  readonly region?: string;
  /** How often boto3 tries in all; once without it. */
  readonly attempts?: number;
  /** False: boto3 sends what its own checks would refuse. */
  readonly validate?: boolean;
}

/** What boto3 raised. `code` and `status` are missing where the server was not heard. */
export class BotoError extends Error {
  override readonly name = "BotoError";
  readonly className: string;
  readonly code: string | undefined;
  readonly status: number | undefined;
  /** `error.errorCode` of a Storage Gateway error. */
  readonly errorCode: string | null | undefined;
  /** `Reason` of an error of the EBS direct API. */
  readonly reason: string | null | undefined;

  constructor(fields: {
    class: string;
    message: string;
    code?: string;
    status?: number;
    errorCode?: string | null;
    reason?: string | null;
  }) {
    super(fields.message);
    this.className = fields.class;
    this.code = fields.code;
    this.status = fields.status;
    this.errorCode = fields.errorCode;
    this.reason = fields.reason;
  }
}

// biome-ignore lint/suspicious/noExplicitAny: the shapes are the service's; a test looks only at what it expects.
type Answer = any;

export class Boto {
  readonly #child: ChildProcessWithoutNullStreams;
  readonly #waiting: { resolve(value: Answer): void; reject(error: Error): void }[] = [];
  #stderr = "";

  constructor(settings: BotoSettings) {
    const script = fileURLToPath(new URL("./boto.py", import.meta.url));
    // Debian's Python, which has Debian's boto3; another one may come first in the PATH.
    this.#child = spawn("/usr/bin/python3", [script, JSON.stringify(settings)]);
    this.#child.stderr.setEncoding("utf8").on("data", (text: string) => {
      this.#stderr += text;
    });
    createInterface({ input: this.#child.stdout }).on("line", (line) => this.#answered(line));
    this.#child.on("error", (error) => this.#ended(error.message));
    this.#child.on("exit", (code) => this.#ended(`boto3 ended with ${code}: ${this.#stderr}`));
  }

  /** Calls a method of the Storage Gateway client. */
  gateway(method: string, args: object = {}): Promise<Answer> {
    return this.call("storagegateway", method, args);
  }

  /** Calls a method of the EC2 client. */
  ec2(method: string, args: object = {}): Promise<Answer> {
    return this.call("ec2", method, args);
  }

  /** Calls a method of the EBS direct client. */
  ebs(method: string, args: object = {}): Promise<Answer> {
    return this.call("ebs", method, args);
  }

  /** Calls a method of the Data Lifecycle Manager client. */
  dlm(method: string, args: object = {}): Promise<Answer> {
    return this.call("dlm", method, args);
  }

  close(): void {
    this.#child.stdin.end();
  }

  /** Calls a method of a service's client; bytes are `{ $bytes: Base64 }`. */
  call(service: string, method: string, args: object = {}): Promise<Answer> {
    return new Promise((resolve, reject) => {
      this.#waiting.push({ resolve, reject });
      this.#child.stdin.write(`${JSON.stringify({ service, method, args })}\n`);
    });
  }

  #answered(line: string): void {
    const { ok, error } = JSON.parse(line);
    const waiting = this.#waiting.shift();
    if (error === undefined) waiting?.resolve(ok);
    else waiting?.reject(new BotoError(error));
  }

  #ended(reason: string): void {
    for (const { reject } of this.#waiting.splice(0)) reject(new Error(reason));
  }
}
