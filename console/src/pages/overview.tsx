import Alert from "@cloudscape-design/components/alert";
import Box from "@cloudscape-design/components/box";
import Button from "@cloudscape-design/components/button";
import Container from "@cloudscape-design/components/container";
import ContentLayout from "@cloudscape-design/components/content-layout";
import Grid from "@cloudscape-design/components/grid";
import Header from "@cloudscape-design/components/header";
import KeyValuePairs from "@cloudscape-design/components/key-value-pairs";
import ProgressBar from "@cloudscape-design/components/progress-bar";
import SpaceBetween from "@cloudscape-design/components/space-between";
import Spinner from "@cloudscape-design/components/spinner";
import StatusIndicator from "@cloudscape-design/components/status-indicator";
import type { ReactNode } from "react";
import { type Health, useHealth } from "../api/health.ts";
import { useMetrics } from "../api/metrics.ts";
import { type Gateway, useGatewayDetails, useGateways, useVolumes, type Volume } from "../api/queries.ts";
import { type SnapshotView, useSnapshots } from "../api/snapshots.ts";
import { useStorage } from "../api/storage.ts";
import { usePlace } from "../layout.tsx";
import { Charts } from "../parts/charts.tsx";
import { ago, bytes, count, plural, time } from "../parts/format.ts";
import { PageLink, useGo } from "../parts/links.tsx";
import { List } from "../parts/list.tsx";
import { Problem } from "../parts/problem.tsx";
import { SnapshotStatus } from "../parts/status.tsx";
import { useSignedIn } from "../session/context.tsx";

const NEWEST = 5;
const TROUBLES_MAX = 20;
const FULL_PERCENT = 80;

export function Overview(): ReactNode {
  usePlace({ text: "Overview" });
  const go = useGo();
  const { canChange } = useSignedIn();
  const gateways = useGateways();
  const volumes = useVolumes();
  const newest = useSnapshots({ offset: 0, limit: NEWEST });
  const pending = useSnapshots({ states: ["pending"], offset: 0, limit: TROUBLES_MAX });
  const health = useHealth().data;
  const failed = useSnapshots({ states: ["error"], offset: 0, limit: TROUBLES_MAX });
  const error = gateways.error ?? volumes.error ?? newest.error;
  if (error !== null && volumes.data === undefined) {
    return <Problem what="The overview" error={error} retry={volumes.refetch} />;
  }
  return (
    <ContentLayout
      header={
        <Header
          variant="h1"
          actions={
            <Button variant="primary" disabled={!canChange} onClick={() => go("/volumes/create")}>
              Create volume
            </Button>
          }
        >
          Overview
        </Header>
      }
    >
      <SpaceBetween size="l">
        {health?.Alarms.map(({ Name, Severity, StartTime, Message, Resources }) => (
          <Alert
            key={`${Name} ${Resources.join(" ")}`}
            type={Severity === "error" ? "error" : "warning"}
            header={Message}
          >
            Since {time(new Date(StartTime * 1000))}
          </Alert>
        ))}
        {health?.Checks.filter(({ Status }) => Status !== "ok").map(({ Name, Status, Message }) => (
          <Alert key={Name} type={Status === "failing" ? "error" : "warning"} header={Message} />
        ))}
        {volumes.data?.length === 0 && <FirstSteps />}
        <Figures
          volumes={volumes.data}
          snapshots={newest.data?.total}
          pending={pending.data?.total}
          failed={failed.data?.total}
          health={health}
        />
        {(volumes.data?.length ?? 0) > 0 && <Charts what="service" scope="Service" />}
        <Grid gridDefinition={[{ colspan: { default: 12, m: 7 } }, { colspan: { default: 12, m: 5 } }]}>
          <NewestSnapshots snapshots={newest.data?.snapshots} />
          <Storage gateways={gateways.data} />
        </Grid>
      </SpaceBetween>
    </ContentLayout>
  );
}

function Figures(props: {
  volumes: readonly Volume[] | undefined;
  snapshots: number | undefined;
  pending: number | undefined;
  failed: number | undefined;
  health: Health | undefined;
}): ReactNode {
  const { volumes, snapshots, pending = 0, failed = 0, health } = props;
  const sum = (take: (volume: Volume) => number) =>
    volumes?.reduce((total, volume) => total + take(volume), 0);
  return (
    <Container header={<Header variant="h2">Now</Header>}>
      <KeyValuePairs
        columns={4}
        items={[
          {
            label: "Health",
            value:
              health === undefined ? (
                <StatusIndicator type="loading">Asking</StatusIndicator>
              ) : health.Status === "ok" && health.Alarms.length === 0 ? (
                <StatusIndicator type="success">All is well</StatusIndicator>
              ) : (
                <StatusIndicator type={health.Status === "failing" ? "error" : "warning"}>
                  {plural(
                    health.Alarms.length + health.Checks.filter(({ Status }) => Status !== "ok").length,
                    "warning",
                  )}
                </StatusIndicator>
              ),
          },
          {
            label: "Volumes",
            value: (
              <PageLink to="/volumes">
                {count(volumes?.length)} ({bytes(sum(({ usedBytes }) => usedBytes))} of{" "}
                {bytes(sum(({ sizeBytes }) => sizeBytes))})
              </PageLink>
            ),
          },
          { label: "Not in the bucket yet", value: <Unsaved /> },
          {
            label: "Snapshots",
            value: (
              <SpaceBetween size="xxs">
                <PageLink to="/snapshots">{count(snapshots)}</PageLink>
                {pending > 0 && (
                  <StatusIndicator type="in-progress">{count(pending)} being uploaded</StatusIndicator>
                )}
                {failed > 0 && <StatusIndicator type="error">{count(failed)} in error</StatusIndicator>}
              </SpaceBetween>
            ),
          },
        ]}
      />
    </Container>
  );
}

/** What would be lost with this machine. */
function Unsaved(): ReactNode {
  const measured = useMetrics("Service", undefined, ["UnsavedBytes"], 5).data;
  const now = measured?.values.get("UnsavedBytes")?.findLast((value) => value !== null);
  if (now === undefined || now === null) return "–";
  return now === 0 ? <StatusIndicator type="success">everything is</StatusIndicator> : bytes(now);
}

function NewestSnapshots({ snapshots }: { snapshots: readonly SnapshotView[] | undefined }): ReactNode {
  return (
    <List
      items={[...(snapshots ?? [])]}
      loading={snapshots === undefined}
      loadingText="Loading the snapshots"
      trackBy="id"
      ariaLabels={{ tableLabel: "Newest snapshots" }}
      header={<Header>Newest snapshots</Header>}
      columnDefinitions={[
        {
          id: "description",
          header: "Description",
          isRowHeader: true,
          cell: ({ id, description }) => (
            <span className="words">
              <PageLink to={`/snapshots/${id}`}>{description === "" ? id : description}</PageLink>
            </span>
          ),
        },
        { id: "status", header: "Status", cell: (snapshot) => <SnapshotStatus snapshot={snapshot} /> },
        { id: "taken", header: "Taken", cell: ({ startedAt }) => ago(startedAt) },
      ]}
      empty={
        <Box color="text-body-secondary" textAlign="center">
          No snapshots yet. Take one from the page of a <PageLink to="/volumes">volume</PageLink>.
        </Box>
      }
    />
  );
}

function Storage({ gateways }: { gateways: readonly Gateway[] | undefined }): ReactNode {
  return (
    <Container header={<Header variant="h2">Storage here</Header>} fitHeight>
      {gateways === undefined ? (
        <Spinner />
      ) : (
        <SpaceBetween size="l">
          {gateways.map((gateway) => (
            <GatewayStorage key={gateway.GatewayARN} gateway={gateway} />
          ))}
        </SpaceBetween>
      )}
    </Container>
  );
}

function GatewayStorage({ gateway }: { gateway: Gateway }): ReactNode {
  const isRunning = useGatewayDetails(gateway.GatewayARN).data?.isRunning ?? true;
  const storage = useStorage(gateway).data;
  if (!isRunning)
    return (
      <SpaceBetween size="xs">
        <Box variant="h4">
          <PageLink to="/gateways">{gateway.GatewayName}</PageLink>
        </Box>
        <StatusIndicator type="stopped">Shut down</StatusIndicator>
      </SpaceBetween>
    );
  if (storage === undefined) return <Spinner />;
  const { cache, bufferAllocatedBytes, bufferUsedBytes } = storage;
  const bufferPercent = bufferAllocatedBytes === 0 ? 0 : (100 * bufferUsedBytes) / bufferAllocatedBytes;
  return (
    <SpaceBetween size="xs">
      <Box variant="h4">
        <PageLink to="/gateways">{gateway.GatewayName}</PageLink>
      </Box>
      {cache !== undefined && (
        <ProgressBar
          label="Cache"
          value={cache.usedPercent}
          additionalInfo={`of ${bytes(cache.allocatedBytes)}`}
        />
      )}
      <ProgressBar
        label="Upload buffer"
        value={bufferPercent}
        additionalInfo={`${bytes(bufferUsedBytes)} of ${bytes(bufferAllocatedBytes)}`}
      />
      {bufferPercent > FULL_PERCENT && (
        <StatusIndicator type="warning">Writers are being slowed down</StatusIndicator>
      )}
    </SpaceBetween>
  );
}

function FirstSteps(): ReactNode {
  return (
    <Alert type="info" header="Welcome: three steps to a snapshot">
      <ol className="steps">
        <li>
          <PageLink to="/volumes/create">Create a volume</PageLink>: a cached one needs a size and a name
          only.
        </li>
        <li>Attach it to a server: the volume’s page has the commands, ready to be copied.</li>
        <li>Take a snapshot: it can be restored as a new volume, at once, whatever its size.</li>
      </ol>
    </Alert>
  );
}
