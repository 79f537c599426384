import Box from "@cloudscape-design/components/box";
import FormField from "@cloudscape-design/components/form-field";
import Multiselect from "@cloudscape-design/components/multiselect";
import { type ReactNode, useState } from "react";
import { useVolumes } from "../api/queries.ts";
import { FormDialog } from "./form-dialog.tsx";
import { bytes } from "./format.ts";
import { PageLink } from "./links.tsx";
import { CreateSnapshotDialog } from "./volume-dialogs.tsx";

/** Chooses the volumes first, then asks for what a snapshot needs. */
export function ChooseVolumesDialog({ onClose }: { onClose: () => void }): ReactNode {
  const volumes = useVolumes().data ?? [];
  const [ids, setIds] = useState<readonly string[]>([]);
  const [tried, setTried] = useState(false);
  const [isChosen, setChosen] = useState(false);
  const chosen = volumes.filter(({ id }) => ids.includes(id));
  if (isChosen) return <CreateSnapshotDialog volumes={chosen} onClose={onClose} />;
  return (
    <FormDialog
      header="Create snapshot"
      action="Next"
      onClose={onClose}
      submit={async () => {
        setTried(true);
        if (chosen.length > 0) setChosen(true);
        return false;
      }}
    >
      {volumes.length === 0 && (
        <Box>
          There is no volume yet. <PageLink to="/volumes/create">Create one</PageLink> first.
        </Box>
      )}
      <FormField
        label="Volumes"
        description="Several are taken at the same instant: writes of one that follow those of another stay in order."
        errorText={tried && chosen.length === 0 ? "Choose at least one volume." : undefined}
      >
        <Multiselect
          filteringType="auto"
          placeholder="Choose volumes"
          selectedOptions={chosen.map(({ id, name }) => ({ value: id, label: name }))}
          options={volumes.map(({ id, name, sizeBytes }) => ({
            value: id,
            label: name,
            description: `${id}, ${bytes(sizeBytes)}`,
          }))}
          onChange={({ detail }) => setIds(detail.selectedOptions.map(({ value = "" }) => value))}
        />
      </FormField>
    </FormDialog>
  );
}
