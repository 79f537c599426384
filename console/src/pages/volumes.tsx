import { useCollection } from "@cloudscape-design/collection-hooks";
import Box from "@cloudscape-design/components/box";
import Button from "@cloudscape-design/components/button";
import ButtonDropdown from "@cloudscape-design/components/button-dropdown";
import Header from "@cloudscape-design/components/header";
import Pagination from "@cloudscape-design/components/pagination";
import SpaceBetween from "@cloudscape-design/components/space-between";
import type { TableProps } from "@cloudscape-design/components/table";
import TextFilter from "@cloudscape-design/components/text-filter";
import { type ReactNode, useState } from "react";
import { useVolumeStates, type VolumeState } from "../api/metrics.ts";
import { useVolumes, type Volume } from "../api/queries.ts";
import { usePlace } from "../layout.tsx";
import { ago, bytes, duration, time } from "../parts/format.ts";
import { PageLink, useGo } from "../parts/links.tsx";
import { List } from "../parts/list.tsx";
import { Problem } from "../parts/problem.tsx";
import { VolumeStatus } from "../parts/status.tsx";
import { isServed, volumeActions } from "../parts/volume-actions.ts";
import { CreateSnapshotDialog, type DialogName, VolumeDialogs } from "../parts/volume-dialogs.tsx";
import { useSignedIn } from "../session/context.tsx";

/** A volume, and how it stands. */
type Row = Volume & VolumeState;

const COLUMNS: TableProps.ColumnDefinition<Row>[] = [
  {
    id: "name",
    header: "Name",
    sortingField: "name",
    isRowHeader: true,
    cell: (volume) => (
      <span className="words">
        <PageLink to={`/volumes/${volume.id}`}>{volume.name}</PageLink>
      </span>
    ),
  },
  {
    id: "status",
    header: "Status",
    sortingField: "status",
    cell: (volume) => <VolumeStatus volume={volume} />,
  },
  {
    id: "kind",
    header: "Kind",
    sortingField: "kind",
    cell: ({ kind }) => (kind === "stored" ? "Stored" : "Cached"),
  },
  { id: "size", header: "Size", sortingField: "sizeBytes", cell: ({ sizeBytes }) => bytes(sizeBytes) },
  { id: "used", header: "Used", sortingField: "usedBytes", cell: ({ usedBytes }) => bytes(usedBytes) },
  {
    id: "snapshot",
    header: "Last snapshot",
    sortingField: "sinceSnapshotSeconds",
    cell: ({ sinceSnapshotSeconds }) =>
      sinceSnapshotSeconds === undefined ? "–" : `${duration(sinceSnapshotSeconds)} ago`,
  },
  {
    id: "unsaved",
    header: "Not in the bucket yet",
    sortingField: "unsavedBytes",
    cell: ({ unsavedBytes }) => (unsavedBytes === undefined ? "–" : bytes(unsavedBytes)),
  },
  { id: "id", header: "Volume ID", sortingField: "id", cell: ({ id }) => <span className="code">{id}</span> },
  {
    id: "created",
    header: "Created",
    sortingComparator: (a, b) => (a.createdAt?.getTime() ?? 0) - (b.createdAt?.getTime() ?? 0),
    cell: ({ createdAt }) => (
      <span title={time(createdAt)}>{createdAt === undefined ? "–" : ago(createdAt)}</span>
    ),
  },
];

const PAGE_SIZE = 25;
const NO_STATE: VolumeState = { sinceSnapshotSeconds: undefined, unsavedBytes: undefined };

export function Volumes(): ReactNode {
  usePlace({ text: "Volumes" });
  const { canChange } = useSignedIn();
  const go = useGo();
  const volumes = useVolumes();
  const [dialog, setDialog] = useState<DialogName>();
  const states = useVolumeStates();
  const rows = volumes.data?.map((volume): Row => ({ ...volume, ...(states.get(volume.arn) ?? NO_STATE) }));
  const { items, collectionProps, filterProps, paginationProps, filteredItemsCount, actions } = useCollection(
    rows ?? [],
    {
      filtering: {
        empty: <NoVolumes />,
        noMatch: (
          <Box textAlign="center" padding="l">
            <SpaceBetween size="s">
              <span>No volume matches.</span>
              <Button onClick={() => actions.setFiltering("")}>Clear the filter</Button>
            </SpaceBetween>
          </Box>
        ),
        filteringFunction: (volume, text) =>
          [volume.name, volume.id, volume.iqn, volume.kind, volume.status].some((value) =>
            value.toLowerCase().includes(text.trim().toLowerCase()),
          ),
      },
      pagination: { pageSize: PAGE_SIZE },
      sorting: { defaultState: { sortingColumn: COLUMNS[0] as TableProps.ColumnDefinition<Row> } },
      selection: { trackBy: "id" },
    },
  );
  const selected = volumes.data?.find(({ id }) => id === collectionProps.selectedItems?.[0]?.id);

  if (volumes.error !== null && volumes.data === undefined) {
    return <Problem what="The volumes" error={volumes.error} retry={volumes.refetch} />;
  }
  return (
    <>
      <List
        {...collectionProps}
        variant="full-page"
        selectionType="single"
        stickyHeader
        enableKeyboardNavigation
        columnDefinitions={COLUMNS}
        items={items}
        loading={volumes.isPending}
        loadingText="Loading the volumes"
        ariaLabels={{
          tableLabel: "Volumes",
          selectionGroupLabel: "Choose a volume",
          itemSelectionLabel: (_, volume) => `Choose ${volume.name}`,
        }}
        header={
          <Header
            variant="awsui-h1-sticky"
            counter={volumes.data === undefined ? "" : `(${volumes.data.length})`}
            description="Disks that servers mount over iSCSI."
            actions={
              <SpaceBetween direction="horizontal" size="xs">
                <Button
                  disabled={selected === undefined || !isServed(selected) || !canChange}
                  onClick={() => setDialog("snapshot")}
                >
                  Create snapshot
                </Button>
                <ButtonDropdown
                  disabled={selected === undefined}
                  items={[
                    { id: "details", text: "Show details" },
                    ...(selected === undefined ? [] : volumeActions(selected, canChange)),
                  ]}
                  onItemClick={({ detail }) => {
                    if (selected === undefined) return;
                    if (detail.id === "details") go(`/volumes/${selected.id}`);
                    else setDialog(detail.id as DialogName);
                  }}
                >
                  Actions
                </ButtonDropdown>
                <Button variant="primary" disabled={!canChange} onClick={() => go("/volumes/create")}>
                  Create volume
                </Button>
              </SpaceBetween>
            }
          >
            Volumes
          </Header>
        }
        filter={
          <TextFilter
            {...filterProps}
            filteringPlaceholder="Find by name, ID or target"
            filteringAriaLabel="Find volumes"
            countText={`${filteredItemsCount ?? 0} found`}
          />
        }
        pagination={<Pagination {...paginationProps} />}
      />
      {selected !== undefined && dialog === "snapshot" && (
        <CreateSnapshotDialog volumes={[selected]} onClose={() => setDialog(undefined)} />
      )}
      {selected !== undefined && dialog !== undefined && dialog !== "snapshot" && (
        <VolumeDialogs volume={selected} name={dialog} onClose={() => setDialog(undefined)} />
      )}
    </>
  );
}

function NoVolumes(): ReactNode {
  const go = useGo();
  const { canChange } = useSignedIn();
  return (
    <Box textAlign="center" padding={{ vertical: "xl" }}>
      <SpaceBetween size="m">
        <Box variant="h3">No volumes yet</Box>
        <Box color="text-body-secondary">
          A volume is a virtual disk that a server mounts over iSCSI. A <b>cached</b> volume keeps its data in
          the bucket and what is hot on this machine; a <b>stored</b> volume keeps everything on a disk here.
          Both can be brought back as they were at any snapshot.
        </Box>
        <Button variant="primary" disabled={!canChange} onClick={() => go("/volumes/create")}>
          Create your first volume
        </Button>
      </SpaceBetween>
    </Box>
  );
}
