/** DescribeRegions and DescribeAvailabilityZones: one region, with one zone. */
import type {
  AvailabilityZone,
  DescribeAvailabilityZonesRequest,
  DescribeAvailabilityZonesResult,
  DescribeRegionsRequest,
  DescribeRegionsResult,
  Region,
} from "@aws-sdk/client-ec2";
import type { Services } from "../../gateway/services.ts";
import { Ec2Error } from "../ec2-error.ts";
import type { Operation } from "../operation.ts";
import { dryRun } from "./checks.ts";
import { applyFilters } from "./filters.ts";

/** The one zone of a region. */
export function zoneOf(region: string): string {
  return `${region}a`;
}

/** The id of that zone, as AWS makes them: `use1-az1` in us-east-1. */
export function zoneIdOf(region: string): string {
  const [, country, direction = "", number] = /^([a-z]{2})-([a-z]+)-(\d+)$/.exec(region) ?? [];
  const letters = [...direction.matchAll(/north|south|east|west|central/g)].map(([word]) => word.charAt(0));
  return letters.length === 0 ? `${region}-az1` : `${country}${letters.join("")}${number}-az1`;
}

export const describeRegions: Operation<Services, DescribeRegionsRequest, DescribeRegionsResult> = {
  name: "DescribeRegions",
  async handle(_services, { RegionNames = [], Filters, DryRun }, { region }) {
    const other = RegionNames.find((name) => name !== region);
    if (other !== undefined) throw new Ec2Error("InvalidParameterValue", `Invalid region provided: ${other}`);
    if (DryRun === true) throw dryRun();
    const here: Region = {
      RegionName: region,
      Endpoint: `ec2.${region}.amazonaws.com`,
      OptInStatus: "opt-in-not-required",
    };
    const Regions = applyFilters([here], Filters, {
      names: {
        endpoint: ({ Endpoint = "" }) => [Endpoint],
        "opt-in-status": ({ OptInStatus = "" }) => [OptInStatus],
        "region-name": ({ RegionName = "" }) => [RegionName],
      },
    });
    return { Regions };
  },
};

export const describeAvailabilityZones: Operation<
  Services,
  DescribeAvailabilityZonesRequest,
  DescribeAvailabilityZonesResult
> = {
  name: "DescribeAvailabilityZones",
  async handle(_services, { ZoneNames = [], ZoneIds = [], Filters, DryRun }, { region }) {
    const here: AvailabilityZone = {
      ZoneName: zoneOf(region),
      ZoneId: zoneIdOf(region),
      State: "available",
      RegionName: region,
      GroupName: region,
      NetworkBorderGroup: region,
      ZoneType: "availability-zone",
      OptInStatus: "opt-in-not-required",
    };
    const other =
      ZoneNames.find((name) => name !== here.ZoneName) ?? ZoneIds.find((id) => id !== here.ZoneId);
    if (other !== undefined)
      throw new Ec2Error("InvalidParameterValue", `Invalid availability zone: [${other}]`);
    if (DryRun === true) throw dryRun();
    const AvailabilityZones = applyFilters([here], Filters, {
      names: {
        "group-name": ({ GroupName = "" }) => [GroupName],
        "opt-in-status": ({ OptInStatus = "" }) => [OptInStatus],
        "region-name": ({ RegionName = "" }) => [RegionName],
        state: ({ State = "" }) => [State],
        "zone-id": ({ ZoneId = "" }) => [ZoneId],
        "zone-name": ({ ZoneName = "" }) => [ZoneName],
        "zone-type": ({ ZoneType = "" }) => [ZoneType],
      },
    });
    return { AvailabilityZones };
  },
};
