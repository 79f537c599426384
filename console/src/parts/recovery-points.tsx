/** The moments of a volume in the bucket: each can be restored, or given a name. */

import { useCollection } from "@cloudscape-design/collection-hooks";
import Alert from "@cloudscape-design/components/alert";
import Box from "@cloudscape-design/components/box";
import Button from "@cloudscape-design/components/button";
import FormField from "@cloudscape-design/components/form-field";
import Header from "@cloudscape-design/components/header";
import Input from "@cloudscape-design/components/input";
import Pagination from "@cloudscape-design/components/pagination";
import SpaceBetween from "@cloudscape-design/components/space-between";
import { useQuery, useQueryClient } from "@tanstack/react-query";
import { type ReactNode, useState } from "react";
import { CALM_MS, type Volume } from "../api/queries.ts";
import { useClients, useSignedIn } from "../session/context.tsx";
import { FormDialog } from "./form-dialog.tsx";
import { ago, bytes, time } from "./format.ts";
import { PageLink, useGo } from "./links.tsx";
import { List } from "./list.tsx";
import { useNotices } from "./notices.tsx";
import { IntervalDialog, settingsWords, usePointSettings } from "./point-settings.tsx";
import { Problem } from "./problem.tsx";
import { RestoreByTimeDialog } from "./restore-by-time.tsx";

interface Point {
  readonly Time: number;
  readonly VolumeSizeInBytes: number;
  readonly VolumeUsageInBytes: number;
}

const PAGE_SIZE = 20;
const DESCRIPTION_LENGTH_MAX = 255;

export function RecoveryPoints({ volume }: { volume: Volume }): ReactNode {
  const { own } = useClients();
  const { canChange } = useSignedIn();
  const [dialog, setDialog] = useState<"restore" | "name" | "time" | "interval">();
  const points = useQuery({
    queryKey: ["recovery-points", volume.arn],
    refetchInterval: CALM_MS,
    queryFn: async () =>
      (await own<{ RecoveryPoints: Point[] }>("ListRecoveryPoints", { VolumeARN: volume.arn }))
        .RecoveryPoints,
  });
  const settings = usePointSettings(volume.arn);
  const { items, collectionProps, paginationProps } = useCollection(points.data ?? [], {
    pagination: { pageSize: PAGE_SIZE },
    sorting: {},
    selection: { trackBy: (point) => String(point.Time) },
  });
  const selected = points.data?.find(({ Time }) => Time === collectionProps.selectedItems?.[0]?.Time);
  if (points.error !== null) {
    return <Problem what="The recovery points" error={points.error} retry={points.refetch} />;
  }
  return (
    <>
      <List
        {...collectionProps}
        items={items}
        selectionType="single"
        loading={points.isPending}
        loadingText="Reading the bucket"
        ariaLabels={{
          tableLabel: "Recovery points",
          selectionGroupLabel: "Choose a moment",
          itemSelectionLabel: (_, { Time }) => `Choose ${time(new Date(Time * 1000))}`,
        }}
        columnDefinitions={[
          {
            id: "time",
            header: "Moment",
            sortingField: "Time",
            isRowHeader: true,
            cell: ({ Time }) => time(new Date(Time * 1000)),
          },
          { id: "ago", header: "Age", cell: ({ Time }) => ago(new Date(Time * 1000)) },
          {
            id: "size",
            header: "Size",
            sortingField: "VolumeSizeInBytes",
            cell: ({ VolumeSizeInBytes }) => bytes(VolumeSizeInBytes),
          },
          {
            id: "used",
            header: "Data",
            sortingField: "VolumeUsageInBytes",
            cell: ({ VolumeUsageInBytes }) => bytes(VolumeUsageInBytes),
          },
        ]}
        header={
          <Header
            counter={points.data === undefined ? "" : `(${points.data.length})`}
            description={
              <>
                Every moment of the volume that is in the bucket and can be restored exactly, with a name or
                without. {settings.data !== undefined && settingsWords(settings.data)}
              </>
            }
            actions={
              <SpaceBetween direction="horizontal" size="xs">
                <Button disabled={!canChange || points.data?.length === 0} onClick={() => setDialog("time")}>
                  Restore as of a time
                </Button>
                <Button disabled={!canChange} onClick={() => setDialog("interval")}>
                  How often
                </Button>
                <Button disabled={!canChange || selected === undefined} onClick={() => setDialog("name")}>
                  Keep as snapshot
                </Button>
                <Button
                  variant="primary"
                  disabled={!canChange || selected === undefined}
                  onClick={() => setDialog("restore")}
                >
                  Restore
                </Button>
              </SpaceBetween>
            }
          >
            Recovery points
          </Header>
        }
        pagination={<Pagination {...paginationProps} />}
        empty={
          <Box textAlign="center" padding="l">
            <SpaceBetween size="s">
              <Box variant="h3">No moment of this volume is in the bucket yet</Box>
              <Box color="text-body-secondary">
                {volume.kind === "cached"
                  ? "The first one comes within a minute of the first write."
                  : "A stored volume gets them once you say how often, or with each snapshot."}
              </Box>
            </SpaceBetween>
          </Box>
        }
      />
      {selected !== undefined && (dialog === "name" || dialog === "restore") && (
        <NamePointDialog
          volume={volume}
          point={selected}
          isForRestore={dialog === "restore"}
          onClose={() => setDialog(undefined)}
        />
      )}
      {dialog === "time" && (
        <RestoreByTimeDialog
          volume={volume}
          points={points.data ?? []}
          onClose={() => setDialog(undefined)}
        />
      )}
      {dialog === "interval" && <IntervalDialog volume={volume} onClose={() => setDialog(undefined)} />}
    </>
  );
}

/** Gives the moment a name, which keeps it; to restore it, the volume is then made of that snapshot. */
function NamePointDialog(props: {
  volume: Volume;
  point: Point;
  isForRestore: boolean;
  onClose: () => void;
}): ReactNode {
  const { volume, point, isForRestore, onClose } = props;
  const { own } = useClients();
  const go = useGo();
  const notices = useNotices();
  const queryClient = useQueryClient();
  const moment = time(new Date(point.Time * 1000));
  const [description, setDescription] = useState(`${volume.name} as of ${moment}`);
  const problem =
    description.trim() === "" || description.length > DESCRIPTION_LENGTH_MAX
      ? `1 to ${DESCRIPTION_LENGTH_MAX} characters.`
      : undefined;

  async function submit(): Promise<boolean> {
    if (problem !== undefined) return false;
    const { SnapshotId } = await own<{ SnapshotId: string }>("CreateSnapshotFromRecoveryPoint", {
      VolumeARN: volume.arn,
      Time: point.Time,
      SnapshotDescription: description.trim(),
    });
    await queryClient.invalidateQueries({ queryKey: ["snapshots"] });
    if (isForRestore) {
      go(`/volumes/create?snapshot=${SnapshotId}`);
      return true;
    }
    notices.succeeded(
      "The moment is kept as a snapshot",
      <PageLink to={`/snapshots/${SnapshotId}`} color="inverted">
        {SnapshotId}
      </PageLink>,
    );
    return true;
  }

  return (
    <FormDialog
      header={isForRestore ? `Restore ${volume.name} as of ${moment}` : "Keep as snapshot"}
      action={isForRestore ? "Go on" : "Keep"}
      submit={submit}
      onClose={onClose}
    >
      {isForRestore && (
        <Alert type="info">
          The moment becomes a snapshot, and then a new volume is made of it. {volume.name} itself stays as it
          is.
        </Alert>
      )}
      <FormField label="Description of the snapshot" errorText={problem}>
        <Input value={description} autoFocus onChange={({ detail }) => setDescription(detail.value)} />
      </FormField>
    </FormDialog>
  );
}
