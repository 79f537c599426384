import Alert from "@cloudscape-design/components/alert";
import Box from "@cloudscape-design/components/box";
import Button from "@cloudscape-design/components/button";
import ButtonDropdown from "@cloudscape-design/components/button-dropdown";
import Container from "@cloudscape-design/components/container";
import ContentLayout from "@cloudscape-design/components/content-layout";
import Header from "@cloudscape-design/components/header";
import KeyValuePairs from "@cloudscape-design/components/key-value-pairs";
import SpaceBetween from "@cloudscape-design/components/space-between";
import Spinner from "@cloudscape-design/components/spinner";
import { type ReactNode, useState } from "react";
import { useParams } from "react-router";
import { useSnapshotLock } from "../api/locks.ts";
import { useVolumes } from "../api/queries.ts";
import { useSnapshotSizes } from "../api/sizes.ts";
import { type SnapshotView, useSnapshot } from "../api/snapshots.ts";
import { usePlace } from "../layout.tsx";
import { ago, bytes, time } from "../parts/format.ts";
import { Lineage } from "../parts/lineage.tsx";
import { PageLink, useGo } from "../parts/links.tsx";
import { LockDialog, LockState, UnlockDialog } from "../parts/lock.tsx";
import { Problem } from "../parts/problem.tsx";
import { type SnapshotDialogName, SnapshotDialogs } from "../parts/snapshot-dialogs.tsx";
import { SnapshotStatus } from "../parts/status.tsx";
import { TagList } from "../parts/tag-list.tsx";
import { UniqueSize } from "../parts/unique-size.tsx";
import { useSignedIn } from "../session/context.tsx";
import { NotFound } from "./not-found.tsx";

export function SnapshotDetails(): ReactNode {
  const { snapshotId = "" } = useParams();
  const snapshot = useSnapshot(snapshotId.toLowerCase());
  if (snapshot.data === undefined) {
    return snapshot.error === null ? (
      <Spinner size="large" />
    ) : (
      <Problem what="The snapshot" error={snapshot.error} retry={snapshot.refetch} />
    );
  }
  return snapshot.data === null ? <NotFound /> : <Details snapshot={snapshot.data} />;
}

function Details({ snapshot }: { snapshot: SnapshotView }): ReactNode {
  const { id, description } = snapshot;
  usePlace({ text: "Snapshots", to: "/snapshots" }, { text: description === "" ? id : description });
  const { canChange } = useSignedIn();
  const go = useGo();
  const [dialog, setDialog] = useState<SnapshotDialogName | "lock">();
  const volume = useVolumes().data?.find((each) => each.id === snapshot.volumeId);
  const lock = useSnapshotLock(id).data;
  const isLocked = lock !== undefined && lock !== null && !lock.isExpired;
  const size = useSnapshotSizes(snapshot.state === "completed" ? [id] : []).get(id);
  const isComplete = snapshot.state === "completed";

  return (
    <ContentLayout
      header={
        <Header
          variant="h1"
          actions={
            <SpaceBetween direction="horizontal" size="xs">
              <ButtonDropdown
                items={[
                  { id: "tags", text: "Edit tags", disabled: !canChange },
                  { id: "compare", text: "Compare", disabled: !isComplete },
                  { id: "export", text: "Export", disabled: !isComplete },
                  { id: "lock", text: isLocked ? "Unlock" : "Lock", disabled: !canChange },
                  { id: "delete", text: "Delete", disabled: !canChange },
                ]}
                onItemClick={({ detail }) => setDialog(detail.id as SnapshotDialogName | "lock")}
              >
                Actions
              </ButtonDropdown>
              <Button
                variant="primary"
                disabled={!isComplete || !canChange}
                onClick={() => go(`/volumes/create?snapshot=${id}`)}
              >
                Restore
              </Button>
            </SpaceBetween>
          }
        >
          {description === "" ? id : description}
        </Header>
      }
    >
      <SpaceBetween size="l">
        {snapshot.state === "error" && (
          <Alert type="error" header="This snapshot could not be completed">
            {snapshot.reason ?? "The gateway does not say why."} It can’t be restored; delete it and take
            another one.
          </Alert>
        )}
        <Container header={<Header variant="h2">Summary</Header>}>
          <KeyValuePairs
            columns={3}
            items={[
              { label: "Status", value: <SnapshotStatus snapshot={snapshot} /> },
              { label: "Taken", value: `${time(snapshot.startedAt)} (${ago(snapshot.startedAt)})` },
              { label: "In the bucket since", value: time(snapshot.completedAt) },
              { label: "Snapshot ID", value: id },
              {
                label: "Volume",
                value:
                  volume === undefined ? (
                    `${snapshot.volumeId} (deleted)`
                  ) : (
                    <PageLink to={`/volumes/${volume.id}`}>{volume.name}</PageLink>
                  ),
              },
              { label: "Volume size", value: bytes(snapshot.volumeSizeBytes) },
              { label: "Data", value: snapshot.fullBytes === undefined ? "–" : bytes(snapshot.fullBytes) },
              {
                label: "Only its own",
                value: (
                  <>
                    <UniqueSize size={size} />
                    <Box color="text-body-secondary" fontSize="body-s">
                      In the bucket, and in no snapshot beside it: about what deleting it gives back.
                    </Box>
                  </>
                ),
              },
              { label: "Lock", value: <LockState id={id} /> },
              { label: "Encryption", value: "AES-256-GCM, under the vault’s key" },
              { label: "Description", value: description === "" ? "–" : description },
            ]}
          />
        </Container>
        <Lineage snapshot={snapshot} />
        <TagList tags={snapshot.tags} isLoading={false} onEdit={() => setDialog("tags")} />
      </SpaceBetween>
      {dialog === "lock" &&
        (isLocked ? (
          <UnlockDialog id={id} onClose={() => setDialog(undefined)} />
        ) : (
          <LockDialog id={id} onClose={() => setDialog(undefined)} />
        ))}
      {dialog !== undefined && dialog !== "lock" && (
        <SnapshotDialogs
          snapshots={[snapshot]}
          name={dialog}
          onClose={() => setDialog(undefined)}
          onDeleted={() => go("/snapshots")}
        />
      )}
    </ContentLayout>
  );
}
