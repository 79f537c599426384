/** What a policy would do the next time. */
import Alert from "@cloudscape-design/components/alert";
import Box from "@cloudscape-design/components/box";
import Container from "@cloudscape-design/components/container";
import Header from "@cloudscape-design/components/header";
import SpaceBetween from "@cloudscape-design/components/space-between";
import Spinner from "@cloudscape-design/components/spinner";
import StatusIndicator from "@cloudscape-design/components/status-indicator";
import type { ReactNode } from "react";
import { type Policy, type PolicyPreview, usePolicyPreview } from "../api/policies.ts";
import { useVolumes } from "../api/queries.ts";
import { plural, time } from "./format.ts";
import { PageLink } from "./links.tsx";
import { List } from "./list.tsx";
import { Problem } from "./problem.tsx";

const at = (seconds: number | undefined) =>
  time(seconds === undefined ? undefined : new Date(seconds * 1000));

type ScheduleOf = PolicyPreview["Schedules"][number];

export function PolicyPreviewBox({ policy }: { policy: Policy }): ReactNode {
  const preview = usePolicyPreview(policy.id);
  return (
    <Container
      header={
        <Header
          variant="h2"
          description="Nothing of it is done yet: this is what comes of the policy as it stands."
        >
          What “{policy.description}” does next
        </Header>
      }
    >
      {preview.error !== null ? (
        <Problem what="The preview" error={preview.error} retry={preview.refetch} />
      ) : preview.data === undefined ? (
        <Spinner />
      ) : (
        <SpaceBetween size="l">
          {!policy.isEnabled && (
            <Alert type="info">
              The policy is paused: it takes and deletes nothing until it is on again.
            </Alert>
          )}
          {preview.data.Schedules.map((schedule) => (
            <Schedule key={schedule.Name} schedule={schedule} isEnabled={policy.isEnabled} />
          ))}
        </SpaceBetween>
      )}
    </Container>
  );
}

function Schedule({ schedule, isEnabled }: { schedule: ScheduleOf; isEnabled: boolean }): ReactNode {
  const volumes = useVolumes().data ?? [];
  const byId = new Map(volumes.map((volume) => [volume.id, volume]));
  const nameOf = (id: string) => byId.get(id.toLowerCase())?.name ?? id;
  const made = schedule.Creates.flatMap(({ VolumeARNs }) => VolumeARNs).map(
    (arn) => arn.split("/volume/")[1]?.toLowerCase() ?? arn,
  );
  return (
    <SpaceBetween size="s">
      <Box variant="h3">{schedule.Name}</Box>
      {schedule.Problem !== undefined && <Alert type="error">{schedule.Problem}</Alert>}
      {schedule.MissedRuns > 0 && (
        <StatusIndicator type="warning">
          {plural(schedule.MissedRuns, "run")} missed while the gateway could not
        </StatusIndicator>
      )}
      <Box>
        {isEnabled && (
          <>
            Next at {at(schedule.NextRunTime)}, last at {at(schedule.LastRunTime)}.{" "}
          </>
        )}
        {made.length === 0 ? (
          <b>No volume has such a tag: nothing would be taken.</b>
        ) : (
          <>
            Takes a snapshot of{" "}
            {made.map((id, i) => (
              <span key={id}>
                {i > 0 && ", "}
                <PageLink to={`/volumes/${id}`}>{nameOf(id)}</PageLink>
              </span>
            ))}
            .
          </>
        )}
      </Box>
      <List
        variant="embedded"
        items={schedule.Deletes}
        trackBy="SnapshotId"
        ariaLabels={{ tableLabel: `What ${schedule.Name} would delete` }}
        columnDefinitions={[
          {
            id: "snapshot",
            header: "Would be deleted",
            isRowHeader: true,
            cell: ({ SnapshotId }) => <PageLink to={`/snapshots/${SnapshotId}`}>{SnapshotId}</PageLink>,
          },
          { id: "volume", header: "Of", cell: ({ VolumeId }) => nameOf(VolumeId) },
          { id: "taken", header: "Taken", cell: ({ StartTime }) => at(StartTime) },
          {
            id: "reason",
            header: "Why",
            cell: ({ Reason, KeptByLock }) =>
              KeptByLock ? <StatusIndicator type="info">Stays: it is locked</StatusIndicator> : Reason,
          },
        ]}
        empty={<Box color="text-body-secondary">Would delete nothing.</Box>}
      />
    </SpaceBetween>
  );
}
