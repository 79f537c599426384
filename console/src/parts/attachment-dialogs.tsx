/** Volumes leave their gateway, with everything in the bucket, and come to another one, or back. */
import { AttachVolumeCommand, DetachVolumeCommand } from "@aws-sdk/client-storage-gateway";
import Alert from "@cloudscape-design/components/alert";
import Box from "@cloudscape-design/components/box";
import Checkbox from "@cloudscape-design/components/checkbox";
import FormField from "@cloudscape-design/components/form-field";
import Input from "@cloudscape-design/components/input";
import Select from "@cloudscape-design/components/select";
import { useQueryClient } from "@tanstack/react-query";
import { type ReactNode, useState } from "react";
import { useGateways, useInitiators, useLocalDisks, useVolumes, type Volume } from "../api/queries.ts";
import { useClients } from "../session/context.tsx";
import { FormDialog } from "./form-dialog.tsx";
import { bytes } from "./format.ts";
import { useGo } from "./links.tsx";
import { NewDiskFields, useNewDisk } from "./new-disk.tsx";
import { useNotices } from "./notices.tsx";
import { targetNameProblem } from "./target-name.ts";

const NEW_DISK = "new disk";

export function DetachDialog({ volume, onClose }: { volume: Volume; onClose: () => void }): ReactNode {
  const { storageGateway } = useClients();
  const notices = useNotices();
  const queryClient = useQueryClient();
  const initiators = useInitiators(volume.arn).data ?? [];
  const [isForced, setForced] = useState(false);
  const [tried, setTried] = useState(false);
  const isInUse = initiators.length > 0;

  async function submit(): Promise<boolean> {
    setTried(true);
    if (isInUse && !isForced) return false;
    await storageGateway.send(new DetachVolumeCommand({ VolumeARN: volume.arn, ForceDetach: isForced }));
    await queryClient.invalidateQueries({ queryKey: ["volumes"] });
    notices.succeeded(
      `${volume.name} is being detached`,
      "What is not in the bucket yet is uploaded first; its page says when it is done.",
    );
    return true;
  }

  return (
    <FormDialog header={`Detach ${volume.name}?`} action="Detach" submit={submit} onClose={onClose}>
      <Box>
        Servers lose the disk at once. All of it goes to the bucket, and nothing of it stays here
        {volume.kind === "stored" && ` (the disk ${volume.diskId ?? ""} is free again, with its bytes)`}. It
        can be attached again, to any gateway that keeps its {volume.kind} volumes in this vault.
      </Box>
      {isInUse && (
        <FormField
          errorText={tried && !isForced ? "Say so, or log the servers out first." : undefined}
          label="It is in use"
        >
          <Alert type="warning">{initiators.join(", ")} will lose the disk while using it.</Alert>
          <Checkbox checked={isForced} onChange={({ detail }) => setForced(detail.checked)}>
            Detach it all the same
          </Checkbox>
        </FormField>
      )}
    </FormDialog>
  );
}

export function AttachDialog({ volume, onClose }: { volume: Volume; onClose: () => void }): ReactNode {
  const { storageGateway } = useClients();
  const notices = useNotices();
  const go = useGo();
  const queryClient = useQueryClient();
  const isStored = volume.kind === "stored";
  const gateways = (useGateways().data ?? []).filter(
    ({ GatewayType }) => GatewayType === (isStored ? "STORED" : "CACHED"),
  );
  const taken = (useVolumes().data ?? []).filter(({ id }) => id !== volume.id).map(({ name }) => name);
  const [gatewayArn, setGatewayArn] = useState<string>();
  const gateway = gateways.find(({ GatewayARN }) => GatewayARN === gatewayArn) ?? gateways[0];
  const disks = (useLocalDisks(isStored ? gateway?.GatewayARN : undefined).data ?? []).filter(
    ({ use, sizeBytes }) => use === "AVAILABLE" && sizeBytes >= volume.sizeBytes,
  );
  const newDisk = useNewDisk();
  const [disk, setDisk] = useState(NEW_DISK);
  const [name, setName] = useState(volume.name);
  const [tried, setTried] = useState(false);
  const nameProblem = targetNameProblem(name, taken);
  const isNewDisk = isStored && disk === NEW_DISK;
  const diskProblem =
    isNewDisk && newDisk.problem === undefined && newDisk.sizeBytes < volume.sizeBytes
      ? `The volume has ${bytes(volume.sizeBytes)}: the disk has to be as large.`
      : undefined;

  async function submit(): Promise<boolean> {
    setTried(true);
    if (gateway === undefined || nameProblem !== undefined || diskProblem !== undefined) return false;
    if (isNewDisk && newDisk.problem !== undefined) return false;
    const diskId = isNewDisk ? await newDisk.create() : disk;
    if (isNewDisk) setDisk(diskId);
    await queryClient.invalidateQueries({ queryKey: ["disks"] });
    const { VolumeARN = "" } = await storageGateway.send(
      new AttachVolumeCommand({
        GatewayARN: gateway.GatewayARN,
        VolumeARN: volume.arn,
        TargetName: name,
        NetworkInterfaceId: volume.host === "" ? "127.0.0.1" : volume.host,
        ...(isStored && { DiskId: diskId }),
      }),
    );
    await queryClient.invalidateQueries({ queryKey: ["volumes"] });
    notices.succeeded(`${name} is attached to ${gateway.GatewayName ?? ""}`);
    go(`/volumes/${VolumeARN.split("/volume/")[1]?.toLowerCase() ?? volume.id}`);
    return true;
  }

  return (
    <FormDialog header={`Attach ${volume.name}`} action="Attach" submit={submit} onClose={onClose}>
      <FormField
        label="Gateway"
        errorText={gateways.length === 0 ? `There is no gateway for ${volume.kind} volumes.` : undefined}
      >
        <Select
          selectedOption={
            gateway === undefined ? null : { value: gateway.GatewayARN, label: gateway.GatewayName ?? "" }
          }
          options={gateways.map(({ GatewayARN, GatewayName = "" }) => ({
            value: GatewayARN,
            label: GatewayName,
          }))}
          onChange={({ detail }) => setGatewayArn(detail.selectedOption.value)}
        />
      </FormField>
      <FormField label="Name" errorText={nameProblem} constraintText="The last part of the target’s name.">
        <Input value={name} spellcheck={false} onChange={({ detail }) => setName(detail.value)} />
      </FormField>
      {isStored && (
        <FormField label="Disk" constraintText={`Its content is lost; it needs ${bytes(volume.sizeBytes)}.`}>
          <Select
            selectedOption={
              disk === NEW_DISK ? { value: NEW_DISK, label: "Make a new disk" } : { value: disk, label: disk }
            }
            options={[
              { value: NEW_DISK, label: "Make a new disk", description: "A sparse file on the gateway" },
              ...disks.map(({ id, sizeBytes, path }) => ({
                value: id,
                label: id,
                description: `${bytes(sizeBytes)}, ${path}`,
              })),
            ]}
            onChange={({ detail }) => setDisk(detail.selectedOption.value ?? NEW_DISK)}
          />
        </FormField>
      )}
      {isNewDisk && <NewDiskFields disk={newDisk} tried={tried} problem={diskProblem} />}
    </FormDialog>
  );
}
