import type { ActivityLog } from "./activity-log.ts";
import type { Health } from "./health.ts";
import type { Metrics } from "./metrics.ts";
import type { VaultFigures } from "./sample.ts";

/** What the API's handlers get beside the domain: how the gateway does, and what was done with it. */
export interface AdminServices {
  readonly metrics: Metrics;
  readonly activity: ActivityLog;
  readonly health: Health;
  /** How the upkeep of the vault went. */
  readonly vaultFigures: () => VaultFigures;
}
