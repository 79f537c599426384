/** `sluicegate doctor`: looks, says, and advises. */
import { existsSync } from "node:fs";
import { join } from "node:path";
import { stayAlive } from "../platform/clock.ts";
import { examine, type Finding } from "../server-doctor.ts";
import { ApiClient, ENDPOINT_FILE } from "./client.ts";
import { ClientError, EXIT } from "./failure.ts";
import { kebab, readStartOptions } from "./options.ts";
import { print } from "./output.ts";

interface HealthShape {
  readonly Checks: readonly {
    readonly Name: string;
    readonly Status: Finding["status"];
    readonly Message: string;
  }[];
  readonly Alarms: readonly { readonly Name: string; readonly Severity: string; readonly Message: string }[];
}

const MARKS: Readonly<Record<Finding["status"], string>> = {
  ok: "ok       ",
  warning: "warning  ",
  failing: "FAILING  ",
};

/** Takes the options that the gateway is started with, since they are what is examined. */
export async function doctor(flags: Record<string, string>, version: string): Promise<void> {
  const { config, ...given } = kebab(flags);
  const options = readStartOptions(given, process.env, config);
  const letGo = stayAlive();
  try {
    const findings: Finding[] = [
      { check: "version", status: "ok", message: `Sluicegate ${version}` },
      ...(await examine(options)),
      ...(await healthOf(options.dataDir, options.region)),
    ];
    print(findings, () =>
      findings.flatMap(({ check, status, message, advice }) => [
        `${MARKS[status]}${check}: ${message}`,
        ...(advice === undefined ? [] : [`         ${advice}`]),
      ]),
    );
    if (findings.some(({ status }) => status !== "ok")) process.exitCode = EXIT.amiss;
  } finally {
    letGo();
  }
}

/** What the running gateway says of itself. */
async function healthOf(dataDir: string, region: string): Promise<Finding[]> {
  if (!existsSync(join(dataDir, ENDPOINT_FILE))) return [];
  try {
    const { Checks, Alarms } = await ApiClient.of(dataDir, region).callOwn<HealthShape>("DescribeHealth", {});
    return [
      ...Checks.map(({ Name, Status, Message }) => ({
        check: `running ${Name}`,
        status: Status,
        message: Message,
      })),
      ...Alarms.map(
        ({ Severity, Message }): Finding => ({
          check: "alarm",
          status: Severity === "error" ? "failing" : "warning",
          message: Message,
        }),
      ),
    ];
  } catch (error) {
    if (!(error instanceof ClientError)) throw error;
    // One that was killed leaves its address behind; ports and the like were looked at above.
    return error.exitCode === EXIT.unreachable
      ? [{ check: "running", status: "ok", message: "no gateway is running on this folder now" }]
      : [{ check: "running", status: "failing", message: error.message }];
  }
}
