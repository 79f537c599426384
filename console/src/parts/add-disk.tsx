/** Puts a local disk to use: one that is free, or a new one. */
import FormField from "@cloudscape-design/components/form-field";
import Select from "@cloudscape-design/components/select";
import Tiles from "@cloudscape-design/components/tiles";
import { useQueryClient } from "@tanstack/react-query";
import { type ReactNode, useState } from "react";
import { type Gateway, useLocalDisks } from "../api/queries.ts";
import { addDisks, type DiskUse } from "../api/storage.ts";
import { useClients } from "../session/context.tsx";
import { FormDialog } from "./form-dialog.tsx";
import { bytes } from "./format.ts";
import { NewDiskFields, useNewDisk } from "./new-disk.tsx";
import { useNotices } from "./notices.tsx";

const NEW_DISK = "new disk";

export function AddDiskDialog({ gateway, onClose }: { gateway: Gateway; onClose: () => void }): ReactNode {
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
