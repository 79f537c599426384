/** A PostgreSQL of its own for a test: in a temporary folder, on a Unix socket and a free port. */
import { spawnSync } from "node:child_process";
import { chownSync, existsSync, mkdtempSync, readdirSync, rmSync } from "node:fs";
import { tmpdir, userInfo } from "node:os";
import { join } from "node:path";
import { freePort } from "./free-port.ts";

const VERSIONS = "/usr/lib/postgresql";
const LIMIT_MS = 60_000;

export interface RunningPostgres {
  readonly url: string;
  stop(): void;
}

/** The folder of Debian's newest PostgreSQL programs, or undefined. */
export function postgresPrograms(): string | undefined {
  if (!existsSync(VERSIONS)) return undefined;
  const newest = readdirSync(VERSIONS).sort((a, b) => Number(b) - Number(a))[0];
  const folder = join(VERSIONS, newest ?? "", "bin");
  return existsSync(join(folder, "initdb")) ? folder : undefined;
}

export async function startPostgres(programs: string): Promise<RunningPostgres> {
  const isRoot = userInfo().uid === 0;
  // PostgreSQL refuses to run as root, and its own user can't get into a temporary folder that is root's alone.
  const folder = mkdtempSync(join(isRoot ? "/tmp" : tmpdir(), "sg-pg-"));
  const data = join(folder, "data");
  const port = await freePort();
  const account = isRoot ? idsOf("postgres") : undefined;
  if (account !== undefined) chownSync(folder, account.uid, account.gid);
  const run = (program: string, ...args: string[]) => {
    const done = spawnSync(join(programs, program), args, {
      encoding: "utf8",
      timeout: LIMIT_MS,
      cwd: folder,
      ...account,
      stdio: ["ignore", "ignore", "pipe"],
    });
    if (done.status !== 0) throw new Error(`${program}: ${done.stderr}`);
  };
  const stop = () => {
    spawnSync(join(programs, "pg_ctl"), ["-D", data, "-m", "immediate", "stop"], {
      ...account,
      timeout: LIMIT_MS,
    });
    rmSync(folder, { recursive: true, force: true });
  };
  try {
    run("initdb", "-D", data, "-U", "sluicegate", "-A", "trust", "-E", "UTF8", "--no-sync");
    const options = `-c listen_addresses=127.0.0.1 -c port=${port} -c unix_socket_directories= -c fsync=off`;
    run("pg_ctl", "-D", data, "-l", join(folder, "log"), "-w", "-o", options, "start");
  } catch (error) {
    stop();
    throw error;
  }
  return { url: `postgres://sluicegate@127.0.0.1:${port}/postgres`, stop };
}

function idsOf(user: string): { uid: number; gid: number } {
  const ask = (flag: string) => Number(spawnSync("id", [flag, user], { encoding: "utf8" }).stdout);
  return { uid: ask("-u"), gid: ask("-g") };
}
