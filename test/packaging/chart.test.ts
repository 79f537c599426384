/** The chart for Kubernetes, rendered: what refers to something finds it, and what it starts is a gateway. */
import { strict as assert } from "node:assert";
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { describe, test } from "node:test";
import { fileURLToPath } from "node:url";
import { parse, parseAllDocuments } from "yaml";
import { readStartOptions } from "../../src/cli/options.ts";
import { render } from "./chart.ts";

const chart = fileURLToPath(new URL("../../packaging/helm/sluicegate/", import.meta.url));
const read = (path: string) => readFileSync(join(chart, path), "utf8");

interface Resource {
  readonly apiVersion: string;
  readonly kind: string;
  readonly metadata: { readonly name: string };
  // biome-ignore lint/suspicious/noExplicitAny: what Kubernetes makes of it is not described here.
  readonly [field: string]: any;
}

function rendered(changes: object = {}): Record<string, Resource> {
  const values = { ...parse(read("values.yaml")), ...changes };
  const { appVersion } = parse(read("Chart.yaml"));
  const scope = { Values: values, Release: { Name: "backup" }, Chart: { AppVersion: appVersion } };
  const documents = parseAllDocuments(render(read("templates/gateway.yaml"), scope));
  for (const { errors } of documents) assert.deepEqual(errors, []);
  const all = documents.map((document) => document.toJS() as Resource);
  return Object.fromEntries(all.map((each) => [each.kind, each]));
}

describe("the chart", () => {
  test("its parts find each other", () => {
    const { ConfigMap, Service, StatefulSet } = rendered();
    assert(ConfigMap && Service && StatefulSet);
    const { template, selector, serviceName, replicas, volumeClaimTemplates } = StatefulSet.spec;
    assert.equal(serviceName, Service.metadata.name);
    // A data folder belongs to one process.
    assert.equal(replicas, 1);
    assert.deepEqual(selector.matchLabels, template.metadata.labels);
    assert.deepEqual(Service.spec.selector, template.metadata.labels);
    const [container] = template.spec.containers;
    const ports = container.ports.map(({ containerPort }: { containerPort: number }) => containerPort);
    assert.deepEqual(
      Service.spec.ports.map(({ port }: { port: number }) => port),
      ports,
    );
    const names = container.ports.map(({ name }: { name: string }) => name);
    for (const probe of ["livenessProbe", "readinessProbe", "startupProbe"])
      assert(names.includes(container[probe].httpGet.port), probe);
    const volumes = [...template.spec.volumes.map(({ name }: { name: string }) => name)];
    volumes.push(...volumeClaimTemplates.map(({ metadata }: Resource) => metadata.name));
    for (const { name } of container.volumeMounts) assert(volumes.includes(name), name);
    const config = template.spec.volumes.find(({ name }: { name: string }) => name === "config");
    assert.equal(config.configMap.name, ConfigMap.metadata.name);
    assert(container.args.includes("/etc/sluicegate/config.yaml"));
  });

  test("the settings that it hands over are taken by the gateway", () => {
    const { ConfigMap } = rendered({ config: { store: "s3://bucket/prefix", "cache-size": "5GiB" } });
    const folder = mkdtempSync(join(tmpdir(), "sg-chart-"));
    try {
      const path = join(folder, "config.yaml");
      writeFileSync(path, ConfigMap?.data["config.yaml"]);
      const options = readStartOptions({}, {}, path);
      assert.equal(options.storeUrl, "s3://bucket/prefix");
      assert.equal(options.cacheSizeBytes, 5 * 1024 ** 3);
    } finally {
      rmSync(folder, { recursive: true, force: true });
    }
  });

  test("a storage class and an image's tag are those that were named, and else the defaults", () => {
    const storageOf = (made: Record<string, Resource>) => made.StatefulSet?.spec.volumeClaimTemplates[0].spec;
    assert(!("storageClassName" in storageOf(rendered())));
    const named = rendered({
      storage: { size: "1Ti", className: "fast" },
      image: { repository: "registry.example.org/sluicegate", tag: "9.9.9", pullPolicy: "Always" },
    });
    assert.equal(storageOf(named).storageClassName, "fast");
    assert.equal(storageOf(named).resources.requests.storage, "1Ti");
    assert.equal(
      named.StatefulSet?.spec.template.spec.containers[0].image,
      "registry.example.org/sluicegate:9.9.9",
    );
  });
});
