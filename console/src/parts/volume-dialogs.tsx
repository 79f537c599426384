/** What can be done with a volume, in dialogs. */
import {
  AddTagsToResourceCommand,
  DeleteVolumeCommand,
  RemoveTagsFromResourceCommand,
} from "@aws-sdk/client-storage-gateway";
import Alert from "@cloudscape-design/components/alert";
import Box from "@cloudscape-design/components/box";
import ExpandableSection from "@cloudscape-design/components/expandable-section";
import FormField from "@cloudscape-design/components/form-field";
import Input from "@cloudscape-design/components/input";
import { useQueryClient } from "@tanstack/react-query";
import { type ReactNode, useEffect, useState } from "react";

import { type Tag, useInitiators, useResourceTags, type Volume } from "../api/queries.ts";
import { createSnapshot, useSnapshots } from "../api/snapshots.ts";
import { useClients } from "../session/context.tsx";
import { AttachDialog, DetachDialog } from "./attachment-dialogs.tsx";
import { Confirm } from "./confirm.tsx";
import { FormDialog } from "./form-dialog.tsx";
import { bytes, plural } from "./format.ts";
import { PageLink, useGo } from "./links.tsx";
import { useNotices } from "./notices.tsx";
import { areGood, filledIn, TagFields } from "./tags.tsx";

export type DialogName = "snapshot" | "resize" | "tags" | "attach" | "detach" | "delete";

const GIB = 1024 ** 3;
const DESCRIPTION_LENGTH_MAX = 255;

export function VolumeDialogs(props: { volume: Volume; name: DialogName; onClose: () => void }): ReactNode {
  const { volume, name, onClose } = props;
  switch (name) {
    case "snapshot":
      return <CreateSnapshotDialog volumes={[volume]} onClose={onClose} />;
    case "resize":
      return <ResizeDialog volume={volume} onClose={onClose} />;
    case "tags":
      return <VolumeTagsDialog volume={volume} onClose={onClose} />;
    case "attach":
      return <AttachDialog volume={volume} onClose={onClose} />;
    case "detach":
      return <DetachDialog volume={volume} onClose={onClose} />;
    case "delete":
      return <DeleteVolumeDialog volume={volume} onClose={onClose} />;
  }
}

interface CreatedTogether {
  readonly Snapshots: readonly { readonly SnapshotId: string }[];
}

/** A snapshot of one volume, or of several at one instant. */
export function CreateSnapshotDialog(props: { volumes: readonly Volume[]; onClose: () => void }): ReactNode {
  const { volumes, onClose } = props;
  const clients = useClients();
  const notices = useNotices();
  const queryClient = useQueryClient();
  const [description, setDescription] = useState("");
  const [tags, setTags] = useState<readonly Tag[]>([]);
  const [tried, setTried] = useState(false);
  const problem =
    description.trim() === ""
      ? "Say what the snapshot is, so that you find it again."
      : description.length > DESCRIPTION_LENGTH_MAX
        ? `At most ${DESCRIPTION_LENGTH_MAX} characters.`
        : undefined;
  const [first] = volumes;
  if (first === undefined) return null;

  async function submit(): Promise<boolean> {
    setTried(true);
    if (problem !== undefined || !areGood(tags)) return false;
    const text = description.trim();
    let ids: string[];
    if (volumes.length === 1 && first !== undefined) {
      ids = [await createSnapshot(clients, first.arn, text, filledIn(tags))];
    } else {
      const answer = await clients.own<CreatedTogether>("CreateSnapshots", {
        VolumeARNs: volumes.map(({ arn }) => arn),
        SnapshotDescription: text,
        Tags: filledIn(tags).map(({ key, value }) => ({ Key: key, Value: value })),
      });
      ids = answer.Snapshots.map(({ SnapshotId }) => SnapshotId);
    }
    await queryClient.invalidateQueries({ queryKey: ["snapshots"] });
    notices.succeeded(
      ids.length === 1 ? "The snapshot is taken" : `${ids.length} snapshots are taken, of one instant`,
      <>
        {ids.map((id) => (
          <span key={id}>
            <PageLink to={`/snapshots/${id}`} color="inverted">
              {id}
            </PageLink>{" "}
          </span>
        ))}
        holds what was written until now; it is being uploaded.
      </>,
    );
    return true;
  }

  return (
    <FormDialog header="Create snapshot" action="Create snapshot" submit={submit} onClose={onClose}>
      <Box>
        Of {volumes.map(({ name }) => name).join(", ")}
        {volumes.length > 1 && ", all at the same instant"}. Whoever uses {volumes.length > 1 ? "them" : "it"}{" "}
        goes on writing meanwhile.
      </Box>
      <FormField
        label="Description"
        errorText={tried || description.length > DESCRIPTION_LENGTH_MAX ? problem : undefined}
        constraintText={`${description.length} of ${DESCRIPTION_LENGTH_MAX} characters`}
      >
        <Input
          value={description}
          autoFocus
          placeholder="Before the upgrade to 12.1"
          onChange={({ detail }) => setDescription(detail.value)}
        />
      </FormField>
      <ExpandableSection headerText={`Tags (${filledIn(tags).length})`}>
        <TagFields tags={tags} onChange={setTags} />
      </ExpandableSection>
    </FormDialog>
  );
}

function ResizeDialog({ volume, onClose }: { volume: Volume; onClose: () => void }): ReactNode {
  const { own } = useClients();
  const notices = useNotices();
  const queryClient = useQueryClient();
  const nowGib = volume.sizeBytes / GIB;
  const [text, setText] = useState(String(Math.ceil(nowGib)));
  const sizeGib = Number(text);
  const problem =
    !/^\d+$/.test(text.trim()) || !Number.isSafeInteger(sizeGib * GIB)
      ? "Enter a whole number of GiB."
      : sizeGib * GIB <= volume.sizeBytes
        ? `It has ${bytes(volume.sizeBytes)} now; volumes can only get larger.`
        : undefined;
  const [tried, setTried] = useState(false);

  async function submit(): Promise<boolean> {
    setTried(true);
    if (problem !== undefined) return false;
    await own("ResizeVolume", { VolumeARN: volume.arn, VolumeSizeInBytes: sizeGib * GIB });
    await queryClient.invalidateQueries({ queryKey: ["volumes"] });
    notices.succeeded(
      `${volume.name} has ${bytes(sizeGib * GIB)} now`,
      "Enlarge the file system on the server too.",
    );
    return true;
  }

  return (
    <FormDialog header={`Make ${volume.name} larger`} action="Make larger" submit={submit} onClose={onClose}>
      <Box>
        Servers that use it are told, and see the new size after a rescan; they go on meanwhile. It can’t be
        made smaller again.
      </Box>
      <FormField
        label="New size in GiB"
        errorText={tried ? problem : undefined}
        constraintText={`More than ${bytes(volume.sizeBytes)}.`}
      >
        <Input
          value={text}
          type="number"
          inputMode="numeric"
          autoFocus
          onChange={({ detail }) => setText(detail.value)}
        />
      </FormField>
    </FormDialog>
  );
}

function VolumeTagsDialog({ volume, onClose }: { volume: Volume; onClose: () => void }): ReactNode {
  const { storageGateway } = useClients();
  const queryClient = useQueryClient();
  const before = useResourceTags(volume.arn).data;
  const [tags, setTags] = useState<readonly Tag[]>();
  useEffect(() => {
    if (before !== undefined) setTags((now) => now ?? before);
  }, [before]);

  async function submit(): Promise<boolean> {
    if (tags === undefined || before === undefined || !areGood(tags)) return false;
    const wanted = filledIn(tags);
    const gone = before.filter(({ key }) => !wanted.some((tag) => tag.key === key)).map(({ key }) => key);
    const ResourceARN = volume.arn;
    if (gone.length > 0) {
      await storageGateway.send(new RemoveTagsFromResourceCommand({ ResourceARN, TagKeys: gone }));
    }
    if (wanted.length > 0) {
      const Tags = wanted.map(({ key, value }) => ({ Key: key, Value: value }));
      await storageGateway.send(new AddTagsToResourceCommand({ ResourceARN, Tags }));
    }
    await queryClient.invalidateQueries({ queryKey: ["tags", volume.arn] });
    return true;
  }

  return (
    <FormDialog
      header={`Tags of ${volume.name}`}
      action="Save"
      submit={submit}
      onClose={onClose}
      size="large"
    >
      <TagFields tags={tags ?? []} onChange={setTags} />
    </FormDialog>
  );
}

function DeleteVolumeDialog({ volume, onClose }: { volume: Volume; onClose: () => void }): ReactNode {
  const { storageGateway } = useClients();
  const notices = useNotices();
  const go = useGo();
  const queryClient = useQueryClient();
  const initiators = useInitiators(volume.arn).data ?? [];
  const snapshots = useSnapshots({ volumeId: volume.id, offset: 0, limit: 1 }).data;

  async function run(): Promise<void> {
    await storageGateway.send(new DeleteVolumeCommand({ VolumeARN: volume.arn }));
    // Away from its page first: what that asks for is not there any more.
    go("/volumes");
    notices.succeeded(`${volume.name} is deleted`);
    await queryClient.invalidateQueries({ queryKey: ["volumes"] });
  }

  return (
    <Confirm
      header={`Delete ${volume.name}?`}
      action="Delete"
      typed={volume.name}
      run={run}
      onClose={onClose}
    >
      {initiators.length > 0 && (
        <Alert type="warning" header="It is in use">
          {initiators.join(", ")} {initiators.length === 1 ? "is" : "are"} connected to it now and will lose
          the disk.
        </Alert>
      )}
      <Box>
        What is lost: everything written to this volume of {bytes(volume.sizeBytes)} (
        {bytes(volume.usedBytes)} used) since its newest snapshot, and its recovery points that have no name.
      </Box>
      <Box>
        What stays:{" "}
        {snapshots === undefined || snapshots.total === 0
          ? "nothing in the vault, as it has no snapshots"
          : `its ${plural(snapshots.total, "snapshot")}, from which it can be made again`}
        {volume.kind === "stored" &&
          `; and the disk ${volume.diskId ?? ""} with its bytes, which is free again then`}
        .
      </Box>
    </Confirm>
  );
}
