import Alert from "@cloudscape-design/components/alert";
import Badge from "@cloudscape-design/components/badge";
import Box from "@cloudscape-design/components/box";
import Button from "@cloudscape-design/components/button";
import ButtonDropdown from "@cloudscape-design/components/button-dropdown";
import Container from "@cloudscape-design/components/container";
import ContentLayout from "@cloudscape-design/components/content-layout";
import CopyToClipboard from "@cloudscape-design/components/copy-to-clipboard";
import Header from "@cloudscape-design/components/header";
import KeyValuePairs from "@cloudscape-design/components/key-value-pairs";
import SpaceBetween from "@cloudscape-design/components/space-between";
import Spinner from "@cloudscape-design/components/spinner";
import Tabs from "@cloudscape-design/components/tabs";
import { type ReactNode, useState } from "react";
import { useParams, useSearchParams } from "react-router";
import { useGateways, useInitiators, useResourceTags, useVolumes, type Volume } from "../api/queries.ts";
import { usePlace } from "../layout.tsx";
import { Attach } from "../parts/attach.tsx";
import { Chap } from "../parts/chap.tsx";
import { Charts } from "../parts/charts.tsx";
import { bytes, time } from "../parts/format.ts";
import { PageLink } from "../parts/links.tsx";
import { Problem } from "../parts/problem.tsx";
import { RecoveryPoints } from "../parts/recovery-points.tsx";
import { Schedules } from "../parts/schedules.tsx";
import { SnapshotTable } from "../parts/snapshot-table.tsx";
import { VolumeStatus } from "../parts/status.tsx";
import { TagList } from "../parts/tag-list.tsx";
import { Timeline } from "../parts/timeline.tsx";
import { isServed, volumeActions } from "../parts/volume-actions.ts";
import { type DialogName, VolumeDialogs } from "../parts/volume-dialogs.tsx";
import { useSignedIn } from "../session/context.tsx";
import { NotFound } from "./not-found.tsx";

export function VolumeDetails(): ReactNode {
  const { volumeId = "" } = useParams();
  const volumes = useVolumes();
  if (volumes.data === undefined) {
    return volumes.error === null ? (
      <Spinner size="large" />
    ) : (
      <Problem what="The volume" error={volumes.error} retry={volumes.refetch} />
    );
  }
  const volume = volumes.data.find(({ id }) => id === volumeId.toLowerCase());
  return volume === undefined ? <NotFound /> : <Details volume={volume} />;
}

function Details({ volume }: { volume: Volume }): ReactNode {
  usePlace({ text: "Volumes", to: "/volumes" }, { text: volume.name });
  const { canChange } = useSignedIn();
  const [parameters, setParameters] = useSearchParams();
  const [dialog, setDialog] = useState<DialogName>();

  return (
    <ContentLayout
      header={
        <Header
          variant="h1"
          actions={
            <SpaceBetween direction="horizontal" size="xs">
              <ButtonDropdown
                items={volumeActions(volume, canChange)}
                onItemClick={({ detail }) => setDialog(detail.id as DialogName)}
              >
                Actions
              </ButtonDropdown>
              <Button
                variant="primary"
                disabled={!canChange || !isServed(volume)}
                onClick={() => setDialog("snapshot")}
              >
                Create snapshot
              </Button>
            </SpaceBetween>
          }
        >
          {volume.name}
        </Header>
      }
    >
      <SpaceBetween size="l">
        {volume.attachment === "DETACHED" && (
          <Alert
            type="info"
            header="It is detached"
            action={
              <Button disabled={!canChange} onClick={() => setDialog("attach")}>
                Attach
              </Button>
            }
          >
            All of it is in the bucket, and nothing of it here: no server can use it until it is attached to a
            gateway again.
          </Alert>
        )}
        <Summary volume={volume} />
        <Tabs
          ariaLabel="About the volume"
          activeTabId={parameters.get("tab") ?? "snapshots"}
          onChange={({ detail }) => setParameters({ tab: detail.activeTabId }, { replace: true })}
          tabs={[
            {
              id: "snapshots",
              label: "Snapshots",
              content: (
                <>
                  <Timeline volumeId={volume.id} />
                  <SnapshotTable volumeId={volume.id} onCreate={() => setDialog("snapshot")} />
                </>
              ),
            },
            {
              id: "monitoring",
              label: "Monitoring",
              content: (
                <Charts
                  what={volume.kind === "stored" ? "stored volume" : "volume"}
                  scope="Volume"
                  arn={volume.arn}
                />
              ),
            },
            { id: "schedules", label: "Schedules", content: <Schedules volume={volume} /> },
            {
              id: "recovery-points",
              label: "Recovery points",
              content: <RecoveryPoints volume={volume} />,
            },
            {
              id: "attach",
              label: "Attach",
              content: (
                <Container header={<Header variant="h2">Attach it to a server</Header>}>
                  <Attach volume={volume} />
                </Container>
              ),
            },
            { id: "chap", label: "CHAP", content: <Chap volume={volume} /> },
            {
              id: "tags",
              label: "Tags",
              content: <VolumeTags volume={volume} onEdit={() => setDialog("tags")} />,
            },
          ]}
        />
      </SpaceBetween>
      {dialog !== undefined && (
        <VolumeDialogs volume={volume} name={dialog} onClose={() => setDialog(undefined)} />
      )}
    </ContentLayout>
  );
}

function Copyable({ text }: { text: string }): ReactNode {
  return (
    <CopyToClipboard
      variant="inline"
      textToCopy={text}
      copyButtonAriaLabel={`Copy ${text}`}
      copySuccessText="Copied"
      copyErrorText="The browser does not allow to copy"
    />
  );
}

function Summary({ volume }: { volume: Volume }): ReactNode {
  const gateway = useGateways().data?.find(({ GatewayARN }) => GatewayARN === volume.gatewayArn);
  const initiators = useInitiators(volume.arn);
  return (
    <Container header={<Header variant="h2">Summary</Header>}>
      <KeyValuePairs
        columns={3}
        items={[
          { label: "Status", value: <VolumeStatus volume={volume} /> },
          { label: "Size", value: bytes(volume.sizeBytes) },
          { label: "Used", value: bytes(volume.usedBytes) },
          { label: "Kind", value: volume.kind === "stored" ? "Stored" : "Cached" },
          { label: "Volume ID", value: <Copyable text={volume.id} /> },
          { label: "Created", value: time(volume.createdAt) },
          { label: "Target", value: <Copyable text={volume.iqn} /> },
          { label: "Portal", value: <Copyable text={`${volume.host}:${volume.port}`} /> },
          {
            label: "In use by",
            value:
              initiators.data === undefined ? (
                "–"
              ) : initiators.data.length === 0 ? (
                <Box color="text-body-secondary">no server</Box>
              ) : (
                initiators.data.map((name) => <div key={name}>{name}</div>)
              ),
          },
          { label: "CHAP", value: volume.chap ? <Badge color="green">required</Badge> : "off" },
          { label: "Gateway", value: <PageLink to="/gateways">{gateway?.GatewayName ?? "–"}</PageLink> },
          volume.kind === "stored"
            ? { label: "Disk", value: volume.diskId ?? "–" }
            : {
                label: "Made from",
                value:
                  volume.sourceSnapshotId === undefined ? (
                    "–"
                  ) : (
                    <PageLink to={`/snapshots/${volume.sourceSnapshotId}`}>
                      {volume.sourceSnapshotId}
                    </PageLink>
                  ),
              },
        ]}
      />
    </Container>
  );
}

function VolumeTags({ volume, onEdit }: { volume: Volume; onEdit: () => void }): ReactNode {
  const tags = useResourceTags(volume.arn);
  return <TagList tags={tags.data} isLoading={tags.isPending} onEdit={onEdit} />;
}
