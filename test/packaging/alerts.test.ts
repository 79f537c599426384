/** The alert rules and the dashboard that are shipped name only metrics that there are, and rules fire as they should. */
import { strict as assert } from "node:assert";
import { spawnSync } from "node:child_process";
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { describe, test } from "node:test";
import { fileURLToPath } from "node:url";
import { parse, stringify } from "yaml";
import { PREFIXES } from "../../src/admin/metric.ts";
import { GATEWAY_METRICS, VOLUME_METRICS } from "../../src/admin/metric-table.ts";
import { FURTHER_FAMILIES } from "../../src/admin/prometheus.ts";
import { SERVICE_METRICS } from "../../src/admin/service-metrics.ts";

const packaging = fileURLToPath(new URL("../../packaging/", import.meta.url));
const read = (path: string) => readFileSync(`${packaging}${path}`, "utf8");

/** Every name of a series there is. */
const names = new Set<string>();
const add = (name: string, type: string) => {
  if (type !== "histogram") names.add(name);
  else for (const suffix of ["_bucket", "_sum", "_count"]) names.add(name + suffix);
};
for (const { prometheus, type } of VOLUME_METRICS) add(PREFIXES.Volume + prometheus, type);
for (const { prometheus, type } of GATEWAY_METRICS) add(PREFIXES.Gateway + prometheus, type);
for (const { prometheus, type } of SERVICE_METRICS) add(PREFIXES.Service + prometheus, type);
for (const [name, [type]] of Object.entries(FURTHER_FAMILIES)) add(name, type);

function assertKnown(text: string): void {
  const used = text.match(/\bsluicegate_[a-z0-9_]+/g) ?? [];
  assert(used.length > 0, `no metric in ${text}`);
  for (const name of used) assert(names.has(name), `there is no ${name}`);
}

describe("what is shipped for Prometheus and Grafana", () => {
  test("every metric of the rules exists", () => {
    const { groups } = parse(read("prometheus/sluicegate.rules.yml"));
    const rules = groups.flatMap((group: { rules: object[] }) => group.rules);
    assert(rules.length >= 10);
    for (const { alert, expr, annotations } of rules) {
      if (alert !== "SluicegateDown") assertKnown(expr);
      assert(annotations.summary && annotations.description, alert);
    }
  });

  test("every metric of the dashboard exists", () => {
    const { panels, templating } = JSON.parse(read("grafana/sluicegate.json"));
    const ids = panels.map((panel: { id: number }) => panel.id);
    assert.equal(new Set(ids).size, ids.length);
    for (const panel of panels) for (const { expr } of panel.targets) assertKnown(expr);
    for (const { query } of templating.list) if (typeof query === "object") assertKnown(query.query);
  });

  test("of every rule it is tested that it fires, and that it keeps quiet", () => {
    const { groups } = parse(read("prometheus/sluicegate.rules.yml"));
    const { tests } = parse(read("prometheus/sluicegate.rules.test.yml"));
    const checks: { alertname: string; exp_alerts: unknown[] }[] = tests.flatMap(
      (each: { alert_rule_test: object[] }) => each.alert_rule_test,
    );
    for (const { alert } of groups.flatMap((group: { rules: object[] }) => group.rules)) {
      const own = checks.filter(({ alertname }) => alertname === alert);
      assert(
        own.some((check) => check.exp_alerts.length > 0),
        `nothing shows that ${alert} fires`,
      );
      assert(
        own.some((check) => check.exp_alerts.length === 0),
        `nothing shows that ${alert} keeps quiet`,
      );
    }
  });

  const promtool = spawnSync("promtool", ["--version"]);
  const skip = promtool.error !== undefined && "promtool is missing (Debian: prometheus)";
  test("Prometheus takes the rules, and they fire and keep quiet as they should", { skip }, () => {
    for (const args of [
      ["check", "rules", "sluicegate.rules.yml"],
      ["test", "rules", "sluicegate.rules.test.yml"],
    ]) {
      const { status, stdout, stderr } = spawnSync("promtool", args, {
        ...{ cwd: `${packaging}prometheus`, encoding: "utf8" },
      });
      assert.equal(status, 0, `${stdout}${stderr}`);
    }
  });

  test("Prometheus understands every expression of the dashboard", { skip }, () => {
    const { panels, templating } = JSON.parse(read("grafana/sluicegate.json"));
    const known: string[] = templating.list.map(({ name }: { name: string }) => name);
    const expressions: string[] = panels.flatMap((panel: { targets: { expr: string }[] }) =>
      panel.targets.map(({ expr }) => expr),
    );
    const rules = expressions.map((expr, i) => {
      // What Grafana puts in before it asks.
      const filled = expr
        .replaceAll("$__rate_interval", "5m")
        .replaceAll(/\$\{?(\w+)(:\w+)?\}?/g, (whole, name: string) => {
          assert(known.includes(name), `the dashboard has no variable ${whole}`);
          return ".*";
        });
      return { record: `panel:${i}`, expr: filled };
    });
    const folder = mkdtempSync(join(tmpdir(), "sg-dashboard-"));
    try {
      const path = join(folder, "rules.yml");
      writeFileSync(path, stringify({ groups: [{ name: "dashboard", rules }] }));
      const checked = spawnSync("promtool", ["check", "rules", path], { encoding: "utf8" });
      assert.equal(checked.status, 0, `${checked.stdout}${checked.stderr}`);
    } finally {
      rmSync(folder, { recursive: true, force: true });
    }
  });
});
