import type { RetentionIntervalUnitValues } from "@aws-sdk/client-dlm";
import Button from "@cloudscape-design/components/button";
import Checkbox from "@cloudscape-design/components/checkbox";
import ColumnLayout from "@cloudscape-design/components/column-layout";
import Container from "@cloudscape-design/components/container";
import FormField from "@cloudscape-design/components/form-field";
import Header from "@cloudscape-design/components/header";
import Input from "@cloudscape-design/components/input";
import Select from "@cloudscape-design/components/select";
import SpaceBetween from "@cloudscape-design/components/space-between";
import type { ReactNode } from "react";
import type { ScheduleDraft, ScheduleProblems } from "./policy-draft.ts";

const EVERY = [
  ...["1", "2", "3", "4", "6", "8", "12"].map((value) => ({
    value,
    label: value === "1" ? "Every hour" : `Every ${value} hours`,
  })),
  { value: "24", label: "Every day" },
  { value: "cron", label: "By a cron expression" },
];
const KEEP = [
  { value: "count", label: "The newest so many of each volume" },
  { value: "age", label: "For a time" },
];
const UNITS = ["DAYS", "WEEKS", "MONTHS", "YEARS"].map((value) => ({ value, label: value.toLowerCase() }));

/** One schedule of a policy. */
export function ScheduleFields(props: {
  number: number;
  schedule: ScheduleDraft;
  problems: ScheduleProblems;
  onChange: (schedule: ScheduleDraft) => void;
  onRemove: (() => void) | undefined;
}): ReactNode {
  const { number, schedule, problems, onChange, onRemove } = props;
  const set = (change: Partial<ScheduleDraft>) => onChange({ ...schedule, ...change });
  return (
    <Container
      header={
        <Header
          variant="h3"
          actions={
            onRemove !== undefined && (
              <Button formAction="none" ariaLabel={`Remove schedule ${number}`} onClick={onRemove}>
                Remove
              </Button>
            )
          }
        >
          Schedule {number}
        </Header>
      }
    >
      <SpaceBetween size="m">
        <ColumnLayout columns={3}>
          <FormField label="Name of the schedule" errorText={problems.name}>
            <Input value={schedule.name} onChange={({ detail }) => set({ name: detail.value })} />
          </FormField>
          <FormField label="When">
            <Select
              selectedOption={EVERY.find(({ value }) => value === schedule.every) ?? null}
              options={EVERY}
              onChange={({ detail }) => set({ every: detail.selectedOption.value ?? "24" })}
            />
          </FormField>
          {schedule.every === "cron" ? (
            <FormField label="Cron expression" errorText={problems.cron} constraintText="In UTC.">
              <Input
                value={schedule.cron}
                placeholder="30 2 ? * MON *"
                onChange={({ detail }) => set({ cron: detail.value })}
              />
            </FormField>
          ) : (
            <FormField
              label={schedule.every === "24" ? "At" : "Beginning at"}
              errorText={problems.startAt}
              constraintText="In UTC."
            >
              <Input
                value={schedule.startAt}
                placeholder="03:00"
                onChange={({ detail }) => set({ startAt: detail.value })}
              />
            </FormField>
          )}
        </ColumnLayout>
        <ColumnLayout columns={3}>
          <FormField label="How long they are kept">
            <Select
              selectedOption={KEEP.find(({ value }) => value === schedule.keepBy) ?? null}
              options={KEEP}
              onChange={({ detail }) =>
                set({ keepBy: detail.selectedOption.value === "age" ? "age" : "count" })
              }
            />
          </FormField>
          {schedule.keepBy === "count" ? (
            <FormField label="How many" errorText={problems.count}>
              <Input
                value={schedule.count}
                inputMode="numeric"
                onChange={({ detail }) => set({ count: detail.value })}
              />
            </FormField>
          ) : (
            <>
              <FormField label="How long" errorText={problems.age}>
                <Input
                  value={schedule.age}
                  inputMode="numeric"
                  onChange={({ detail }) => set({ age: detail.value })}
                />
              </FormField>
              <FormField label="Unit">
                <Select
                  selectedOption={UNITS.find(({ value }) => value === schedule.unit) ?? null}
                  options={UNITS}
                  onChange={({ detail }) =>
                    set({ unit: detail.selectedOption.value as RetentionIntervalUnitValues })
                  }
                />
              </FormField>
            </>
          )}
        </ColumnLayout>
        <Checkbox checked={schedule.copyTags} onChange={({ detail }) => set({ copyTags: detail.checked })}>
          The snapshots get the tags of their volume
        </Checkbox>
      </SpaceBetween>
    </Container>
  );
}
