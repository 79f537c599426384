import Box from "@cloudscape-design/components/box";
import Button from "@cloudscape-design/components/button";
import Container from "@cloudscape-design/components/container";
import ContentLayout from "@cloudscape-design/components/content-layout";
import FormField from "@cloudscape-design/components/form-field";
import Header from "@cloudscape-design/components/header";
import ProgressBar from "@cloudscape-design/components/progress-bar";
import Select from "@cloudscape-design/components/select";
import SpaceBetween from "@cloudscape-design/components/space-between";
import Spinner from "@cloudscape-design/components/spinner";
import StatusIndicator from "@cloudscape-design/components/status-indicator";
import Tiles from "@cloudscape-design/components/tiles";
import { useQueryClient } from "@tanstack/react-query";
import { type ReactNode, useState } from "react";
import { type Gateway, type LocalDisk, useGateways, useLocalDisks, useVolumes } from "../api/queries.ts";
import { addDisks, type DiskUse, useStorage } from "../api/storage.ts";
import { usePlace } from "../layout.tsx";
import { FormDialog } from "../parts/form-dialog.tsx";
import { bytes, percent, plural } from "../parts/format.ts";
import { PageLink } from "../parts/links.tsx";
import { List } from "../parts/list.tsx";
import { NewDiskFields, useNewDisk } from "../parts/new-disk.tsx";
import { useNotices } from "../parts/notices.tsx";
import { Problem } from "../parts/problem.tsx";
import { useClients, useSignedIn } from "../session/context.tsx";

const NEW_DISK = "new disk";

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
            <Button disabled={!canChange} onClick={() => setAdding(true)}>
              Add a disk
            </Button>
          }
        >
          {gateway.GatewayName}
        </Header>
      }
    >
      <SpaceBetween size="l">
        <Box color="text-body-secondary">
          <Box variant="code">{gateway.GatewayId?.toLowerCase()}</Box>,{" "}
          <PageLink to="/volumes">{plural(volumes.length, "volume")}</PageLink>
        </Box>
        <Usage gateway={gateway} />
        <Disks gateway={gateway} />
      </SpaceBetween>
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
        { id: "size", header: "Size", cell: ({ sizeBytes }) => bytes(sizeBytes) },
        {
          id: "status",
          header: "Status",
          cell: ({ status }) =>
            status === "present" ? (
              <StatusIndicator type="success">Present</StatusIndicator>
            ) : (
              <StatusIndicator type="error">
                {status === "missing" ? "Missing" : "Not the size it had"}
              </StatusIndicator>
            ),
        },
        { id: "path", header: "Path", cell: ({ path }) => <span className="words code">{path}</span> },
      ]}
      empty={<Box color="text-body-secondary">No disks.</Box>}
    />
  );
}

function AddDiskDialog({ gateway, onClose }: { gateway: Gateway; onClose: () => void }): ReactNode {
  const clients = useClients();
  const notices = useNotices();
  const queryClient = useQueryClient();
  const isCached = gateway.GatewayType === "CACHED";
  const [use, setUse] = useState<DiskUse | "free">(isCached ? "cache" : "upload buffer");
  const [choice, setChoice] = useState(NEW_DISK);
  const [tried, setTried] = useState(false);
  const newDisk = useNewDisk();
  const free = (useLocalDisks(gateway.GatewayARN).data ?? []).filter((disk) => disk.use === "AVAILABLE");
  const options = [
    { value: NEW_DISK, label: "Make a new disk", description: "A sparse file on the gateway" },
    ...(use === "free"
      ? []
      : free.map(({ id, sizeBytes, path }) => ({
          value: id,
          label: id,
          description: `${bytes(sizeBytes)}, ${path}`,
        }))),
  ];
  const chosen = options.find(({ value }) => value === choice) ?? options[0];

  async function submit(): Promise<boolean> {
    setTried(true);
    const isNew = chosen?.value === NEW_DISK;
    if (isNew && newDisk.problem !== undefined) return false;
    const diskId = isNew ? await newDisk.create() : (chosen?.value ?? "");
    if (isNew) setChoice(diskId);
    await queryClient.invalidateQueries({ queryKey: ["disks"] });
    if (use !== "free") await addDisks(clients, gateway.GatewayARN, [diskId], use);
    await Promise.all([
      queryClient.invalidateQueries({ queryKey: ["disks"] }),
      queryClient.invalidateQueries({ queryKey: ["storage"] }),
    ]);
    notices.succeeded(use === "free" ? `The disk ${diskId} is there` : `${diskId} is in use as ${use} now`);
    return true;
  }

  return (
    <FormDialog
      header={`Add a disk to ${gateway.GatewayName ?? ""}`}
      action="Add"
      submit={submit}
      onClose={onClose}
      size="large"
    >
      <FormField label="What for">
        <Tiles
          value={use}
          onChange={({ detail }) => setUse(detail.value as DiskUse | "free")}
          items={[
            ...(isCached
              ? [
                  {
                    value: "cache",
                    label: "Cache",
                    description: "More of what is hot is read without the bucket.",
                  },
                ]
              : []),
            {
              value: "upload buffer",
              label: "Upload buffer",
              description: "More can be written while the line to the bucket is slow.",
            },
            ...(isCached
              ? []
              : [
                  {
                    value: "free",
                    label: "A stored volume",
                    description: "Free until a volume is made on it.",
                  },
                ]),
          ]}
        />
      </FormField>
      <FormField
        label="Disk"
        constraintText={
          use === "free" ? undefined : "It can’t be taken away again while the gateway uses it."
        }
      >
        <Select
          selectedOption={chosen ?? null}
          options={options}
          onChange={({ detail }) => setChoice(detail.selectedOption.value ?? NEW_DISK)}
        />
      </FormField>
      {chosen?.value === NEW_DISK && <NewDiskFields disk={newDisk} tried={tried} />}
    </FormDialog>
  );
}
