/** What can be done with snapshots, in dialogs. */
import Box from "@cloudscape-design/components/box";
import SpaceBetween from "@cloudscape-design/components/space-between";
import { useQueryClient } from "@tanstack/react-query";
import { type ReactNode, useState } from "react";
import type { Tag } from "../api/queries.ts";
import { changeSnapshotTags, deleteSnapshot, type SnapshotView } from "../api/snapshots.ts";
import { useClients } from "../session/context.tsx";
import { Command } from "./command.tsx";
import { CompareDialog } from "./compare-dialog.tsx";
import { Confirm } from "./confirm.tsx";
import { Dialog } from "./dialog.tsx";
import { FormDialog } from "./form-dialog.tsx";
import { bytes, plural, time } from "./format.ts";
import { useNotices } from "./notices.tsx";
import { areGood, filledIn, TagFields } from "./tags.tsx";

export type SnapshotDialogName = "tags" | "compare" | "export" | "delete";

const LISTED_MAX = 10;

export function SnapshotDialogs(props: {
  snapshots: readonly SnapshotView[];
  name: SnapshotDialogName;
  onClose: () => void;
  onDeleted: () => void;
}): ReactNode {
  const { snapshots, name, onClose, onDeleted } = props;
  const [first] = snapshots;
  if (first === undefined) return null;
  switch (name) {
    case "tags":
      return <TagsDialog snapshot={first} onClose={onClose} />;
    case "compare": {
      const [older, newer] = [...snapshots].sort((a, b) => a.startedAt.getTime() - b.startedAt.getTime());
      return (
        <CompareDialog
          snapshot={newer ?? first}
          other={newer === undefined ? undefined : older?.id}
          onClose={onClose}
        />
      );
    }
    case "export":
      return <ExportDialog snapshot={first} onClose={onClose} />;
    case "delete":
      return <DeleteDialog snapshots={snapshots} onClose={onClose} onDeleted={onDeleted} />;
  }
}

function TagsDialog({ snapshot, onClose }: { snapshot: SnapshotView; onClose: () => void }): ReactNode {
  const clients = useClients();
  const queryClient = useQueryClient();
  const [tags, setTags] = useState<readonly Tag[]>(snapshot.tags);
  async function submit(): Promise<boolean> {
    if (!areGood(tags)) return false;
    await changeSnapshotTags(clients, snapshot.id, snapshot.tags, filledIn(tags));
    await Promise.all([
      queryClient.invalidateQueries({ queryKey: ["snapshots"] }),
      queryClient.invalidateQueries({ queryKey: ["snapshot", snapshot.id] }),
    ]);
    return true;
  }
  return (
    <FormDialog
      header={`Tags of ${snapshot.id}`}
      action="Save"
      submit={submit}
      onClose={onClose}
      size="large"
    >
      <TagFields tags={tags} onChange={setTags} />
    </FormDialog>
  );
}

function ExportDialog({ snapshot, onClose }: { snapshot: SnapshotView; onClose: () => void }): ReactNode {
  return (
    <Dialog size="large" header="Export the snapshot" onDismiss={onClose}>
      <SpaceBetween size="m">
        <Box>
          On the gateway’s machine, this writes the snapshot to a file that qemu, VirtualBox or{" "}
          <code>dd</code> can read. It takes up to {bytes(snapshot.fullBytes)} there; what is zero stays a
          hole.
        </Box>
        <Command text={`sluicegate snapshot export ${snapshot.id} ${snapshot.id}.qcow2`} />
        <Box>Or as a raw image, for a disk or a partition:</Box>
        <Command text={`sluicegate snapshot export ${snapshot.id} ${snapshot.id}.raw --format raw`} />
        <Box>
          Or into AWS’s EBS, with credentials from where AWS’s tools have them; it becomes a snapshot there,
          of which EC2 volumes are made:
        </Box>
        <Command text={`sluicegate snapshot export ${snapshot.id} ebs`} />
        <Box color="text-body-secondary">
          An export that breaks off goes on where it was when it is started again.
        </Box>
      </SpaceBetween>
    </Dialog>
  );
}

function DeleteDialog(props: {
  snapshots: readonly SnapshotView[];
  onClose: () => void;
  onDeleted: () => void;
}): ReactNode {
  const { snapshots, onClose, onDeleted } = props;
  const clients = useClients();
  const notices = useNotices();
  const queryClient = useQueryClient();
  const what = snapshots.length === 1 ? "this snapshot" : plural(snapshots.length, "snapshot");

  async function run(): Promise<void> {
    try {
      for (const { id } of snapshots) await deleteSnapshot(clients, id);
    } finally {
      await queryClient.invalidateQueries({ queryKey: ["snapshots"] });
    }
    notices.succeeded(
      snapshots.length === 1
        ? "The snapshot is deleted"
        : `${plural(snapshots.length, "snapshot")} are deleted`,
    );
    onDeleted();
  }

  return (
    <Confirm
      header={`Delete ${what}?`}
      action="Delete"
      {...(snapshots.length > 1 && { typed: "delete" })}
      run={run}
      onClose={onClose}
    >
      <Box>What is lost, for ever:</Box>
      <ul>
        {snapshots.slice(0, LISTED_MAX).map(({ id, description, startedAt, volumeId, fullBytes, state }) => (
          <li key={id}>
            <b>{description === "" ? id : description}</b>: {volumeId} as of {time(startedAt)}
            {fullBytes !== undefined && `, ${bytes(fullBytes)}`}
            {state === "pending" && ", which is still being uploaded"}
          </li>
        ))}
        {snapshots.length > LISTED_MAX && <li>and {snapshots.length - LISTED_MAX} more</li>}
      </ul>
      <Box color="text-body-secondary">
        Other snapshots keep all they need. Space in the bucket that only{" "}
        {snapshots.length === 1 ? "it" : "they"} used is freed by the next collection of garbage. Volumes that
        were made of {snapshots.length === 1 ? "it" : "them"} stay.
      </Box>
    </Confirm>
  );
}
