/** `sluicegate config check`: what a start would be told, and by whom, without starting anything. */
import { existsSync } from "node:fs";
import { join, resolve } from "node:path";
import { pathToFileURL } from "node:url";
import { checkDisks } from "../server-doctor.ts";
import { EXIT } from "./failure.ts";
import {
  environmentName,
  type GatheredOption,
  gatherOptions,
  kebab,
  OptionError,
  START_OPTIONS,
  type StartOptionName,
  startOptionsOf,
} from "./options.ts";
import { print, table } from "./output.ts";

/** Variables of this program that are no options of a start. */
const OTHER_VARIABLES =
  /^SLUICEGATE_(ENDPOINT|PASSPHRASE|LIFELINE_FD|NATIVE_.*|TEST_.*|FUZZ_.*|COVERAGE|MODEL.*)$/;
const NAMES = Object.keys(START_OPTIONS) as StartOptionName[];

interface Problem {
  readonly Severity: "error" | "warning";
  readonly Message: string;
}

/**
 * Says what each option would be, where that was said, and what can't be meant or is amiss. Nothing is opened, asked or made.
 * Ends with exit code 2 where a start would refuse what was said, and with 3 where something is likely to be a mistake.
 */
export function configCheck(
  flags: Record<string, string>,
  environment: Readonly<Record<string, string | undefined>> = process.env,
): void {
  const { config, ...given } = kebab(flags);
  const found = gatherOptions(given, environment, config);
  const problems = [...errorsOf(found), ...warningsOf(found, environment)];
  const options = NAMES.map((name) => {
    const said = found.get(name);
    return { Name: name, Value: shown(name, said, found), From: said?.from ?? "default" };
  });
  print({ Options: options, Problems: problems }, () => [
    ...table(
      ["OPTION", "VALUE", "FROM"],
      options.map(({ Name, Value, From }) => [Name, Value, From]),
      "",
    ),
    "",
    ...(problems.length === 0 ? ["a start would take all of this"] : []),
    ...problems.map(({ Severity, Message }) => `${Severity === "error" ? "ERROR  " : "warning"}  ${Message}`),
  ]);
  if (problems.some(({ Severity }) => Severity === "error")) process.exitCode = EXIT.usage;
  else if (problems.length > 0) process.exitCode = EXIT.amiss;
}

type Found = ReadonlyMap<StartOptionName, GatheredOption>;

/** Each option by itself, so that all mistakes are told at once. */
function errorsOf(found: Found): Problem[] {
  const problems: Problem[] = [];
  const url = found.get("webhook-url")?.value;
  for (const [name, { value, from }] of found) {
    // What goes with a webhook is only looked at where there is one.
    const isOfWebhook = name.startsWith("webhook-") && name !== "webhook-url";
    const given = new Map<string, string | undefined>([
      [name, value],
      ...(isOfWebhook ? [["webhook-url", url] as const] : []),
    ]);
    try {
      startOptionsOf((asked) => given.get(asked) ?? undefined);
    } catch (error) {
      if (!(error instanceof OptionError)) throw error;
      const isOther = isOfWebhook && error.message.startsWith("webhook-url:");
      const message = error.message.startsWith(`${name}:`) ? error.message : `${name}: ${error.message}`;
      if (!isOther) problems.push({ Severity: "error", Message: `${message} (${from})` });
    }
  }
  return problems;
}

function warningsOf(found: Found, environment: Readonly<Record<string, string | undefined>>): Problem[] {
  const warnings: string[] = [];
  const known = new Set(NAMES.map(environmentName));
  for (const name of Object.keys(environment).sort())
    if (name.startsWith("SLUICEGATE_") && !known.has(name) && !OTHER_VARIABLES.test(name))
      warnings.push(`${name} is no option, and makes no difference`);
  const value = (name: StartOptionName) => found.get(name)?.value;
  const s3 = ["s3-endpoint", "s3-region"].filter((name) => value(name as StartOptionName) !== undefined);
  if (!(value("store") ?? "").startsWith("s3:") && s3.length > 0)
    warnings.push(`${s3.join(" and ")}: the store is a folder, so it makes no difference`);
  const webhook = ["webhook-secret-file", "webhook-events"].filter(
    (name) => value(name as StartOptionName) !== undefined,
  );
  if (value("webhook-url") === undefined && webhook.length > 0)
    warnings.push(`${webhook.join(" and ")}: there is no webhook-url, so it makes no difference`);
  const devices = (value("device") ?? "").split(",").filter((path) => path !== "");
  const noFolder = join(resolve(value("data") ?? ""), "no-folder");
  for (const { status, message } of checkDisks(noFolder, devices))
    if (status !== "ok") warnings.push(`device: ${message}`);
  return warnings.map((Message) => ({ Severity: "warning", Message }));
}

/** Secrets are not shown: what a URL says besides where it is, and what is in files. */
function shown(name: StartOptionName, said: GatheredOption | undefined, found: Found): string {
  const data = resolve(found.get("data")?.value ?? "");
  if (said === undefined || said.value === "")
    return name === "store" ? pathToFileURL(join(data, "vault")).href : "–";
  const { value } = said;
  if (name === "data") return existsSync(data) ? data : `${data} (made by the start)`;
  if (name === "webhook-url") return URL.canParse(value) ? `${new URL(value).origin}/…` : "…";
  if (name === "s3-endpoint" && URL.canParse(value)) {
    const url = new URL(value);
    return url.username === "" && url.password === ""
      ? value
      : `${url.protocol}//…@${url.host}${url.pathname}`;
  }
  return value;
}
