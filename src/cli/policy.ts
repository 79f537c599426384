/** `sluicegate policy dry-run`. */
import { ApiClient } from "./client.ts";
import { print } from "./output.ts";

interface Preview {
  readonly Policies: readonly {
    readonly PolicyId: string;
    readonly Description: string;
    readonly State: string;
    readonly Schedules: readonly {
      readonly Name: string;
      readonly NextRunTime?: number;
      readonly MissedRuns: number;
      readonly Problem?: string;
      readonly Creates: readonly { readonly VolumeARNs: readonly string[] }[];
      readonly Deletes: readonly {
        readonly SnapshotId: string;
        readonly VolumeId: string;
        readonly StartTime: number;
        readonly Reason: string;
        readonly KeptByLock: boolean;
      }[];
    }[];
  }[];
}

/** Says what a lifecycle policy, or each of them, would make and delete the next time. Nothing is done. */
export async function policyDryRun(
  policyId: string | undefined,
  choice: { readonly data: string; readonly region: string },
): Promise<void> {
  const client = ApiClient.of(choice.data, choice.region);
  const input = policyId === undefined ? {} : { PolicyId: policyId };
  const { Policies } = await client.callOwn<Preview>("DescribePolicyPreview", input);
  print(Policies, () => linesOf(Policies));
}

function linesOf(policies: Preview["Policies"]): string[] {
  const lines: string[] = [];
  const say = (line: string) => lines.push(line);
  for (const policy of policies) {
    say(`${policy.PolicyId}  ${policy.State}  ${policy.Description}`);
    for (const { Name, NextRunTime, MissedRuns, Problem, Creates, Deletes } of policy.Schedules) {
      const next = NextRunTime === undefined ? "never" : timeOf(NextRunTime);
      say(`  ${Name}: next ${next}${MissedRuns > 0 ? `, ${MissedRuns} runs were missed` : ""}`);
      if (Problem !== undefined) say(`    problem: ${Problem}`);
      for (const { VolumeARNs } of Creates) say(`    make    ${VolumeARNs.map(idOf).join(" + ")}`);
      for (const { SnapshotId, VolumeId, StartTime, Reason, KeptByLock } of Deletes) {
        const what = KeptByLock ? "locked " : "delete ";
        say(`    ${what} ${SnapshotId} of ${VolumeId}, ${timeOf(StartTime)}: ${Reason}`);
      }
    }
  }
  return lines;
}

function timeOf(seconds: number): string {
  return new Date(seconds * 1000).toISOString();
}

function idOf(arn: string): string {
  return arn.slice(arn.lastIndexOf("/") + 1).toLowerCase();
}
