import Alert from "@cloudscape-design/components/alert";
import Box from "@cloudscape-design/components/box";
import Button from "@cloudscape-design/components/button";
import Container from "@cloudscape-design/components/container";
import ContentLayout from "@cloudscape-design/components/content-layout";
import FormField from "@cloudscape-design/components/form-field";
import Header from "@cloudscape-design/components/header";
import KeyValuePairs from "@cloudscape-design/components/key-value-pairs";
import ProgressBar from "@cloudscape-design/components/progress-bar";
import RadioGroup from "@cloudscape-design/components/radio-group";
import SpaceBetween from "@cloudscape-design/components/space-between";
import Spinner from "@cloudscape-design/components/spinner";
import StatusIndicator from "@cloudscape-design/components/status-indicator";
import { useQueryClient } from "@tanstack/react-query";
import { type ReactNode, useState } from "react";
import { type JobKind, useVault, useVaultJobs, type VaultJob } from "../api/vault.ts";
import { usePlace } from "../layout.tsx";
import { Charts } from "../parts/charts.tsx";
import { FormDialog } from "../parts/form-dialog.tsx";
import { ago, bytes, count, duration, percent, plural, time } from "../parts/format.ts";
import { PageLink } from "../parts/links.tsx";
import { List } from "../parts/list.tsx";
import { Problem } from "../parts/problem.tsx";
import { useClients, useSignedIn } from "../session/context.tsx";

export function Vault(): ReactNode {
  usePlace({ text: "Vault" });
  const { canChange } = useSignedIn();
  const jobs = useVaultJobs();
  const [dialog, setDialog] = useState<JobKind>();
  const isBusy = jobs.data?.some(({ State }) => State === "running") ?? true;
  const jobOf = (kind: JobKind) => jobs.data?.find(({ Kind }) => Kind === kind);
  return (
    <ContentLayout
      header={
        <Header
          variant="h1"
          description="Everything that is kept in the bucket: compressed, encrypted, each block once."
        >
          Vault
        </Header>
      }
    >
      {jobs.data === undefined ? (
        jobs.error === null ? (
          <Spinner size="large" />
        ) : (
          <Problem what="The vault" error={jobs.error} retry={jobs.refetch} />
        )
      ) : (
        <SpaceBetween size="l">
          <Figures />
          <Charts what="vault" scope="Service" minutes="10080" />
          <Container
            header={
              <Header
                variant="h2"
                description="Reads what is in the bucket and proves that it is what was written. Done every week for a tenth, by itself."
                actions={
                  <Button disabled={isBusy || !canChange} onClick={() => setDialog("Verify")}>
                    Verify now
                  </Button>
                }
              >
                Verification
              </Header>
            }
          >
            <Verification job={jobOf("Verify")} />
          </Container>
          <Container
            header={
              <Header
                variant="h2"
                description="Gives back the space that no snapshot, recovery point or volume needs any more. Done daily by itself."
                actions={
                  <Button disabled={isBusy || !canChange} onClick={() => setDialog("CollectGarbage")}>
                    Collect now
                  </Button>
                }
              >
                Collection of garbage
              </Header>
            }
          >
            <Collection job={jobOf("CollectGarbage")} />
          </Container>
          <Keys />
        </SpaceBetween>
      )}
      {dialog === "Verify" && <VerifyDialog onClose={() => setDialog(undefined)} />}
      {dialog === "CollectGarbage" && <CollectDialog onClose={() => setDialog(undefined)} />}
    </ContentLayout>
  );
}

/** `3.2 : 1`, as far as both are known. */
function ratio(plain: number, stored: number): string {
  if (stored === 0 || plain === 0) return "–";
  const value = plain / stored;
  return `${value < 10 ? value.toFixed(1) : count(Math.round(value))} : 1`;
}

function Figures(): ReactNode {
  const vault = useVault().data;
  return (
    <Container header={<Header variant="h2">Now</Header>}>
      {vault === undefined ? (
        <Spinner />
      ) : (
        <KeyValuePairs
          columns={4}
          items={[
            {
              label: "In the bucket",
              value: `${bytes(vault.StoredBytes)} in ${plural(vault.Packs, "pack")}`,
            },
            {
              label: "Snapshots",
              value: `${count(vault.Snapshots)}, each by itself ${bytes(vault.SnapshotBytes)}`,
            },
            {
              label: "Saved by storing each block once",
              value: ratio(vault.SnapshotBytes, vault.ChunkBytes),
            },
            { label: "Saved by compression", value: ratio(vault.ChunkBytes, vault.StoredBytes) },
            { label: "All in all", value: ratio(vault.SnapshotBytes, vault.StoredBytes) },
            { label: "Records", value: count(vault.Chunks) },
            { label: "Where", value: <span className="breakable">{vault.Store}</span> },
            { label: "Vault ID", value: <span className="breakable">{vault.VaultId}</span> },
          ]}
        />
      )}
    </Container>
  );
}

/** They are only shown: to change them takes the secrets, which never come here. */
function Keys(): ReactNode {
  const vault = useVault().data;
  return (
    <List
      variant="container"
      items={vault?.Keys ?? []}
      loading={vault === undefined}
      loadingText="Loading the keys"
      ariaLabels={{ tableLabel: "Keys of the vault" }}
      header={
        <Header
          variant="h2"
          description="Without one of these nobody can read the snapshots. They are added, exchanged and removed at the command line: sluicegate vault key, sluicegate vault rekey."
        >
          Keys of the vault
        </Header>
      }
      columnDefinitions={[
        { id: "name", header: "Name", isRowHeader: true, sortingField: "Name", cell: ({ Name }) => Name },
        {
          id: "type",
          header: "Kind",
          sortingField: "Type",
          cell: ({ Type }) =>
            Type === "key-file" ? "key file" : Type === "passphrase" ? "passphrase" : Type,
        },
        {
          id: "made",
          header: "Made",
          sortingField: "CreationTime",
          cell: ({ CreationTime }) =>
            CreationTime === undefined ? "with the vault" : time(new Date(CreationTime * 1000)),
        },
      ]}
    />
  );
}

function JobState({ job }: { job: VaultJob }): ReactNode {
  if (job.State === "failed") {
    return (
      <Alert type="error" header="It has failed">
        {job.Reason}
      </Alert>
    );
  }
  if (job.State !== "running") return null;
  const { Phase = "starting", Done = 0, Total = 0 } = job.Progress ?? {};
  return (
    <ProgressBar
      label="Running"
      value={Total === 0 ? 0 : (100 * Done) / Total}
      additionalInfo={`${Phase}: ${count(Done)} of ${count(Total)}`}
    />
  );
}

function took({ StartTime, EndTime }: VaultJob): string {
  return EndTime === undefined ? "–" : duration(EndTime - StartTime);
}

function Verification({ job }: { job: VaultJob | undefined }): ReactNode {
  if (job === undefined) {
    return <Box color="text-body-secondary">Never so far. It is done by itself when it is due.</Box>;
  }
  const shown = job.Verification === undefined ? (job.LastDone ?? job) : job;
  const found = shown.Verification;
  return (
    <SpaceBetween size="m">
      <JobState job={job} />
      {found !== undefined && found.problemCount > 0 && (
        <Alert type="error" header={`${plural(found.problemCount, "problem")} found`}>
          <ul>
            {found.problems.map((problem) => (
              <li key={problem}>{problem}</li>
            ))}
            {found.hits.map(({ volumeId, snapshotIds, blocks }) => (
              <li key={`${volumeId}-${snapshotIds.join()}`}>
                {plural(blocks, "block")} of {volumeId}
                {snapshotIds.map((id) => (
                  <span key={id}>
                    , <PageLink to={`/snapshots/${id}`}>{id}</PageLink>
                  </span>
                ))}
              </li>
            ))}
          </ul>
        </Alert>
      )}
      {found !== undefined && (
        <KeyValuePairs
          columns={3}
          items={[
            {
              label: "Result",
              value:
                found.problemCount === 0 ? (
                  <StatusIndicator type="success">Nothing is wrong</StatusIndicator>
                ) : (
                  <StatusIndicator type="error">{plural(found.problemCount, "problem")}</StatusIndicator>
                ),
            },
            { label: "Ended", value: `${ago(new Date((shown.EndTime ?? 0) * 1000))}` },
            { label: "Took", value: took(shown) },
            {
              label: "Packs read",
              value: `${count(found.packsRead)} of ${count(found.packs)} (${percent((100 * found.packsRead) / Math.max(1, found.packs))})`,
            },
            { label: "Read", value: `${bytes(found.bytesRead)}, ${plural(found.recordsRead, "record")}` },
            { label: "Moments checked", value: count(found.roots) },
          ]}
        />
      )}
    </SpaceBetween>
  );
}

function Collection({ job }: { job: VaultJob | undefined }): ReactNode {
  if (job === undefined) {
    return <Box color="text-body-secondary">Never so far. It is done by itself when it is due.</Box>;
  }
  const shown = job.Collection === undefined ? (job.LastDone ?? job) : job;
  const found = shown.Collection;
  const last = job.LastDone;
  return (
    <SpaceBetween size="m">
      <JobState job={job} />
      {found?.state === "waiting" && (
        <Alert type="warning" header="It waits for other gateways">
          {found.waitingFor.join(", ")} {found.waitingFor.length === 1 ? "has" : "have"} not answered yet. One
          that is gone for good is left out with <Box variant="code">sluicegate vault gc --forget WRITER</Box>
          .
        </Alert>
      )}
      {found !== undefined && (
        <KeyValuePairs
          columns={3}
          items={[
            {
              label: "Result",
              value:
                found.state === "looked"
                  ? `Only looked: ${bytes(found.deadBytes)} could be freed`
                  : `${bytes(found.deletedBytes)} freed`,
            },
            { label: "Ended", value: `${time(new Date((shown.EndTime ?? 0) * 1000))}` },
            { label: "Took", value: took(shown) },
            { label: "In the bucket", value: `${bytes(found.packBytes)} in ${plural(found.packs, "pack")}` },
            { label: "Moments marked", value: count(found.roots) },
            {
              label: "Mostly dead packs",
              value: `${bytes(found.sparseBytes - found.sparseLiveBytes)} to be had by copying`,
            },
            ...(found.state === "looked" && last?.Collection !== undefined
              ? [
                  {
                    label: "Last collection",
                    value: `${time(new Date((last.EndTime ?? 0) * 1000))}, ${bytes(last.Collection.deletedBytes)} freed`,
                  },
                ]
              : []),
          ]}
        />
      )}
    </SpaceBetween>
  );
}

function VerifyDialog({ onClose }: { onClose: () => void }): ReactNode {
  const { own } = useClients();
  const queryClient = useQueryClient();
  const [share, setShare] = useState("10");
  async function submit(): Promise<boolean> {
    await own("StartVaultJob", { Kind: "Verify", SamplePercent: Number(share) });
    await queryClient.invalidateQueries({ queryKey: ["vault-jobs"] });
    return true;
  }
  return (
    <FormDialog header="Verify the vault" action="Verify" submit={submit} onClose={onClose}>
      <FormField label="How much is read">
        <RadioGroup
          value={share}
          onChange={({ detail }) => setShare(detail.value)}
          items={[
            {
              value: "0",
              label: "The structure only",
              description: "That everything which is referred to is there. Quick, and costs few requests.",
            },
            {
              value: "10",
              label: "A tenth of the packs",
              description: "Chosen at random, so that each comes up in time.",
            },
            {
              value: "100",
              label: "Everything",
              description: "Reads the whole vault: think of what your bucket asks for that.",
            },
          ]}
        />
      </FormField>
    </FormDialog>
  );
}

function CollectDialog({ onClose }: { onClose: () => void }): ReactNode {
  const { own } = useClients();
  const queryClient = useQueryClient();
  const [way, setWay] = useState("look");
  async function submit(): Promise<boolean> {
    await own("StartVaultJob", { Kind: "CollectGarbage", DryRun: way === "look" });
    await queryClient.invalidateQueries({ queryKey: ["vault-jobs"] });
    return true;
  }
  return (
    <FormDialog header="Collect garbage" action="Start" submit={submit} onClose={onClose}>
      <FormField label="What is done">
        <RadioGroup
          value={way}
          onChange={({ detail }) => setWay(detail.value)}
          items={[
            { value: "look", label: "Only look", description: "Says what could be freed; deletes nothing." },
            {
              value: "collect",
              label: "Collect",
              description:
                "Frees what nothing needs. What a snapshot, a recovery point or a volume needs stays, always.",
            },
          ]}
        />
      </FormField>
    </FormDialog>
  );
}
