/**
 * The pages of the documentation that are made of the program itself.
 *
 *   npm run docs        writes them; a test holds them to what they are made of
 */
import { writeFileSync } from "node:fs";
import { fileURLToPath } from "node:url";
import type { Command } from "commander";
import { EVENT_TYPES } from "../../src/admin/event.ts";
import { type Metric, PREFIXES, type Scope } from "../../src/admin/metric.ts";
import { GATEWAY_METRICS, VOLUME_METRICS } from "../../src/admin/metric-table.ts";
import { FURTHER_FAMILIES } from "../../src/admin/prometheus.ts";
import { SERVICE_METRICS } from "../../src/admin/service-metrics.ts";
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
    "`/metrics` has all of them for Prometheus; `GetMetrics` (signed) has an hour of them, in periods of 10 s, under names as",
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

function capital(text: string): string {
  return text.charAt(0).toUpperCase() + text.slice(1);
}

/** The pages by their place in docs/. */
export const PAGES: Readonly<Record<string, () => string>> = {
  "reference/metrics.md": metricsPage,
  "reference/cli.md": cliPage,
  "reference/settings.md": settingsPage,
};

if (process.argv[1] === fileURLToPath(import.meta.url)) {
  for (const [path, make] of Object.entries(PAGES))
    writeFileSync(fileURLToPath(new URL(`../../docs/${path}`, import.meta.url)), make());
}
