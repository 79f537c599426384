/**
 * The pages of the documentation that are made of the program itself.
 *
 *   npm run docs        writes them; a test holds them to what they are made of
 */
import { readdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import type { Command } from "commander";
import { EVENT_TYPES } from "../../src/admin/event.ts";
import { type Metric, PREFIXES, type Scope } from "../../src/admin/metric.ts";
import { GATEWAY_METRICS, VOLUME_METRICS } from "../../src/admin/metric-table.ts";
import { FURTHER_FAMILIES } from "../../src/admin/prometheus.ts";
import { SERVICE_METRICS } from "../../src/admin/service-metrics.ts";
import { SLUICEGATE_MODEL } from "../../src/api/wire/validator.ts";
import { EXIT } from "../../src/cli/failure.ts";
import { environmentName, START_OPTIONS, type StartOptionName } from "../../src/cli/options.ts";
import { program } from "../../src/cli/program.ts";

const MADE = "<!-- Made by `npm run docs`: change what it is made of. -->";

function metricsPage(): string {
  const rows = <F>(scope: Scope, metrics: readonly Metric<F>[]) =>
    metrics.map(({ name, prometheus, type, unit, help }) => {
      const more = type === "histogram" ? `${name}, ${name}P50, ${name}P99, ${name}P999` : name;
      return `| \`${PREFIXES[scope]}${prometheus}\` | ${type} | ${more} | ${unit} | ${help} |`;
    });
  const head = ["| Prometheus | type | GetMetrics | unit | what it is |", "| --- | --- | --- | --- | --- |"];
  return [
    ...["# Metrics", "", MADE, ""],
    "`/metrics` has all of them for Prometheus; `GetMetrics` (signed) has them in periods: of 10 s and more for the last hour, of a minute for the last day, of an hour for 92 days, under names as",
    "in CloudWatch. A counter's value there is what was added in the period. Histograms of I/O have a bound at every factor of",
    "four from 16 µs on. With very many volumes `/metrics` grows by some 80 lines for each.",
    ...[
      "",
      "## Of each volume",
      "",
      "Labels `gateway_id`, `volume_id`.",
      "",
      ...head,
      ...rows("Volume", VOLUME_METRICS),
    ],
    ...["", "## Of each gateway", "", "Labels `gateway_id`, `gateway_name`.", "", ...head],
    ...rows("Gateway", GATEWAY_METRICS),
    ...["", "## Of the whole service", "", ...head, ...rows("Service", SERVICE_METRICS)],
    ...["", "## Only for Prometheus", "", "| Prometheus | type | what it is |", "| --- | --- | --- |"],
    ...Object.entries(FURTHER_FAMILIES).map(([name, [type, help]]) => `| \`${name}\` | ${type} | ${help} |`),
    ...["", "## Events", "", "The activity log and the webhook tell these:", ""],
    ...EVENT_TYPES.map((name) => `- \`${name}\``),
    "",
  ].join("\n");
}

function cliPage(): string {
  const lines = ["# Command line", "", MADE, ""];
  lines.push(
    "In a clone it is `npm run sluicegate -- …`. Every command takes `--json` and `--endpoint`.",
    "",
  );
  lines.push("## Exit codes", "", "| code | |", "| --- | --- |");
  lines.push(`| ${EXIT.done} | done |`, `| ${EXIT.failed} | refused, or failed |`);
  lines.push(`| ${EXIT.usage} | the command line can't be meant |`);
  lines.push(`| ${EXIT.amiss} | done, and something is amiss: damage, differences, findings of \`doctor\` |`);
  lines.push(`| ${EXIT.unreachable} | no gateway answers |`, "");
  const describe = (command: Command, path: string) => {
    for (const each of command.commands) {
      const name = `${path} ${each.name()}`;
      if (each.commands.length > 0) {
        describe(each, name);
        continue;
      }
      const args = each.registeredArguments
        .map((argument) => {
          const text = argument.variadic ? `${argument.name()}…` : argument.name();
          return argument.required ? ` <${text}>` : ` [${text}]`;
        })
        .join("");
      lines.push(`## \`${name}${args}\``, "", `${capital(each.description())}.`, "");
      const isLong = each.options.length > 12;
      if (isLong) lines.push("Takes the [settings](settings.md) as options.", "");
      const options = each.options.filter(({ long }) => !isLong || long === "--config");
      if (options.length === 0) continue;
      lines.push("| option | |", "| --- | --- |");
      for (const { flags, description, defaultValue } of options) {
        const isOfThisMachine = flags.startsWith("--data") || flags.startsWith("--region");
        const standard = defaultValue === undefined || isOfThisMachine ? "" : ` (${String(defaultValue)})`;
        lines.push(`| \`${flags}\` | ${description}${standard} |`);
      }
      lines.push("");
    }
  };
  describe(program, "sluicegate");
  return lines.join("\n");
}

function settingsPage(): string {
  return [
    ...["# Settings", "", MADE, ""],
    "Each has three spellings: an option of `start`, a variable of the environment, or a line of the YAML file that",
    "`--config` names. The first beats the second, the second the third. A name that there is not is refused.",
    ...["", "| option | variable | |", "| --- | --- | --- |"],
    ...Object.entries(START_OPTIONS).map(
      ([name, description]) =>
        `| \`--${name}\` | \`${environmentName(name as StartOptionName)}\` | ${description} |`,
    ),
    ...[
      "",
      "The bucket's own keys come as for AWS's tools: `AWS_ACCESS_KEY_ID` and `AWS_SECRET_ACCESS_KEY`, a profile, or",
      "the machine's role.",
      "",
    ],
  ].join("\n");
}

/** What each operation is for: the docstring of its handler, which begins with its name. */
function purposes(): ReadonlyMap<string, string> {
  const folder = fileURLToPath(new URL("../../src/api/sluicegate/", import.meta.url));
  const found = new Map<string, string>();
  for (const file of readdirSync(folder).sort()) {
    for (const [, comment = ""] of readFileSync(join(folder, file), "utf8").matchAll(
      /\/\*\*([\s\S]*?)\*\//g,
    )) {
      const text = comment
        .replace(/\n? *\* ?/g, " ")
        .replace(/\s+/g, " ")
        .trim();
      const [, name, what] = /^([A-Z][A-Za-z]+): (.+)$/.exec(text) ?? [];
      if (name !== undefined && what !== undefined) found.set(name, capital(what));
    }
  }
  return found;
}

function ownApiPage(): string {
  const { operations, shapes } = SLUICEGATE_MODEL;
  const lines = ["# Operations of our own", "", MADE, ""];
  lines.push(
    "Beside AWS's operations, at the same address and signed in the same way (service `storagegateway`): a POST of JSON with the",
    "header `X-Amz-Target: Sluicegate_20261101.NAME`. Times are seconds since the Unix epoch; errors are as those of AWS JSON 1.1.",
    "Names that begin with `Describe`, `List` or `Get` change nothing, and are for keys that may only read, too.",
    "",
  );
  const what = purposes();
  for (const [name, input] of Object.entries(operations).sort(([a], [b]) => (a < b ? -1 : 1))) {
    lines.push(`## ${name}`, "", ...(what.has(name) ? [what.get(name) ?? "", ""] : []));
    const { members = {}, required = [] } = shapes[input ?? ""] ?? { type: "structure" };
    const rows = Object.entries(members).map(([member, shape]) => {
      const text = limitsOf(shape).replaceAll("|", "\\|");
      return `| \`${member}\` | ${required.includes(member) ? "yes" : ""} | ${text} |`;
    });
    if (rows.length === 0) lines.push("It takes nothing.", "");
    else lines.push("| member | required | |", "| --- | --- | --- |", ...rows, "");
  }
  return lines.join("\n");
}

/** A shape's type and constraints in words. */
function limitsOf(name: string, depth = 0): string {
  const shape = SLUICEGATE_MODEL.shapes[name];
  if (shape === undefined) return "";
  const { type, min, max, member, members } = shape;
  const range = min === undefined && max === undefined ? "" : ` (${min ?? ""}…${max ?? ""})`;
  if (shape.enum !== undefined) return shape.enum.map((value) => `\`${value}\``).join(", ");
  if (type === "list" && depth < 3) return `list${range} of ${limitsOf(member ?? "", depth + 1)}`;
  if (type === "structure") return `{${Object.keys(members ?? {}).join(", ")}}`;
  return `${type}${type === "string" && range !== "" ? `${range.replace(")", " characters)")}` : range}`;
}

function capital(text: string): string {
  return text.charAt(0).toUpperCase() + text.slice(1);
}

/** The pages by their place in docs/. */
export const PAGES: Readonly<Record<string, () => string>> = {
  "reference/metrics.md": metricsPage,
  "reference/cli.md": cliPage,
  "reference/own-api.md": ownApiPage,
  "reference/settings.md": settingsPage,
};

if (process.argv[1] === fileURLToPath(import.meta.url)) {
  for (const [path, make] of Object.entries(PAGES))
    writeFileSync(fileURLToPath(new URL(`../../docs/${path}`, import.meta.url)), make());
}
