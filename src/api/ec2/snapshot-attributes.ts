/**
 * DescribeSnapshotAttribute, ModifySnapshotAttribute, ResetSnapshotAttribute: which accounts may make volumes of a
 * snapshot. There is one account here; the list is kept, in the bucket too, for whoever reads it there.
 */
import type {
  CreateVolumePermission,
  DescribeSnapshotAttributeRequest,
  DescribeSnapshotAttributeResult,
  ModifySnapshotAttributeRequest,
  ResetSnapshotAttributeRequest,
} from "@aws-sdk/client-ec2";
import type { Services } from "../../gateway/services.ts";
import type { SnapshotView } from "../../gateway/snapshots.ts";
import { Ec2Error } from "../ec2-error.ts";
import type { Operation } from "../operation.ts";
import { checkedSnapshotId, dryRun, snapshotNotFound } from "./checks.ts";

const PERMISSION = "createVolumePermission";
const EVERYBODY = "all";
const SHARED_MAX = 1000;

export const describeSnapshotAttribute: Operation<
  Services,
  DescribeSnapshotAttributeRequest,
  DescribeSnapshotAttributeResult
> = {
  name: "DescribeSnapshotAttribute",
  async handle({ snapshots }, { SnapshotId, Attribute, DryRun }) {
    const row = await found(snapshots, SnapshotId);
    if (DryRun === true) throw dryRun();
    if (Attribute === "productCodes") return { SnapshotId: row.id, ProductCodes: [] };
    const CreateVolumePermissions = sharedWith(row).map(
      (who): CreateVolumePermission => (who === EVERYBODY ? { Group: EVERYBODY } : { UserId: who }),
    );
    return { SnapshotId: row.id, CreateVolumePermissions };
  },
};

export const modifySnapshotAttribute: Operation<Services, ModifySnapshotAttributeRequest, object> = {
  name: "ModifySnapshotAttribute",
  async handle({ snapshots }, input) {
    const row = await found(snapshots, input.SnapshotId);
    checkAttribute(input.Attribute);
    const { add, remove } = changesOf(input);
    if (add.length + remove.length === 0)
      throw new Ec2Error("MissingParameter", "The request says nobody to add or to remove.");
    if (input.DryRun === true) throw dryRun();
    await snapshots.change(row.id, (now) => {
      const kept = sharedWith(now).filter((who) => !remove.includes(who));
      const shared = [...new Set([...kept, ...add])].sort();
      if (shared.length > SHARED_MAX)
        throw new Ec2Error(
          "InvalidParameterValue",
          `A snapshot is shared with at most ${SHARED_MAX} accounts.`,
        );
      return { shared_with: JSON.stringify(shared) };
    });
    return {};
  },
};

export const resetSnapshotAttribute: Operation<Services, ResetSnapshotAttributeRequest, object> = {
  name: "ResetSnapshotAttribute",
  async handle({ snapshots }, { SnapshotId, Attribute, DryRun }) {
    const row = await found(snapshots, SnapshotId);
    checkAttribute(Attribute);
    if (DryRun === true) throw dryRun();
    await snapshots.change(row.id, () => ({ shared_with: "[]" }));
    return {};
  },
};

/** Whether DescribeSnapshots shows the snapshot to whoever asks for what `user` may restore: an account, `self` or `all`. */
export function isRestorableBy(row: SnapshotView["row"], user: string, accountId: string): boolean {
  if (user === "self" || user === accountId) return true;
  const shared = sharedWith(row);
  return shared.includes(EVERYBODY) || shared.includes(user);
}

function sharedWith(row: SnapshotView["row"]): string[] {
  return JSON.parse(row.shared_with) as string[];
}

async function found(
  snapshots: Services["snapshots"],
  text: string | undefined,
): Promise<SnapshotView["row"]> {
  const id = checkedSnapshotId(text);
  const row = await snapshots.find(id);
  if (row === undefined) throw snapshotNotFound(id);
  return row;
}

function checkAttribute(attribute: string | undefined): void {
  if (attribute === undefined || attribute === PERMISSION) return;
  throw new Ec2Error("InvalidParameterValue", `The attribute ${attribute} can't be changed.`);
}

/** The request has two ways to say it: lists with a kind of operation, or lists to add and to remove. */
function changesOf(input: ModifySnapshotAttributeRequest): { add: string[]; remove: string[] } {
  const { CreateVolumePermission, OperationType, UserIds = [], GroupNames = [] } = input;
  const named = [...UserIds, ...GroupNames.map(groupName)];
  if (named.length > 0 && OperationType === undefined)
    throw new Ec2Error("MissingParameter", "The request must contain the parameter OperationType.");
  const add = [...namesOf(CreateVolumePermission?.Add), ...(OperationType === "add" ? named : [])];
  const remove = [...namesOf(CreateVolumePermission?.Remove), ...(OperationType === "remove" ? named : [])];
  for (const who of [...add, ...remove]) {
    if (who !== EVERYBODY && !/^\d{12}$/.test(who))
      throw new Ec2Error("InvalidUserID.Malformed", `Invalid user id: "${who}"`);
  }
  return { add, remove };
}

function namesOf(permissions: readonly CreateVolumePermission[] | undefined): string[] {
  return (permissions ?? []).flatMap(({ UserId, Group }) => [
    ...(UserId === undefined ? [] : [UserId]),
    ...(Group === undefined ? [] : [groupName(Group)]),
  ]);
}

function groupName(group: string): string {
  if (group === EVERYBODY) return group;
  throw new Ec2Error("InvalidParameterValue", `There is no group ${group}.`);
}
