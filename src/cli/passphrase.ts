/** A passphrase, from where it does not show: a file, the environment, or the terminal without an echo. */
import { readFileSync } from "node:fs";
import { createInterface } from "node:readline/promises";
import { Writable } from "node:stream";
import { ClientError } from "./failure.ts";

const VARIABLE = "SLUICEGATE_PASSPHRASE";

/** The passphrase; a new one is asked for twice. Throws a ClientError where there is none to be had. */
export async function readPassphrase(file: string | undefined, isNew: boolean): Promise<string> {
  if (file !== undefined) return firstLine(readFileSync(file, "utf8"), file);
  const given = process.env[VARIABLE];
  if (given !== undefined && given !== "") return given;
  if (!process.stdin.isTTY)
    throw new ClientError(`name a file with --passphrase-file, set ${VARIABLE}, or use a terminal`);
  const passphrase = await ask("Passphrase of the vault: ");
  if (isNew && (await ask("Once more: ")) !== passphrase) throw new ClientError("the two are not the same");
  return passphrase;
}

function firstLine(text: string, file: string): string {
  const line = text.split(/\r?\n/)[0] ?? "";
  if (line === "") throw new ClientError(`the first line of ${file} is empty`);
  return line;
}

async function ask(question: string): Promise<string> {
  process.stderr.write(question);
  // What is typed goes nowhere.
  const output = new Writable({ write: (_chunk, _encoding, done) => done() });
  const terminal = createInterface({ input: process.stdin, output, terminal: true });
  try {
    return await terminal.question("");
  } finally {
    terminal.close();
    process.stderr.write("\n");
  }
}
