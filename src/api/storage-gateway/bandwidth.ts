/** Bandwidth limits of a gateway: one for all time, or a weekly schedule. */
import type {
  BandwidthRateLimitInterval,
  DeleteBandwidthRateLimitInput,
  DeleteBandwidthRateLimitOutput,
  DescribeBandwidthRateLimitInput,
  DescribeBandwidthRateLimitOutput,
  DescribeBandwidthRateLimitScheduleInput,
  DescribeBandwidthRateLimitScheduleOutput,
  UpdateBandwidthRateLimitInput,
  UpdateBandwidthRateLimitOutput,
  UpdateBandwidthRateLimitScheduleInput,
  UpdateBandwidthRateLimitScheduleOutput,
} from "@aws-sdk/client-storage-gateway";
import { gatewayArn } from "../../gateway/arn.ts";
import type { BandwidthType } from "../../gateway/bandwidth.ts";
import { invalid } from "../../gateway/errors.ts";
import type { BandwidthInterval } from "../../gateway/gateway-settings.ts";
import type { Services } from "../../gateway/services.ts";
import type { Operation } from "../operation.ts";

/** UpdateBandwidthRateLimit: a limit that is not given stays as it is. */
export const updateBandwidthRateLimit: Operation<
  Services,
  UpdateBandwidthRateLimitInput,
  UpdateBandwidthRateLimitOutput
> = {
  name: "UpdateBandwidthRateLimit",
  async handle({ bandwidth, gateways, realm }, input) {
    const row = await gateways.byArn(input.GatewayARN ?? "");
    await bandwidth.setLimits(row, limitsOf(input));
    return { GatewayARN: gatewayArn(realm, row.id) };
  },
};

/** DescribeBandwidthRateLimit: what is not limited is not there. Of a schedule, what holds now. */
export const describeBandwidthRateLimit: Operation<
  Services,
  DescribeBandwidthRateLimitInput,
  DescribeBandwidthRateLimitOutput
> = {
  name: "DescribeBandwidthRateLimit",
  async handle({ bandwidth, gateways, realm }, { GatewayARN }) {
    const row = await gateways.byArn(GatewayARN ?? "");
    return { GatewayARN: gatewayArn(realm, row.id), ...limitShape(bandwidth.limits(row)) };
  },
};

/** DeleteBandwidthRateLimit: `UPLOAD`, `DOWNLOAD` or `ALL`, in any case. */
export const deleteBandwidthRateLimit: Operation<
  Services,
  DeleteBandwidthRateLimitInput,
  DeleteBandwidthRateLimitOutput
> = {
  name: "DeleteBandwidthRateLimit",
  async handle({ bandwidth, gateways, realm }, { GatewayARN, BandwidthType }) {
    const type = BandwidthType?.toUpperCase();
    if (!isType(type)) throw invalid("BandwidthType: UPLOAD, DOWNLOAD or ALL.");
    const row = await gateways.byArn(GatewayARN ?? "");
    await bandwidth.remove(row, type);
    return { GatewayARN: gatewayArn(realm, row.id) };
  },
};

export const updateBandwidthRateLimitSchedule: Operation<
  Services,
  UpdateBandwidthRateLimitScheduleInput,
  UpdateBandwidthRateLimitScheduleOutput
> = {
  name: "UpdateBandwidthRateLimitSchedule",
  async handle({ bandwidth, gateways, realm }, { GatewayARN, BandwidthRateLimitIntervals }) {
    const row = await gateways.byArn(GatewayARN ?? "");
    await bandwidth.setSchedule(row, (BandwidthRateLimitIntervals ?? []).map(intervalOf));
    return { GatewayARN: gatewayArn(realm, row.id) };
  },
};

export const describeBandwidthRateLimitSchedule: Operation<
  Services,
  DescribeBandwidthRateLimitScheduleInput,
  DescribeBandwidthRateLimitScheduleOutput
> = {
  name: "DescribeBandwidthRateLimitSchedule",
  async handle({ bandwidth, gateways, realm }, { GatewayARN }) {
    const row = await gateways.byArn(GatewayARN ?? "");
    return {
      GatewayARN: gatewayArn(realm, row.id),
      BandwidthRateLimitIntervals: bandwidth.schedule(row).map(intervalShape),
    };
  },
};

interface LimitShape {
  readonly AverageUploadRateLimitInBitsPerSec?: number | undefined;
  readonly AverageDownloadRateLimitInBitsPerSec?: number | undefined;
}

interface Limits {
  readonly uploadBitsPerSecond?: number;
  readonly downloadBitsPerSecond?: number;
}

function isType(type: string | undefined): type is BandwidthType {
  return type === "UPLOAD" || type === "DOWNLOAD" || type === "ALL";
}

function limitsOf(shape: LimitShape): Limits {
  const { AverageUploadRateLimitInBitsPerSec: upload, AverageDownloadRateLimitInBitsPerSec: download } =
    shape;
  return {
    ...(upload !== undefined && { uploadBitsPerSecond: upload }),
    ...(download !== undefined && { downloadBitsPerSecond: download }),
  };
}

function limitShape({ uploadBitsPerSecond, downloadBitsPerSecond }: Limits): LimitShape {
  return {
    ...(uploadBitsPerSecond !== undefined && { AverageUploadRateLimitInBitsPerSec: uploadBitsPerSecond }),
    ...(downloadBitsPerSecond !== undefined && {
      AverageDownloadRateLimitInBitsPerSec: downloadBitsPerSecond,
    }),
  };
}

function intervalOf(shape: BandwidthRateLimitInterval): BandwidthInterval {
  return {
    startHour: shape.StartHourOfDay ?? 0,
    startMinute: shape.StartMinuteOfHour ?? 0,
    endHour: shape.EndHourOfDay ?? 0,
    endMinute: shape.EndMinuteOfHour ?? 0,
    daysOfWeek: [...new Set(shape.DaysOfWeek)].sort((a, b) => a - b),
    ...limitsOf(shape),
  };
}

function intervalShape(interval: BandwidthInterval): BandwidthRateLimitInterval {
  return {
    StartHourOfDay: interval.startHour,
    StartMinuteOfHour: interval.startMinute,
    EndHourOfDay: interval.endHour,
    EndMinuteOfHour: interval.endMinute,
    DaysOfWeek: [...interval.daysOfWeek],
    ...limitShape(interval),
  };
}
