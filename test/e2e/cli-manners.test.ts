/** How the command line behaves, whatever the command: mistakes, help, terminals, shells that complete. */
import { strict as assert } from "node:assert";
import { spawn, spawnSync } from "node:child_process";
import { once } from "node:events";
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, describe, test } from "node:test";
import { fileURLToPath } from "node:url";
import type { Command } from "commander";
import { program } from "../../src/cli/program.ts";
import { GatewayProcess, sluicegate } from "../clients/gateway.ts";

const root = fileURLToPath(new URL("../../", import.meta.url));
const main = join(root, "dist", "cli", "main.js");
const LIMIT_MS = 120_000;

interface Leaf {
  readonly path: readonly string[];
  readonly command: Command;
}
/** Every command that does something, with the words that lead to it. */
const leaves = (command: Command, path: readonly string[] = []): Leaf[] =>
  command.commands.flatMap((each) =>
    each.commands.length > 0
      ? leaves(each, [...path, each.name()])
      : [{ path: [...path, each.name()], command: each }],
  );
const LEAVES = leaves(program);
/** These begin something that does not end by itself, or want no gateway. */
const WITHOUT_GATEWAY = new Set([
  "start",
  "completion",
  "version",
  "doctor",
  "config check",
  "recover",
  "disk create",
  "disk list",
]);

describe("the command line's manners", () => {
  const folder = mkdtempSync(join(tmpdir(), "sg-manners-"));
  const gateway = new GatewayProcess(join(folder, "data"), [
    ...["--cache-size", "128MiB", "--upload-buffer-size", "128MiB"],
  ]);
  before(() => gateway.start());
  after(async () => {
    await gateway.kill();
    rmSync(folder, { recursive: true, force: true });
  });

  /** The program without its launcher, which takes half of the time and says nothing of its own. */
  const cli = (args: readonly string[], env: NodeJS.ProcessEnv = process.env) =>
    spawnSync(process.execPath, [main, ...args], { encoding: "utf8", timeout: LIMIT_MS, env, input: "" });

  function assertPolite(args: readonly string[], done: ReturnType<typeof cli>): void {
    const what = `sluicegate ${args.join(" ")}: ${done.stdout}${done.stderr}`;
    assert([1, 2, 4].includes(done.status ?? -1), `${done.status} of ${what}`);
    assert.doesNotMatch(
      done.stderr,
      /^ {4}at |node:internal|file:\/\/\/\S+\.[jt]s:\d/m,
      `a stack trace: ${what}`,
    );
    assert.match(done.stderr, /\S/, `it says nothing: ${what}`);
    assert.equal(done.stdout, "", `a failure is nothing for standard output: ${what}`);
  }

  test("every command says what it is for, and ends with 0 for that", () => {
    assert(LEAVES.length > 40, `only ${LEAVES.length} commands`);
    for (const { path, command } of LEAVES) {
      assert(command.description().length > 8, path.join(" "));
      for (const option of command.options)
        assert(option.description.length > 4, `${path.join(" ")} ${option.long}`);
      const help = command.helpInformation();
      assert.match(help, new RegExp(`^Usage: .*${path.at(-1)}`), path.join(" "));
    }
    const shown = cli(["volume", "create", "cached", "--help"]);
    assert.equal(shown.status, 0);
    assert.match(shown.stdout, /--json/);
  });

  test("a mistake in any command ends with words and a code, never with a stack", () => {
    for (const { path, command } of LEAVES) {
      const required = command.registeredArguments.filter((argument) => argument.required);
      if (WITHOUT_GATEWAY.has(path.join(" "))) continue;
      // What it names is nowhere.
      const flags = command.options
        .filter(({ mandatory }) => mandatory)
        .flatMap(({ long }) => [long ?? "", "nonsense"]);
      const names = required.map(() => "no such thing");
      if (names.length + flags.length === 0) continue;
      const args = [...path, ...names, ...flags, "--data", gateway.dataDir];
      // "key create" is glad of any name that it can have: this is none.
      assertPolite(args, cli(args));
    }
  });

  test("an option that no command has is refused by every one, before it does anything", async () => {
    for (const { path, command } of LEAVES) {
      let said = "";
      command.configureOutput({ writeErr: (text) => (said += text) });
      const mandatory = command.options.filter((option) => option.mandatory).map(({ long }) => `${long}=x`);
      const args = [...path, ...command.registeredArguments.map(() => "x"), ...mandatory, "--no-such-option"];
      await assert.rejects(program.parseAsync(args, { from: "user" }), { code: "commander.unknownOption" });
      assert.match(said, /unknown option '--no-such-option'/, path.join(" "));
    }
    const done = cli(["volume", "list", "--no-such-option"]);
    assert.equal(done.status, 2);
    assertPolite(["volume", "list"], done);
  });

  test("where no gateway is, every command that wants one ends with 4", () => {
    for (const path of [
      ["status"],
      ["volume", "list"],
      ["snapshot", "list"],
      ["env"],
      ["vault", "stats"],
      ["key", "list"],
    ]) {
      const done = cli([...path, "--data", join(folder, "nowhere")]);
      assert.equal(done.status, 4, path.join(" "));
      assertPolite(path, done);
    }
  });

  test("settings that can't be meant end with 2, and name the setting", () => {
    const config = join(folder, "bad.yaml");
    writeFileSync(config, "listen: [not, an: address\n");
    const unknown = join(folder, "unknown.yaml");
    writeFileSync(unknown, "lisen: 127.0.0.1:9060\n");
    const cases: readonly [args: readonly string[], words: RegExp][] = [
      [["--listen", "nowhere"], /listen/],
      [["--iscsi", "127.0.0.1:99999"], /iscsi/],
      [["--cache-size", "much"], /"much" is no size/],
      [["--account", "12"], /account/],
      [["--log-level", "loud"], /log-level/],
      [["--log-format", "xml"], /log-format/],
      [["--keep-recovery-points", "always"], /keep-recovery-points/],
      [["--webhook-url", "mailto:me"], /webhook-url/],
      [["--webhook-url", "http://127.0.0.1", "--webhook-events", "Rain"], /there is no event "Rain"/],
      [["--s3-endpoint", "nowhere"], /s3-endpoint/],
      [["--store", "bucket"], /store: "bucket" is no store/],
      [["--config", config], /bad\.yaml can't be read/],
      [["--config", unknown], /there is no option "lisen"/],
      [["--config", join(folder, "none.yaml")], /none\.yaml can't be read/],
    ];
    for (const [args, words] of cases) {
      const done = cli(["start", "--data", join(folder, "unused"), ...args]);
      assert.equal(done.status, 2, `${args.join(" ")}: ${done.stderr}`);
      assert.match(done.stderr, words);
      assertPolite(args, done);
    }
  });

  test("what the system refuses is said in words, with the file", () => {
    writeFileSync(join(folder, "file"), "");
    const args = [
      "start",
      "--data",
      join(folder, "file", "data"),
      "--listen",
      "127.0.0.1:0",
      "--iscsi",
      "127.0.0.1:0",
    ];
    const done = cli(args);
    assertPolite(args, done);
    assert.match(done.stderr, /file\/data: a part of the path is no folder/);
    const taken = cli([
      "start",
      "--data",
      join(folder, "second"),
      "--iscsi",
      gateway.portal,
      "--listen",
      "127.0.0.1:0",
    ]);
    assertPolite(["start"], taken);
    assert.match(taken.stderr, /can't listen on .*--iscsi.*EADDRINUSE.*choose another port/);
  });

  test("on a terminal long work shows a bar, and takes it away; elsewhere there is none", () => {
    const made = sluicegate("volume", "create", "cached", "barred", "1GiB", "--data", gateway.dataDir);
    assert.equal(made.status, 0, made.stderr);
    const taken = cli(["snapshot", "create", "barred", "--wait", "--json", "--data", gateway.dataDir]);
    assert.equal(taken.status, 0, taken.stderr);
    const [{ SnapshotId }] = JSON.parse(taken.stdout);
    const args = ["snapshot", "export", SnapshotId, join(folder, "image.raw"), "--data", gateway.dataDir];
    const quiet = cli(args);
    assert.equal(quiet.status, 0, quiet.stderr);
    assert.equal(quiet.stderr, "");
    rmSync(join(folder, "image.raw"));
    const terminal = join(root, "test", "clients", "terminal.py");
    const onTerminal = spawnSync("/usr/bin/python3", [terminal, process.execPath, main, ...args], {
      ...{ encoding: "utf8", timeout: LIMIT_MS },
    });
    const { status, said } = JSON.parse(onTerminal.stdout);
    assert.equal(status, 0, said);
    assert.match(said, /[█░]{30} \d+\/1024/);
    const CLEAR = "\r\u001b[K";
    assert(!/[█░]/.test(said.slice(said.lastIndexOf(CLEAR))), `the bar stays: ${said}`);
    // Nothing is coloured, so NO_COLOR has nothing to take away.
    assert.doesNotMatch(said.replaceAll("\u001b", "ESC"), /ESC\[[\d;]*m/);
  });

  test("the log of a gateway is for people on a terminal, and JSON elsewhere", async () => {
    const args = ["start", "--data", gateway.dataDir, "--listen", "127.0.0.1:0", "--iscsi", "127.0.0.1:0"];
    const firstLine = async (format: string): Promise<string> => {
      const child = spawn(process.execPath, [main, ...args, "--log-format", format]);
      const [line] = (await once(child.stderr.setEncoding("utf8"), "data")) as [string];
      child.kill("SIGKILL");
      await once(child, "exit");
      return line;
    };
    assert.match(await firstLine("text"), /^\d\d:\d\d:\d\d warning: another gateway uses /);
    assert.equal(JSON.parse(await firstLine("auto")).level, 40);
  });

  test("what is for eval in a shell is taken by one, and is JSON when asked for", () => {
    const env = cli(["env", "--data", gateway.dataDir]);
    const script = `export AWS_PROFILE=other AWS_ACCESS_KEY_ID=AKIAOTHER; eval "$1"; env`;
    const shell = spawnSync("sh", ["-c", script, "sh", env.stdout], { encoding: "utf8" });
    assert.match(shell.stdout, new RegExp(`^AWS_ENDPOINT_URL_STORAGE_GATEWAY=${gateway.endpoint}$`, "m"));
    assert.doesNotMatch(shell.stdout, /^AWS_(PROFILE|ACCESS_KEY_ID)=/m);
    assert.equal(
      JSON.parse(cli(["env", "--json", "--data", gateway.dataDir]).stdout).set.AWS_REGION,
      "us-east-1",
    );
  });

  for (const shell of ["zsh", "fish"] as const) {
    const skip = spawnSync(shell, ["--version"]).error !== undefined && `${shell} is missing`;
    test(`${shell} completes commands and options`, { skip }, () => {
      const script = join(folder, `completion.${shell}`);
      writeFileSync(script, cli(["completion", shell]).stdout);
      mkdirSync(join(folder, "home"), { recursive: true });
      const env = { ...process.env, HOME: join(folder, "home"), XDG_CONFIG_HOME: join(folder, "home") };
      const ask = (line: string): string => {
        const command =
          shell === "fish"
            ? `source ${script}; complete -C '${line}'`
            : // What zsh offers exists in its line editor only: here it is printed instead.
              `autoload -U compinit; compinit -u -D; source ${script}; compadd() { shift; print -l -- "$@"; };` +
              `words=(${line.replace(/ $/, " ''")}); CURRENT=\${#words}; _sluicegate`;
        const done = spawnSync(
          shell,
          shell === "fish" ? ["--no-config", "-c", command] : ["-f", "-c", command],
          {
            ...{ encoding: "utf8", timeout: LIMIT_MS, env },
          },
        );
        assert.equal(done.status, 0, done.stderr);
        return done.stdout;
      };
      assert.match(ask("sluicegate "), /^snapshot/m);
      assert.match(ask("sluicegate volume cre"), /^create/m);
      assert.match(ask("sluicegate snapshot list --vol"), /^--volume/m);
    });
  }
});
