/** What is set of a gateway besides its name, kind and time zone: one JSON text in its row. */
import type { GatewayRow } from "../catalog/schema.ts";

/** A limit on what goes to and comes from the bucket, on some days between two times. */
export interface BandwidthInterval {
  readonly startHour: number;
  readonly startMinute: number;
  readonly endHour: number;
  /** The minute belongs to the interval. */
  readonly endMinute: number;
  /** 0: Sunday. */
  readonly daysOfWeek: readonly number[];
  readonly uploadBitsPerSecond?: number;
  readonly downloadBitsPerSecond?: number;
}

/** When the gateway may be down for a moment: weekly, or monthly. */
export interface MaintenanceWindow {
  readonly hourOfDay: number;
  readonly minuteOfHour: number;
  readonly dayOfWeek?: number;
  readonly dayOfMonth?: number;
}

/** The last check of whether the gateway can work. */
export interface MonitorTest {
  readonly status: "PENDING" | "COMPLETE" | "FAILED";
  readonly startedAtMs: number;
  readonly reason?: string;
}

export type UpdatePolicy = "ALL_VERSIONS" | "EMERGENCY_VERSIONS_ONLY";

export interface GatewaySettings {
  readonly bandwidth?: readonly BandwidthInterval[];
  readonly maintenance?: MaintenanceWindow;
  readonly updatePolicy?: UpdatePolicy;
  readonly logGroupArn?: string;
  readonly capacity?: string;
  /** `scrypt$salt$hash`, both base64. */
  readonly consolePasswordHash?: string;
  readonly monitorTest?: MonitorTest;
  /** The key that the gateway was activated with, and by what: the same request again gets the same answer. */
  readonly activation?: { readonly key: string; readonly fingerprint: string };
}

export function readSettings(row: GatewayRow): GatewaySettings {
  return JSON.parse(row.settings) as GatewaySettings;
}

/** The row's settings with these changes; what is undefined in them goes. */
export function changedSettings(
  row: GatewayRow,
  change: { [K in keyof GatewaySettings]?: GatewaySettings[K] | undefined },
): string {
  return JSON.stringify({ ...readSettings(row), ...change });
}

/** When a gateway that nobody has given a window may be down: in the night of its zone, spread over the week by its id. */
export function maintenanceOf(row: GatewayRow): MaintenanceWindow {
  const spread = Number.parseInt(row.id.slice(-6), 16);
  return (
    readSettings(row).maintenance ?? {
      hourOfDay: spread % 6,
      minuteOfHour: Math.floor(spread / 6) % 60,
      dayOfWeek: Math.floor(spread / 360) % 7,
    }
  );
}
