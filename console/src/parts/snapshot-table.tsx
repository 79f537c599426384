/** Snapshots, page by page as the gateway gives them: all, or those of one volume. */
import Box from "@cloudscape-design/components/box";
import Button from "@cloudscape-design/components/button";
import ButtonDropdown from "@cloudscape-design/components/button-dropdown";
import CollectionPreferences from "@cloudscape-design/components/collection-preferences";
import Header from "@cloudscape-design/components/header";
import Pagination from "@cloudscape-design/components/pagination";
import Select from "@cloudscape-design/components/select";
import SpaceBetween from "@cloudscape-design/components/space-between";
import type { TableProps } from "@cloudscape-design/components/table";
import TextFilter from "@cloudscape-design/components/text-filter";
import { type ReactNode, useState } from "react";
import { useVolumes } from "../api/queries.ts";
import { useSnapshotSizes } from "../api/sizes.ts";
import { type SnapshotSort, type SnapshotView, useSnapshots } from "../api/snapshots.ts";
import { useSignedIn } from "../session/context.tsx";
import { ago, bytes, count, time } from "./format.ts";
import { PageLink, useGo } from "./links.tsx";
import { List } from "./list.tsx";
import { Problem } from "./problem.tsx";
import { type SnapshotDialogName, SnapshotDialogs } from "./snapshot-dialogs.tsx";
import { SnapshotStatus } from "./status.tsx";
import { UniqueSize } from "./unique-size.tsx";

const STATES = [
  { value: "", label: "Any status" },
  { value: "completed", label: "Completed" },
  { value: "pending", label: "Pending" },
  { value: "error", label: "Error" },
];
const PAGE_SIZES = [10, 25, 50, 100];

export function SnapshotTable(props: { volumeId?: string; onCreate: () => void }): ReactNode {
  const { volumeId, onCreate } = props;
  const { canChange } = useSignedIn();
  const go = useGo();
  const names = new Map((useVolumes().data ?? []).map(({ id, name }) => [id, name]));
  const [text, setText] = useState("");
  const [state, setState] = useState("");
  const [page, setPage] = useState(1);
  const [pageSize, setPageSize] = useState(25);
  const [sorting, setSorting] = useState<{ by: SnapshotSort; ascending: boolean }>({
    by: "StartTime",
    ascending: false,
  });
  const [selected, setSelected] = useState<readonly SnapshotView[]>([]);
  const [dialog, setDialog] = useState<SnapshotDialogName>();
  const snapshots = useSnapshots({
    text,
    ...(state !== "" && { states: [state] }),
    ...(volumeId !== undefined && { volumeId }),
    sortBy: sorting.by,
    ascending: sorting.ascending,
    offset: (page - 1) * pageSize,
    limit: pageSize,
  });
  const total = snapshots.data?.total ?? 0;
  const isFiltered = text !== "" || state !== "";
  const shown = snapshots.data?.snapshots ?? [];
  const sizes = useSnapshotSizes(shown.filter((each) => each.state === "completed").map(({ id }) => id));
  // What is chosen, as it stands now.
  const chosen = selected.map((each) => shown.find(({ id }) => id === each.id) ?? each);
  const [one] = chosen.length === 1 ? chosen : [];

  const areComparable = chosen.length === 2 && chosen.every((each) => each.state === "completed");

  const columns: TableProps.ColumnDefinition<SnapshotView>[] = [
    {
      id: "Description",
      header: "Description",
      sortingField: "Description",
      isRowHeader: true,
      minWidth: 240,
      cell: ({ id, description }) => (
        <span className="words">
          <PageLink to={`/snapshots/${id}`}>
            {description === "" ? <i>without a description</i> : description}
          </PageLink>
        </span>
      ),
    },
    {
      id: "State",
      header: "Status",
      sortingField: "State",
      minWidth: 150,
      cell: (snapshot) => <SnapshotStatus snapshot={snapshot} />,
    },
    {
      id: "StartTime",
      header: "Taken",
      sortingField: "StartTime",
      cell: ({ startedAt }) => <span title={ago(startedAt)}>{time(startedAt)}</span>,
    },
    ...(volumeId === undefined
      ? [
          {
            id: "VolumeId",
            header: "Volume",
            sortingField: "VolumeId",
            cell: (snapshot: SnapshotView) =>
              names.has(snapshot.volumeId) ? (
                <PageLink to={`/volumes/${snapshot.volumeId}`}>{names.get(snapshot.volumeId)}</PageLink>
              ) : (
                <span title="The volume was deleted">{snapshot.volumeId}</span>
              ),
          },
        ]
      : []),
    {
      id: "FullSize",
      header: "Data",
      sortingField: "FullSize",
      cell: ({ fullBytes }) => (fullBytes === undefined ? "–" : bytes(fullBytes)),
    },
    {
      id: "Unique",
      header: "Only its own",
      cell: (snapshot) => <UniqueSize size={sizes.get(snapshot.id)} />,
    },
    {
      id: "VolumeSize",
      header: "Volume size",
      sortingField: "VolumeSize",
      cell: ({ volumeSizeBytes }) => bytes(volumeSizeBytes),
    },
    {
      id: "Tags",
      header: "Tags",
      cell: ({ tags }) => (
        <span className="words">
          {tags.map(({ key, value }) => (value === "" ? key : `${key}=${value}`)).join(", ") || "–"}
        </span>
      ),
    },
    { id: "id", header: "Snapshot ID", cell: ({ id }) => <span className="code">{id}</span> },
  ];

  if (snapshots.error !== null && snapshots.data === undefined) {
    return <Problem what="The snapshots" error={snapshots.error} retry={snapshots.refetch} />;
  }
  return (
    <>
      <List
        variant={volumeId === undefined ? "full-page" : "container"}
        stickyHeader={volumeId === undefined}
        enableKeyboardNavigation
        selectionType="multi"
        trackBy="id"
        items={[...shown]}
        selectedItems={chosen}
        onSelectionChange={({ detail }) => setSelected(detail.selectedItems)}
        columnDefinitions={columns}
        loading={snapshots.isPending}
        loadingText="Loading the snapshots"
        sortingColumn={columns.find(({ id }) => id === sorting.by) ?? {}}
        sortingDescending={!sorting.ascending}
        onSortingChange={({ detail }) => {
          setSorting({
            by: (detail.sortingColumn.sortingField ?? "StartTime") as SnapshotSort,
            ascending: detail.isDescending !== true,
          });
          setPage(1);
        }}
        ariaLabels={{
          tableLabel: "Snapshots",
          selectionGroupLabel: "Choose snapshots",
          allItemsSelectionLabel: () => "Choose all on this page",
          itemSelectionLabel: (_, { id, description }) => `Choose ${description} ${id}`,
        }}
        header={
          <Header
            variant={volumeId === undefined ? "awsui-h1-sticky" : "h2"}
            counter={snapshots.data === undefined ? "" : `(${count(total)})`}
            description="Exact moments of volumes that have a name. Each can be restored by itself, whatever becomes of the others."
            actions={
              <SpaceBetween direction="horizontal" size="xs">
                <ButtonDropdown
                  disabled={chosen.length === 0}
                  items={[
                    { id: "details", text: "Show details", disabled: one === undefined },
                    { id: "tags", text: "Edit tags", disabled: one === undefined || !canChange },
                    { id: "compare", text: "Compare", disabled: !areComparable },
                    { id: "export", text: "Export", disabled: one?.state !== "completed" },
                    { id: "delete", text: "Delete", disabled: !canChange },
                  ]}
                  onItemClick={({ detail }) => {
                    if (detail.id === "details") go(`/snapshots/${one?.id ?? ""}`);
                    else setDialog(detail.id as SnapshotDialogName);
                  }}
                >
                  Actions
                </ButtonDropdown>
                <Button
                  disabled={one?.state !== "completed" || !canChange}
                  onClick={() => go(`/volumes/create?snapshot=${one?.id ?? ""}`)}
                >
                  Restore
                </Button>
                <Button variant="primary" disabled={!canChange} onClick={onCreate}>
                  Create snapshot
                </Button>
              </SpaceBetween>
            }
          >
            Snapshots
          </Header>
        }
        filter={
          <div className="filters">
            <TextFilter
              filteringText={text}
              filteringPlaceholder="Find by description, ID, volume or tag"
              filteringAriaLabel="Find snapshots"
              countText={`${count(total)} found`}
              onDelayedChange={() => {}}
              onChange={({ detail }) => {
                setText(detail.filteringText);
                setPage(1);
              }}
            />
            <Select
              ariaLabel="Status"
              selectedOption={STATES.find(({ value }) => value === state) ?? null}
              options={STATES}
              onChange={({ detail }) => {
                setState(detail.selectedOption.value ?? "");
                setPage(1);
              }}
            />
          </div>
        }
        pagination={
          <Pagination
            currentPageIndex={page}
            pagesCount={Math.max(1, Math.ceil(total / pageSize))}
            onChange={({ detail }) => setPage(detail.currentPageIndex)}
          />
        }
        preferences={
          <CollectionPreferences
            title="How the list looks"
            confirmLabel="Apply"
            cancelLabel="Cancel"
            preferences={{ pageSize }}
            pageSizePreference={{
              title: "Snapshots on a page",
              options: PAGE_SIZES.map((value) => ({ value, label: String(value) })),
            }}
            onConfirm={({ detail }) => {
              setPageSize(detail.pageSize ?? 25);
              setPage(1);
            }}
          />
        }
        empty={
          isFiltered ? (
            <Box textAlign="center" padding="l">
              <SpaceBetween size="s">
                <span>No snapshot matches.</span>
                <Button
                  onClick={() => {
                    setText("");
                    setState("");
                  }}
                >
                  Clear the filter
                </Button>
              </SpaceBetween>
            </Box>
          ) : (
            <Box textAlign="center" padding={{ vertical: "xl" }}>
              <SpaceBetween size="m">
                <Box variant="h3">No snapshots yet</Box>
                <Box color="text-body-secondary">
                  A snapshot is a volume at one instant. Taking one costs nothing while it is taken: what has
                  changed since the last one is uploaded afterwards, compressed and encrypted, while servers
                  go on writing.
                </Box>
                <Button disabled={!canChange} onClick={onCreate}>
                  Create snapshot
                </Button>
              </SpaceBetween>
            </Box>
          )
        }
      />
      {dialog !== undefined && chosen.length > 0 && (
        <SnapshotDialogs
          snapshots={chosen}
          name={dialog}
          onClose={() => setDialog(undefined)}
          onDeleted={() => setSelected([])}
        />
      )}
    </>
  );
}
