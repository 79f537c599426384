/** Makes a lifecycle policy, or changes one. What the form does not show of it stays as it is. */
import type { PolicyDetails, Schedule, Tag as TargetTag } from "@aws-sdk/client-dlm";
import Box from "@cloudscape-design/components/box";
import Button from "@cloudscape-design/components/button";
import FormField from "@cloudscape-design/components/form-field";
import Input from "@cloudscape-design/components/input";
import SegmentedControl from "@cloudscape-design/components/segmented-control";
import SpaceBetween from "@cloudscape-design/components/space-between";
import Toggle from "@cloudscape-design/components/toggle";
import { useQueryClient } from "@tanstack/react-query";
import { type ReactNode, useState } from "react";
import { POLICIES_KEY, type Policy, putPolicy, useDlm } from "../api/policies.ts";
import type { Tag } from "../api/queries.ts";
import { FormDialog } from "./form-dialog.tsx";
import { useNotices } from "./notices.tsx";
import { draftOf, type ScheduleDraft, START_DRAFT, scheduleProblems, shapeOf } from "./policy-draft.ts";
import { ScheduleFields } from "./policy-schedule-fields.tsx";
import { areGood, filledIn, TagFields } from "./tags.tsx";

const SCHEDULES_MAX = 4;
const DESCRIPTION_LENGTH_MAX = 500;
/** As the API has it. */
const DESCRIPTION = /^[0-9A-Za-z _-]+$/;

export function PolicyDialog(props: { policy: Policy | undefined; onClose: () => void }): ReactNode {
  const { policy, onClose } = props;
  const dlm = useDlm();
  const notices = useNotices();
  const queryClient = useQueryClient();
  const [description, setDescription] = useState(policy?.description ?? "");
  const [isOn, setOn] = useState(policy?.isEnabled ?? true);
  const [targets, setTargets] = useState(
    policy?.details.ResourceTypes?.includes("INSTANCE") ? "INSTANCE" : "VOLUME",
  );
  const [tags, setTags] = useState<readonly Tag[]>(
    policy === undefined ? [{ key: "backup", value: "daily" }] : (policy.details.TargetTags ?? []).map(tagOf),
  );
  const [schedules, setSchedules] = useState<readonly ScheduleDraft[]>(
    policy === undefined ? [START_DRAFT] : (policy.details.Schedules ?? []).map(draftOf),
  );
  const [tried, setTried] = useState(false);
  const descriptionProblem =
    description.trim() === ""
      ? "Say what the policy is for."
      : description.length > DESCRIPTION_LENGTH_MAX || !DESCRIPTION.test(description.trim())
        ? `Letters, digits, spaces, hyphens and underscores; at most ${DESCRIPTION_LENGTH_MAX}.`
        : undefined;
  const tagsProblem =
    filledIn(tags).length === 0 ? "At least one tag: what has none of them is left alone." : undefined;
  const problems = schedules.map((schedule) => scheduleProblems(schedule, schedules));
  const isGood =
    descriptionProblem === undefined &&
    tagsProblem === undefined &&
    areGood(tags) &&
    problems.every((each) => Object.keys(each).length === 0);

  async function submit(): Promise<boolean> {
    setTried(true);
    if (!isGood) return false;
    await putPolicy(dlm, policy?.id, {
      description: description.trim(),
      isEnabled: isOn,
      details: detailsOf(policy?.details, targets, filledIn(tags), schedules),
    });
    await queryClient.invalidateQueries({ queryKey: POLICIES_KEY });
    notices.succeeded(`The policy “${description.trim()}” is set`);
    return true;
  }

  return (
    <FormDialog
      header={policy === undefined ? "Create a policy" : "Edit the policy"}
      action="Save"
      submit={submit}
      onClose={onClose}
      size="large"
    >
      <FormField label="Description" errorText={tried ? descriptionProblem : undefined}>
        <Input
          value={description}
          autoFocus
          placeholder="Two weeks of daily snapshots"
          onChange={({ detail }) => setDescription(detail.value)}
        />
      </FormField>
      <FormField
        label="What it takes snapshots of"
        description={
          targets === "VOLUME"
            ? "Every volume that has one of these tags, now or later."
            : "All volumes of every gateway that has one of these tags, at one instant."
        }
        errorText={tried ? tagsProblem : undefined}
      >
        <SpaceBetween size="s">
          <SegmentedControl
            label="What it takes snapshots of"
            selectedId={targets}
            options={[
              { id: "VOLUME", text: "Volumes" },
              { id: "INSTANCE", text: "Whole gateways" },
            ]}
            onChange={({ detail }) => setTargets(detail.selectedId)}
          />
          <TagFields tags={tags} onChange={setTags} />
        </SpaceBetween>
      </FormField>
      {schedules.map((schedule, i) => (
        <ScheduleFields
          // biome-ignore lint/suspicious/noArrayIndexKey: a schedule has nothing but its place while it is edited
          key={i}
          number={i + 1}
          schedule={schedule}
          problems={tried ? (problems[i] ?? {}) : {}}
          onChange={(changed) => setSchedules(schedules.map((each, at) => (at === i ? changed : each)))}
          onRemove={
            schedules.length > 1 ? () => setSchedules(schedules.filter((_, at) => at !== i)) : undefined
          }
        />
      ))}
      <Box>
        <Button
          iconName="add-plus"
          formAction="none"
          disabled={schedules.length >= SCHEDULES_MAX}
          onClick={() =>
            setSchedules([...schedules, { ...START_DRAFT, name: `Schedule ${schedules.length + 1}` }])
          }
        >
          Add another schedule
        </Button>
      </Box>
      <Toggle checked={isOn} onChange={({ detail }) => setOn(detail.checked)}>
        Take and delete snapshots
      </Toggle>
    </FormDialog>
  );
}

function tagOf({ Key = "", Value = "" }: TargetTag): Tag {
  return { key: Key, value: Value };
}

function detailsOf(
  before: PolicyDetails | undefined,
  targets: string,
  tags: readonly Tag[],
  schedules: readonly ScheduleDraft[],
): PolicyDetails {
  return {
    ...before,
    PolicyType: "EBS_SNAPSHOT_MANAGEMENT",
    ResourceTypes: [targets === "INSTANCE" ? "INSTANCE" : "VOLUME"],
    TargetTags: tags.map(({ key, value }) => ({ Key: key, Value: value })),
    Schedules: schedules.map((draft): Schedule => shapeOf(draft)),
  };
}
