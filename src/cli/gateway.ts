/** `sluicegate status`, `sluicegate gateway …`, `sluicegate activity`: how it does, and what was done. */
import { UsageError } from "./failure.ts";
import {
  clientOf,
  findGateway,
  type GatewayChoice,
  gatewaysOf,
  kindOf,
  nameOf,
  volumesOf,
} from "./inventory.ts";
import { bytes, pairs, percent, print, table, time } from "./output.ts";

interface HealthShape {
  readonly Status: string;
  readonly IsReady: boolean;
  readonly Checks: readonly { readonly Name: string; readonly Status: string; readonly Message: string }[];
  readonly Alarms: readonly {
    readonly Name: string;
    readonly Severity: string;
    readonly StartTime: number;
    readonly Message: string;
  }[];
}

interface MetricsShape {
  readonly Resources: readonly {
    readonly ResourceARN?: string;
    readonly Metrics: readonly { readonly MetricName: string; readonly Values: readonly (number | null)[] }[];
  }[];
}

const SERVICE_LINES = [
  "UnsavedBytes",
  "ReadOperations",
  "WriteOperations",
  "ReadBytes",
  "WriteBytes",
  "PendingSnapshots",
];
const GATEWAY_LINES = ["UploadBufferPercentUsed", "CachePercentUsed", "CachePercentDirty", "UnsavedBytes"];
const INTERVAL_S = 10;

/** The newest value of each line. */
function newest(resource: MetricsShape["Resources"][number] | undefined): ReadonlyMap<string, number> {
  const found = new Map<string, number>();
  for (const { MetricName, Values } of resource?.Metrics ?? []) {
    const value = Values.at(-1);
    if (value !== null && value !== undefined) found.set(MetricName, value);
  }
  return found;
}

export async function status(choice: GatewayChoice): Promise<void> {
  const api = clientOf(choice);
  const [health, gateways, volumes, service, perGateway] = await Promise.all([
    api.callOwn<HealthShape>("DescribeHealth", {}),
    gatewaysOf(api),
    volumesOf(api),
    api.callOwn<MetricsShape>("GetMetrics", { Scope: "Service", MetricNames: SERVICE_LINES }),
    api.callOwn<MetricsShape>("GetMetrics", { Scope: "Gateway", MetricNames: GATEWAY_LINES }),
  ]);
  const now = newest(service.Resources[0]);
  const rate = (name: string) => (now.get(name) ?? 0) / INTERVAL_S;
  const used = (gatewayArn: string) =>
    newest(
      perGateway.Resources.find(({ ResourceARN }) => ResourceARN?.toLowerCase() === gatewayArn.toLowerCase()),
    );
  const share = (value: number | undefined) => (value === undefined ? "-" : percent(value));
  print({ Health: health, Gateways: gateways, Volumes: volumes, Now: Object.fromEntries(now) }, () => [
    ...pairs([
      ["Health", health.Status],
      ["API", api.endpoint.origin],
      [
        "Volumes",
        `${volumes.length}, ${bytes(volumes.reduce((sum, v) => sum + (v.VolumeUsedInBytes ?? 0), 0))} in use`,
      ],
      ["Reads", `${Math.round(rate("ReadOperations"))}/s, ${bytes(rate("ReadBytes"))}/s`],
      ["Writes", `${Math.round(rate("WriteOperations"))}/s, ${bytes(rate("WriteBytes"))}/s`],
      ["Not in the bucket yet", bytes(now.get("UnsavedBytes") ?? 0)],
      ["Pending snapshots", String(now.get("PendingSnapshots") ?? 0)],
    ]),
    "",
    ...table(
      ["GATEWAY", "KIND", "VOLUMES", "UPLOAD BUFFER", "CACHE", "CACHE DIRTY"],
      gateways.map(({ GatewayARN, GatewayName, GatewayType }) => {
        const own = volumes.filter(({ VolumeARN }) => VolumeARN.startsWith(`${GatewayARN}/`));
        const lines = used(GatewayARN);
        return [
          ...[GatewayName, GatewayType.toLowerCase(), String(own.length)],
          ...["UploadBufferPercentUsed", "CachePercentUsed", "CachePercentDirty"].map((name) =>
            share(lines.get(name)),
          ),
        ];
      }),
      "there are no gateways",
    ),
    ...health.Checks.filter((check) => check.Status !== "ok").map(
      ({ Name, Status, Message }) => `${Status}: ${Name}: ${Message}`,
    ),
    ...health.Alarms.map(
      ({ Severity, Message, StartTime }) => `${Severity} since ${time(StartTime)}: ${Message}`,
    ),
  ]);
}

export async function gatewayList(choice: GatewayChoice): Promise<void> {
  const gateways = await gatewaysOf(clientOf(choice));
  print(gateways, () =>
    table(
      ["GATEWAY", "NAME", "KIND"],
      gateways.map(({ GatewayId, GatewayName, GatewayType }) => [
        GatewayId,
        GatewayName,
        GatewayType.toLowerCase(),
      ]),
      "there are no gateways",
    ),
  );
}

interface StorageShape {
  readonly DiskIds: readonly string[];
  readonly CacheAllocatedInBytes?: number;
  readonly CacheUsedPercentage?: number;
  readonly CacheDirtyPercentage?: number;
  readonly UploadBufferUsedInBytes?: number;
  readonly UploadBufferAllocatedInBytes?: number;
}

export async function gatewayShow(name: string, choice: GatewayChoice): Promise<void> {
  const api = clientOf(choice);
  const gateway = await findGateway(api, name);
  const { GatewayARN } = gateway;
  const [about, buffer, cache, volumes] = await Promise.all([
    api.call<{ GatewayTimezone?: string; GatewayState?: string }>("DescribeGatewayInformation", {
      GatewayARN,
    }),
    api.call<StorageShape>("DescribeUploadBuffer", { GatewayARN }),
    gateway.GatewayType === "CACHED"
      ? api.call<StorageShape>("DescribeCache", { GatewayARN })
      : Promise.resolve(undefined),
    volumesOf(api),
  ]);
  const own = volumes.filter(({ VolumeARN }) => VolumeARN.startsWith(`${GatewayARN}/`));
  print({ ...about, ...gateway, UploadBuffer: buffer, Cache: cache, Volumes: own }, () =>
    pairs([
      ["Gateway", gateway.GatewayId],
      ["Name", gateway.GatewayName],
      ["ARN", GatewayARN],
      ["Kind", gateway.GatewayType.toLowerCase()],
      ["Time zone", about.GatewayTimezone],
      ["State", about.GatewayState],
      [
        "Upload buffer",
        `${bytes(buffer.UploadBufferUsedInBytes ?? 0)} of ${bytes(buffer.UploadBufferAllocatedInBytes ?? 0)}, on ${buffer.DiskIds.join(", ") || "no disk"}`,
      ],
      [
        "Cache",
        cache &&
          `${percent(cache.CacheUsedPercentage ?? 0)} of ${bytes(cache.CacheAllocatedInBytes ?? 0)}, ${percent(cache.CacheDirtyPercentage ?? 0)} dirty, on ${cache.DiskIds.join(", ") || "no disk"}`,
      ],
      ["Volumes", own.map((volume) => `${nameOf(volume)} (${kindOf(volume)})`).join(", ") || "none"],
    ]),
  );
}

interface ActivityShape {
  readonly Time: number;
  readonly Kind: string;
  readonly Name: string;
  readonly Result: string;
  readonly Resources: readonly string[];
  readonly Message?: string;
  readonly ErrorMessage?: string;
  readonly Actor?: { readonly Name: string };
}

export async function activity(
  choice: GatewayChoice & { readonly limit: string; readonly resource?: string; readonly name?: string },
): Promise<void> {
  const limit = Number(choice.limit);
  if (!Number.isInteger(limit) || limit < 1) throw new UsageError("--limit takes a number");
  const api = clientOf(choice);
  const found: ActivityShape[] = [];
  let Marker: string | undefined;
  do {
    const page: { Activities: ActivityShape[]; Marker?: string } = await api.callOwn("ListActivity", {
      Limit: Math.min(1000, limit - found.length),
      ...(choice.resource !== undefined && { Resource: choice.resource }),
      ...(choice.name !== undefined && { Name: choice.name }),
      ...(Marker !== undefined && { Marker }),
    });
    found.push(...page.Activities);
    Marker = page.Marker;
  } while (Marker !== undefined && found.length < limit);
  print(found, () =>
    table(
      ["TIME", "WHO", "WHAT", "RESULT", "ABOUT"],
      found.map(({ Time, Actor, Kind, Name, Result, Message, ErrorMessage, Resources }) => [
        time(Time),
        Actor?.Name ?? (Kind === "event" ? "(gateway)" : "(unknown)"),
        ...[Name, Result],
        Message ?? ErrorMessage ?? Resources.map((each) => each.split("/").at(-1)).join(", "),
      ]),
      "nothing was done yet",
    ),
  );
}
