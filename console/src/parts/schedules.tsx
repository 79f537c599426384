/** When snapshots of a volume are taken by themselves. */
import Alert from "@cloudscape-design/components/alert";
import Box from "@cloudscape-design/components/box";
import Button from "@cloudscape-design/components/button";
import FormField from "@cloudscape-design/components/form-field";
import Header from "@cloudscape-design/components/header";
import Input from "@cloudscape-design/components/input";
import Select from "@cloudscape-design/components/select";
import SpaceBetween from "@cloudscape-design/components/space-between";
import StatusIndicator from "@cloudscape-design/components/status-indicator";
import Toggle from "@cloudscape-design/components/toggle";
import { useQuery, useQueryClient } from "@tanstack/react-query";
import { type ReactNode, useState } from "react";
import { CALM_MS, type Volume } from "../api/queries.ts";
import { useClients, useSignedIn } from "../session/context.tsx";
import { Confirm } from "./confirm.tsx";
import { FormDialog } from "./form-dialog.tsx";
import { plural, time } from "./format.ts";
import { PageLink } from "./links.tsx";
import { List } from "./list.tsx";
import { useNotices } from "./notices.tsx";
import { Problem } from "./problem.tsx";

interface Schedule {
  readonly ScheduleId: string;
  readonly Name: string;
  readonly Cron?: string;
  readonly StartAt?: number;
  readonly RecurrenceInHours?: number;
  readonly Timezone?: string;
  readonly Description: string;
  readonly Enabled: boolean;
  readonly NextRunTime?: number;
  readonly LastRunTime?: number;
  readonly LastSnapshotId?: string;
  readonly MissedRuns: number;
  readonly Problem?: string;
}

const at = (seconds: number | undefined) =>
  time(seconds === undefined ? undefined : new Date(seconds * 1000));

function rhythm({ Cron, StartAt = 0, RecurrenceInHours }: Schedule): string {
  return Cron ?? `every ${plural(RecurrenceInHours ?? 0, "hour")}, from ${StartAt}:00`;
}

export function Schedules({ volume }: { volume: Volume }): ReactNode {
  const { own } = useClients();
  const { canChange } = useSignedIn();
  const queryClient = useQueryClient();
  const [edited, setEdited] = useState<Schedule | "new">();
  const [deleted, setDeleted] = useState<Schedule>();
  const [selectedId, setSelectedId] = useState<string>();
  const queryKey = ["schedules", volume.arn];
  const schedules = useQuery({
    queryKey,
    refetchInterval: CALM_MS,
    queryFn: async () =>
      (await own<{ Schedules: Schedule[] }>("ListSnapshotSchedules", { VolumeARN: volume.arn })).Schedules,
  });
  const selected = schedules.data?.find(({ ScheduleId }) => ScheduleId === selectedId);
  const isOwn = selected?.Cron !== undefined;
  if (schedules.error !== null && schedules.data === undefined) {
    return <Problem what="The schedules" error={schedules.error} retry={schedules.refetch} />;
  }
  return (
    <>
      <List
        items={schedules.data ?? []}
        loading={schedules.isPending}
        loadingText="Loading the schedules"
        trackBy="ScheduleId"
        selectionType="single"
        selectedItems={selected === undefined ? [] : [selected]}
        onSelectionChange={({ detail }) => setSelectedId(detail.selectedItems[0]?.ScheduleId)}
        ariaLabels={{
          tableLabel: "Schedules",
          selectionGroupLabel: "Choose a schedule",
          itemSelectionLabel: (_, schedule) => `Choose ${schedule.Name} ${rhythm(schedule)}`,
        }}
        columnDefinitions={[
          {
            id: "name",
            header: "Name",
            sortingField: "Name",
            isRowHeader: true,
            cell: ({ Name, Description }) => (Name === "" ? Description : Name),
          },
          { id: "rhythm", header: "When", cell: rhythm },
          { id: "zone", header: "Time zone", cell: ({ Timezone }) => Timezone ?? "the gateway’s" },
          {
            id: "state",
            header: "Status",
            cell: ({ Enabled, Problem: problem }) =>
              problem !== undefined ? (
                <StatusIndicator type="error">{problem}</StatusIndicator>
              ) : Enabled ? (
                <StatusIndicator type="success">On</StatusIndicator>
              ) : (
                <StatusIndicator type="stopped">Paused</StatusIndicator>
              ),
          },
          {
            id: "next",
            header: "Next",
            sortingField: "NextRunTime",
            cell: ({ NextRunTime }) => at(NextRunTime),
          },
          {
            id: "last",
            header: "Last",
            sortingField: "LastRunTime",
            cell: ({ LastRunTime, LastSnapshotId }) =>
              LastSnapshotId === undefined ? (
                at(LastRunTime)
              ) : (
                <PageLink to={`/snapshots/${LastSnapshotId}`}>{at(LastRunTime)}</PageLink>
              ),
          },
        ]}
        header={
          <Header
            counter={schedules.data === undefined ? "" : `(${schedules.data.length})`}
            description="Snapshots that are taken by themselves. What was due while the gateway was off is made up for once."
            actions={
              <SpaceBetween direction="horizontal" size="xs">
                <Button disabled={!isOwn || !canChange} onClick={() => setDeleted(selected)}>
                  Delete
                </Button>
                <Button disabled={!isOwn || !canChange} onClick={() => setEdited(selected)}>
                  Edit
                </Button>
                <Button variant="primary" disabled={!canChange} onClick={() => setEdited("new")}>
                  Add a schedule
                </Button>
              </SpaceBetween>
            }
          >
            Schedules
          </Header>
        }
        empty={
          <Box textAlign="center" padding="l">
            <SpaceBetween size="s">
              <Box variant="h3">No schedule yet</Box>
              <Box color="text-body-secondary">
                Snapshots cost only what has changed: one every hour is a good beginning.
              </Box>
            </SpaceBetween>
          </Box>
        }
      />
      {edited !== undefined && (
        <ScheduleDialog
          volume={volume}
          schedule={edited === "new" ? undefined : edited}
          onClose={() => setEdited(undefined)}
        />
      )}
      {deleted !== undefined && (
        <Confirm
          header="Delete this schedule?"
          action="Delete"
          onClose={() => setDeleted(undefined)}
          run={async () => {
            await own("DeleteSnapshotSchedule", { VolumeARN: volume.arn, ScheduleId: deleted.ScheduleId });
            await queryClient.invalidateQueries({ queryKey });
          }}
        >
          <Box>
            No more snapshots of {volume.name} are taken by “{deleted.Name}” ({rhythm(deleted)}). Those that
            it has made stay.
          </Box>
        </Confirm>
      )}
    </>
  );
}

const RHYTHMS = [
  { value: "0 * * * *", label: "Every hour" },
  { value: "0 */4 * * *", label: "Every 4 hours" },
  { value: "0 3 * * *", label: "Every day at 3:00" },
  { value: "0 3 * * 1-5", label: "Monday to Friday at 3:00" },
  { value: "0 3 * * 0", label: "Every Sunday at 3:00" },
  { value: "own", label: "By a cron expression" },
];

function ScheduleDialog(props: {
  volume: Volume;
  schedule: Schedule | undefined;
  onClose: () => void;
}): ReactNode {
  const { volume, schedule, onClose } = props;
  const { own } = useClients();
  const notices = useNotices();
  const queryClient = useQueryClient();
  const known = RHYTHMS.find(({ value }) => value === (schedule?.Cron ?? "0 * * * *"));
  const [choice, setChoice] = useState(known?.value ?? "own");
  const [cron, setCron] = useState(schedule?.Cron ?? "");
  const [name, setName] = useState(schedule?.Name ?? "");
  const [zone, setZone] = useState(schedule?.Timezone ?? Intl.DateTimeFormat().resolvedOptions().timeZone);
  const [isOn, setOn] = useState(schedule?.Enabled ?? true);
  const [tried, setTried] = useState(false);
  const text = choice === "own" ? cron.trim() : choice;
  const cronProblem =
    text.split(/\s+/).length < 5 ? "Minute, hour, day, month and weekday, such as 30 2 * * 1." : undefined;
  const nameProblem = name.trim() === "" ? "Its snapshots get this name as their description." : undefined;

  async function submit(): Promise<boolean> {
    setTried(true);
    if (cronProblem !== undefined || nameProblem !== undefined) return false;
    await own("PutSnapshotSchedule", {
      VolumeARN: volume.arn,
      Cron: text,
      Name: name.trim(),
      SnapshotDescription: name.trim(),
      Enabled: isOn,
      ...(schedule !== undefined && { ScheduleId: schedule.ScheduleId }),
      ...(zone.trim() !== "" && { Timezone: zone.trim() }),
    });
    await queryClient.invalidateQueries({ queryKey: ["schedules", volume.arn] });
    notices.succeeded(`The schedule “${name.trim()}” is set`);
    return true;
  }

  return (
    <FormDialog
      header={schedule === undefined ? `Schedule snapshots of ${volume.name}` : "Edit the schedule"}
      action="Save"
      submit={submit}
      onClose={onClose}
    >
      <FormField
        label="Name"
        errorText={tried ? nameProblem : undefined}
        constraintText="Also the description of its snapshots."
      >
        <Input value={name} autoFocus placeholder="Hourly" onChange={({ detail }) => setName(detail.value)} />
      </FormField>
      <FormField label="When">
        <Select
          selectedOption={RHYTHMS.find(({ value }) => value === choice) ?? null}
          options={RHYTHMS}
          onChange={({ detail }) => setChoice(detail.selectedOption.value ?? "own")}
        />
      </FormField>
      {choice === "own" && (
        <FormField
          label="Cron expression"
          errorText={tried ? cronProblem : undefined}
          constraintText="Minute, hour, day of the month, month, day of the week."
        >
          <Input value={cron} placeholder="30 2 * * 1" onChange={({ detail }) => setCron(detail.value)} />
        </FormField>
      )}
      <FormField
        label="Time zone"
        constraintText="Such as Europe/Berlin or GMT+1:00; the gateway’s own where it is empty."
      >
        <Input value={zone} onChange={({ detail }) => setZone(detail.value)} />
      </FormField>
      <Toggle checked={isOn} onChange={({ detail }) => setOn(detail.checked)}>
        Take snapshots
      </Toggle>
      {!isOn && <Alert type="info">Paused: nothing is taken until it is switched on again.</Alert>}
    </FormDialog>
  );
}
