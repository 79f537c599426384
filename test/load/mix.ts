/** What the clients of a load ask for, and how often: a fleet's monitoring, its backup programs, and a few changes. */
import type { Signable } from "./signer.ts";

/** What there is to be asked for. */
export interface Inventory {
  readonly gatewayArns: readonly string[];
  readonly storedArns: readonly string[];
  readonly cachedArns: readonly string[];
  readonly snapshotIds: readonly string[];
}

export interface Call {
  readonly name: string;
  readonly request: Signable;
  /** The next page's call, out of the answer to this one. */
  readonly next?: (answer: string) => Call | undefined;
}

interface Entry {
  readonly weight: number;
  readonly make: (inventory: Inventory, below: (n: number) => number) => Call;
}

const PAGE = 100;
const MIX: readonly Entry[] = [
  { weight: 10, make: () => listVolumes({}) },
  { weight: 8, make: (all, below) => listVolumes({ GatewayARN: one(all.gatewayArns, below) }) },
  {
    weight: 6,
    make: (all, below) => json("DescribeStorediSCSIVolumes", { VolumeARNs: [one(all.storedArns, below)] }),
  },
  {
    weight: 10,
    make: (all, below) => json("DescribeCachediSCSIVolumes", { VolumeARNs: [one(all.cachedArns, below)] }),
  },
  { weight: 8, make: (all, below) => json("DescribeGatewayInformation", gatewayOf(all, below)) },
  { weight: 3, make: () => json("ListGateways", {}) },
  { weight: 10, make: (all, below) => json("ListTagsForResource", { ResourceARN: volumeOf(all, below) }) },
  {
    weight: 3,
    make: (all, below) =>
      json("AddTagsToResource", {
        ResourceARN: volumeOf(all, below),
        Tags: [{ Key: "seen", Value: String(below(1000)) }],
      }),
  },
  {
    weight: 1,
    make: (all, below) =>
      json("CreateSnapshot", { VolumeARN: volumeOf(all, below), SnapshotDescription: "under load" }),
  },
  { weight: 6, make: (all, below) => snapshots("ids", { "SnapshotId.1": one(all.snapshotIds, below) }) },
  {
    weight: 8,
    make: (all, below) => snapshots("of a volume", filter("volume-id", volumeIdOf(volumeOf(all, below)))),
  },
  {
    weight: 2,
    make: (_, below) =>
      snapshots("by tag", { ...filter("tag:group", `g${below(10)}`), MaxResults: `${PAGE}` }),
  },
  { weight: 8, make: () => snapshots("pages", { MaxResults: `${PAGE}` }) },
  { weight: 0.02, make: () => snapshots("all at once", {}) },
  { weight: 3, make: () => query("DescribeVolumes", "pages", { MaxResults: `${PAGE}` }) },
  {
    weight: 5,
    make: (all, below) => query("DescribeVolumes", "ids", { "VolumeId.1": volumeIdOf(volumeOf(all, below)) }),
  },
  {
    weight: 5,
    make: (all, below) =>
      query("DescribeTags", "of a resource", filter("resource-id", one(all.snapshotIds, below))),
  },
  { weight: 3, make: () => policies() },
];
const TOTAL = MIX.reduce((sum, { weight }) => sum + weight, 0);

/** The next call of a client. `below(n)` gives a random whole number from 0 to n - 1. */
export function nextCall(inventory: Inventory, below: (n: number) => number): Call {
  let at = (below(1_000_000) / 1_000_000) * TOTAL;
  for (const { weight, make } of MIX) {
    at -= weight;
    if (at < 0) return make(inventory, below);
  }
  return listVolumes({});
}

/** The first call of a client: so that all kinds are made, however few there are in all. */
export function firstCall(inventory: Inventory, client: number, below: (n: number) => number): Call {
  const { make } = MIX[client % MIX.length] ?? { make: () => listVolumes({}) };
  return make(inventory, below);
}

/** Whether the bar for lists holds for a call of this name: all that lists or describes, but for everything at once. */
export function isList(name: string): boolean {
  return /^(List|Describe|Get)/.test(name) && !name.endsWith("all at once");
}

export function json(operation: string, body: object): Call {
  return {
    name: operation,
    request: {
      service: "storagegateway",
      method: "POST",
      path: "/",
      headers: {
        "content-type": "application/x-amz-json-1.1",
        "x-amz-target": `StorageGateway_20130630.${operation}`,
      },
      body: JSON.stringify(body),
    },
  };
}

export function listVolumes(body: object): Call {
  return {
    ...json("ListVolumes", { ...body, Limit: PAGE }),
    next: (answer) => {
      const { Marker } = JSON.parse(answer) as { Marker?: string };
      return Marker === undefined ? undefined : listVolumes({ ...body, Marker });
    },
  };
}

export function query(action: string, what: string, parameters: Readonly<Record<string, string>>): Call {
  return {
    name: `${action}, ${what}`,
    request: {
      service: "ec2",
      method: "POST",
      path: "/",
      headers: { "content-type": "application/x-www-form-urlencoded; charset=utf-8" },
      body: new URLSearchParams({ Action: action, Version: "2016-11-15", ...parameters }).toString(),
    },
    next: (answer) => {
      const NextToken = /<nextToken>([^<]+)<\/nextToken>/.exec(answer)?.[1];
      return NextToken === undefined ? undefined : query(action, what, { ...parameters, NextToken });
    },
  };
}

function snapshots(what: string, parameters: Readonly<Record<string, string>>): Call {
  return query("DescribeSnapshots", what, parameters);
}

function policies(): Call {
  const request = { service: "dlm", method: "GET", path: "/policies", headers: {}, body: "" };
  return { name: "GetLifecyclePolicies", request };
}

function filter(name: string, value: string): Record<string, string> {
  return { "Filter.1.Name": name, "Filter.1.Value.1": value };
}

function gatewayOf({ gatewayArns }: Inventory, below: (n: number) => number): object {
  return { GatewayARN: one(gatewayArns, below) };
}

function volumeOf({ storedArns, cachedArns }: Inventory, below: (n: number) => number): string {
  return one(below(8) === 0 ? storedArns : cachedArns, below);
}

/** As EC2 spells it. */
function volumeIdOf(arn: string): string {
  return arn.slice(arn.lastIndexOf("/") + 1).toLowerCase();
}

function one(items: readonly string[], below: (n: number) => number): string {
  return items[below(items.length)] ?? "";
}
