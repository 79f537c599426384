/** The alert rules and the dashboard that are shipped name only metrics that there are, and rules fire as they should. */
import { strict as assert } from "node:assert";
import { spawnSync } from "node:child_process";
import { readFileSync } from "node:fs";
import { describe, test } from "node:test";
import { fileURLToPath } from "node:url";
import { parse } from "yaml";
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
});
