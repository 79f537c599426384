/**
 * A small Linux under emulation, with Debian's kernel and initiator: the real peer of the iSCSI target.
 *
 * Its image is made by guest/build-image.sh (about half a minute) and kept for the next run, under a name that says
 * what it was made of. The guest reaches the host's 127.0.0.1 as 10.0.2.2.
 */
import { strict as assert } from "node:assert";
import { type ChildProcess, spawn, spawnSync } from "node:child_process";
import { createHash } from "node:crypto";
import { once } from "node:events";
import { existsSync, mkdirSync, readFileSync } from "node:fs";
import { homedir } from "node:os";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { fileURLToPath } from "node:url";
import { type Outcome, runOk } from "../clients/iscsi.ts";

/** The host's loopback, as the guest sees it. */
export const HOST = "10.0.2.2";
const BUILDER = fileURLToPath(new URL("guest/build-image.sh", import.meta.url));
const INIT = fileURLToPath(new URL("guest/init", import.meta.url));
const PROGRAMS = ["qemu-system-x86_64", "mmdebstrap", "cpio"];
const PACKAGES = ["linux-image-cloud-amd64", "open-iscsi", "multipath-tools", "fio"];
const MEMORY_MIB = 1024;
const BOOT_MS_MAX = 300_000;
const RUN_MS_MAX = 240_000;

/** Why there can be no guest here, or false. */
export function guestSkip(): string | false {
  if (process.arch !== "x64" || process.platform !== "linux") return "the guest is made for x64";
  const missing = PROGRAMS.filter((program) => spawnSync("which", [program]).status !== 0);
  if (missing.length > 0) return `missing: ${missing.join(" ")}`;
  return process.getuid?.() === 0 ? false : "the guest's image is made by root only";
}

/** The folder with the guest's kernel and root file system; made where there is none of these versions. */
export async function guestImage(): Promise<string> {
  const versions = spawnSync("apt-cache", ["policy", ...PACKAGES], { encoding: "utf8" }).stdout ?? "";
  const candidates = versions.split("\n").filter((line) => line.includes("Candidate:"));
  const hash = createHash("sha256");
  for (const part of [readFileSync(BUILDER), readFileSync(INIT), candidates.join("\n")]) hash.update(part);
  const cache = process.env.XDG_CACHE_HOME ?? join(homedir(), ".cache");
  const folder = join(cache, "sluicegate-tests", `guest-${hash.digest("hex").slice(0, 16)}`);
  if (existsSync(join(folder, "initrd"))) return folder;
  mkdirSync(folder, { recursive: true });
  await runOk("sh", [BUILDER, folder]);
  return folder;
}

export class LinuxGuest {
  readonly #child: ChildProcess;
  /** What the kernel and the guest's programs say by themselves. */
  readonly #consolePath: string;
  readonly #lines: string[] = [];
  #onLine: () => void = () => {};
  #ended = false;

  private constructor(child: ChildProcess, consolePath: string) {
    this.#child = child;
    this.#consolePath = consolePath;
    assert(child.stdout);
    createInterface({ input: child.stdout }).on("line", (line) => {
      this.#lines.push(line.trim());
      this.#onLine();
    });
    child.stdin?.on("error", () => {});
    child.on("close", () => {
      this.#ended = true;
      this.#onLine();
    });
  }

  /** Boots a guest; `folder` takes its console's text. */
  static async boot(image: string, folder: string): Promise<LinuxGuest> {
    const consolePath = join(folder, "console.log");
    const args = [
      ...["-accel", "tcg,thread=multi", "-smp", "2", "-m", String(MEMORY_MIB)],
      ...["-nodefaults", "-no-reboot", "-display", "none"],
      ...["-kernel", join(image, "vmlinuz"), "-initrd", join(image, "initrd")],
      ...["-append", "console=ttyS0 panic=-1 quiet"],
      ...["-serial", `file:${consolePath}`, "-serial", "stdio"],
      ...["-netdev", "user,id=net", "-device", "virtio-net-pci,netdev=net", "-device", "virtio-rng-pci"],
    ];
    const child = spawn("qemu-system-x86_64", args, { stdio: ["pipe", "pipe", "ignore"] });
    const guest = new LinuxGuest(child, consolePath);
    try {
      assert.equal(await guest.#nextLine(BOOT_MS_MAX), "ready");
    } catch (error) {
      await guest.close();
      throw error;
    }
    return guest;
  }

  /** What the console shows; for failure messages. */
  get console(): string {
    return existsSync(this.#consolePath) ? readFileSync(this.#consolePath, "utf8").slice(-4000) : "";
  }

  /** Runs a shell script in the guest to its end. */
  async run(script: string, limitMs = RUN_MS_MAX): Promise<Outcome> {
    this.#child.stdin?.write(`${Buffer.from(script).toString("base64")}\n`);
    const output = Buffer.from(await this.#nextLine(limitMs, script), "base64").toString("utf8");
    const done = await this.#nextLine(limitMs, script);
    const status = /^done (\d+)$/.exec(done)?.[1];
    assert(status !== undefined, `the guest answered "${done}"`);
    return { status: Number(status), output };
  }

  /** Runs a script that has to succeed; its output. */
  async ok(script: string, limitMs?: number): Promise<string> {
    const { status, output } = await this.run(`set -e\n${script}`, limitMs);
    assert.equal(status, 0, `in the guest: ${script}\n${output}\nconsole:\n${this.console}`);
    return output;
  }

  /** Takes the guest's power away. */
  async close(): Promise<void> {
    if (this.#ended) return;
    this.#child.kill("SIGKILL");
    await once(this.#child, "close");
  }

  async #nextLine(limitMs: number, script = "boot"): Promise<string> {
    if (this.#lines.length === 0 && !this.#ended) {
      await new Promise<void>((resolve, reject) => {
        const timer = setTimeout(
          () => reject(new Error(`the guest does not answer: ${script}\nconsole:\n${this.console}`)),
          limitMs,
        );
        this.#onLine = () => {
          clearTimeout(timer);
          resolve();
        };
      });
    }
    const line = this.#lines.shift();
    assert(line !== undefined, `the guest has ended: ${script}\nconsole:\n${this.console}`);
    return line;
  }
}
