import Alert from "@cloudscape-design/components/alert";
import Box from "@cloudscape-design/components/box";
import Button from "@cloudscape-design/components/button";
import ButtonDropdown from "@cloudscape-design/components/button-dropdown";
import Container from "@cloudscape-design/components/container";
import ContentLayout from "@cloudscape-design/components/content-layout";
import Header from "@cloudscape-design/components/header";
import KeyValuePairs from "@cloudscape-design/components/key-value-pairs";
import ProgressBar from "@cloudscape-design/components/progress-bar";
import SpaceBetween from "@cloudscape-design/components/space-between";
import Spinner from "@cloudscape-design/components/spinner";
import StatusIndicator from "@cloudscape-design/components/status-indicator";
import { type ReactNode, useState } from "react";
import {
  type Gateway,
  type LocalDisk,
  useGatewayDetails,
  useGateways,
  useLocalDisks,
  useVolumes,
} from "../api/queries.ts";
import { useStorage } from "../api/storage.ts";
import { usePlace } from "../layout.tsx";
import { AddDiskDialog } from "../parts/add-disk.tsx";
import { bytes, percent, plural } from "../parts/format.ts";
import {
  type GatewayDialogName,
  GatewayDialogs,
  useStartGateway,
  useWindow,
  windowWords,
} from "../parts/gateway-dialogs.tsx";
import { PageLink } from "../parts/links.tsx";
import { List } from "../parts/list.tsx";
import { Problem } from "../parts/problem.tsx";
import { useSignedIn } from "../session/context.tsx";

export function Gateways(): ReactNode {
  usePlace({ text: "Gateways and disks" });
  const gateways = useGateways();
  return (
    <ContentLayout
      header={
        <Header
          variant="h1"
          description="A gateway is a set of volumes with a cache and an upload buffer of its own. This process serves all of them."
        >
          Gateways and disks
        </Header>
      }
    >
      {gateways.data === undefined ? (
        gateways.error === null ? (
          <Spinner size="large" />
        ) : (
          <Problem what="The gateways" error={gateways.error} retry={gateways.refetch} />
        )
      ) : (
        <SpaceBetween size="l">
          {gateways.data.map((gateway) => (
            <GatewayCard key={gateway.GatewayARN} gateway={gateway} />
          ))}
        </SpaceBetween>
      )}
    </ContentLayout>
  );
}

function GatewayCard({ gateway }: { gateway: Gateway }): ReactNode {
  const { canChange } = useSignedIn();
  const [isAdding, setAdding] = useState(false);
  const isCached = gateway.GatewayType === "CACHED";
  const volumes = useVolumes().data?.filter(({ gatewayArn }) => gatewayArn === gateway.GatewayARN) ?? [];
  const [dialog, setDialog] = useState<GatewayDialogName>();
  const details = useGatewayDetails(gateway.GatewayARN).data;
  const isRunning = details?.isRunning ?? true;
  const start = useStartGateway(gateway);
  const window = useWindow(gateway.GatewayARN, isRunning).data;
  return (
    <Container
      header={
        <Header
          variant="h2"
          description={
            isCached
              ? "Cached volumes: the data lives in the bucket, what is hot in the cache here."
              : "Stored volumes: the data lives on local disks, and is backed up into the bucket."
          }
          actions={
            <SpaceBetween direction="horizontal" size="xs">
              <ButtonDropdown
                ariaLabel={`Actions for ${gateway.GatewayName ?? ""}`}
                items={[
                  { id: "edit", text: "Edit name and time zone", disabled: !canChange || !isRunning },
                  {
                    id: "maintenance",
                    text: "Edit the maintenance window",
                    disabled: !canChange || !isRunning,
                  },
                  isRunning
                    ? { id: "shutdown", text: "Shut down", disabled: !canChange }
                    : { id: "start", text: "Start", disabled: !canChange },
                  { id: "delete", text: "Delete", disabled: !canChange },
                ]}
                onItemClick={({ detail }) => {
                  if (detail.id === "start") void start();
                  else setDialog(detail.id as GatewayDialogName);
                }}
              >
                Actions
              </ButtonDropdown>
              <Button disabled={!canChange || !isRunning} onClick={() => setAdding(true)}>
                Add a disk
              </Button>
            </SpaceBetween>
          }
        >
          {gateway.GatewayName}
        </Header>
      }
    >
      <SpaceBetween size="l">
        {!isRunning && (
          <Alert
            type="warning"
            header="It is shut down"
            action={
              <Button disabled={!canChange} onClick={() => void start()}>
                Start
              </Button>
            }
          >
            Its volumes are served to nobody, and no snapshots of them are taken.
          </Alert>
        )}
        <KeyValuePairs
          columns={4}
          items={[
            {
              label: "Status",
              value: isRunning ? (
                <StatusIndicator type="success">Running</StatusIndicator>
              ) : (
                <StatusIndicator type="stopped">Shut down</StatusIndicator>
              ),
            },
            {
              label: "Volumes",
              value: <PageLink to="/volumes">{plural(volumes.length, "volume")}</PageLink>,
            },
            { label: "Time zone", value: details?.timezone ?? "–" },
            { label: "Maintenance window", value: window === undefined ? "–" : windowWords(window) },
            { label: "Gateway ID", value: <span className="code">{gateway.GatewayId?.toLowerCase()}</span> },
          ]}
        />
        {isRunning && <Usage gateway={gateway} />}
        {isRunning && <Disks gateway={gateway} />}
      </SpaceBetween>
      {dialog !== undefined && details !== undefined && (
        <GatewayDialogs
          gateway={gateway}
          details={details}
          volumes={volumes}
          name={dialog}
          onClose={() => setDialog(undefined)}
        />
      )}
      {isAdding && <AddDiskDialog gateway={gateway} onClose={() => setAdding(false)} />}
    </Container>
  );
}

function Usage({ gateway }: { gateway: Gateway }): ReactNode {
  const storage = useStorage(gateway).data;
  if (storage === undefined) return <Spinner />;
  const { cache, bufferAllocatedBytes, bufferUsedBytes } = storage;
  const bufferPercent = bufferAllocatedBytes === 0 ? 0 : (100 * bufferUsedBytes) / bufferAllocatedBytes;
  return (
    <div className="bars">
      {cache !== undefined && (
        <ProgressBar
          label="Cache"
          value={cache.usedPercent}
          additionalInfo={`of ${bytes(cache.allocatedBytes)}; ${percent(cache.dirtyPercent, 1)} not in the bucket yet; ${percent(cache.hitPercent)} of reads found there`}
        />
      )}
      <ProgressBar
        label="Upload buffer"
        value={bufferPercent}
        additionalInfo={`${bytes(bufferUsedBytes)} of ${bytes(bufferAllocatedBytes)}; writers are slowed down from half full on`}
      />
    </div>
  );
}

const USES: Readonly<Record<string, string>> = {
  AVAILABLE: "Free",
  "CACHE STORAGE": "Cache",
  CACHE_STORAGE: "Cache",
  "UPLOAD BUFFER": "Upload buffer",
  UPLOAD_BUFFER: "Upload buffer",
  "STORED iSCSI VOLUME": "Stored volume",
  STORED_ISCSI_VOLUME: "Stored volume",
};

function Disks({ gateway }: { gateway: Gateway }): ReactNode {
  const disks = useLocalDisks(gateway.GatewayARN);
  const volumes = useVolumes().data ?? [];
  const volumeOn = (disk: LocalDisk) => volumes.find(({ diskId }) => diskId === disk.id);
  if (disks.error !== null && disks.data === undefined) {
    return <Problem what="The disks" error={disks.error} retry={disks.refetch} />;
  }
  return (
    <List
      variant="embedded"
      items={disks.data ?? []}
      loading={disks.isPending}
      loadingText="Loading the disks"
      trackBy="id"
      ariaLabels={{ tableLabel: `Disks of ${gateway.GatewayName ?? ""}` }}
      columnDefinitions={[
        {
          id: "id",
          header: "Disk",
          sortingField: "id",
          isRowHeader: true,
          cell: ({ id }) => <span className="words">{id}</span>,
        },
        {
          id: "use",
          header: "Use",
          cell: (disk) => {
            const volume = volumeOn(disk);
            const use = USES[disk.use] ?? disk.use;
            return volume === undefined ? (
              use
            ) : (
              <span className="words">
                <PageLink to={`/volumes/${volume.id}`}>{volume.name}</PageLink>
              </span>
            );
          },
        },
        { id: "size", header: "Size", sortingField: "sizeBytes", cell: ({ sizeBytes }) => bytes(sizeBytes) },
        {
          id: "status",
          header: "Status",
          sortingField: "status",
          cell: ({ status }) =>
            status === "present" ? (
              <StatusIndicator type="success">Present</StatusIndicator>
            ) : (
              <StatusIndicator type="error">
                {status === "missing" ? "Missing" : "Not the size it had"}
              </StatusIndicator>
            ),
        },
        {
          id: "path",
          header: "Path",
          sortingField: "path",
          minWidth: 220,
          cell: ({ path }) => <span className="words code">{path}</span>,
        },
      ]}
      empty={<Box color="text-body-secondary">No disks.</Box>}
    />
  );
}
