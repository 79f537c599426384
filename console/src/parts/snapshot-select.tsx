import FormField from "@cloudscape-design/components/form-field";
import Select, { type SelectProps } from "@cloudscape-design/components/select";
import { type ReactNode, useState } from "react";
import { type SnapshotView, useSnapshot, useSnapshots } from "../api/snapshots.ts";
import { bytes, time } from "./format.ts";

const OPTIONS_MAX = 100;

function optionOf(snapshot: SnapshotView): SelectProps.Option {
  return {
    value: snapshot.id,
    label: snapshot.description === "" ? snapshot.id : snapshot.description,
    description: `${snapshot.id}, ${time(snapshot.startedAt)}, ${bytes(snapshot.volumeSizeBytes)} of ${snapshot.volumeId}`,
  };
}

/** Chooses a completed snapshot; the gateway looks for what is typed. */
export function SnapshotSelect(props: {
  id: string | undefined;
  /** "Snapshot" without it. */
  label?: string;
  /** Only those of this volume. */
  volumeId?: string;
  onChange: (id: string) => void;
  errorText: string | undefined;
}): ReactNode {
  const [text, setText] = useState("");
  const found = useSnapshots({
    ...{ text, states: ["completed"], offset: 0, limit: OPTIONS_MAX },
    ...(props.volumeId !== undefined && { volumeId: props.volumeId }),
  });
  const chosen = useSnapshot(props.id ?? "").data;
  return (
    <FormField label={props.label ?? "Snapshot"} errorText={props.errorText}>
      <Select
        filteringType="manual"
        filteringPlaceholder="Find by description, ID, volume or tag"
        placeholder="Choose a snapshot"
        empty="No completed snapshot matches"
        statusType={found.isPending ? "loading" : "finished"}
        loadingText="Looking"
        finishedText={
          (found.data?.total ?? 0) > OPTIONS_MAX ? `The newest ${OPTIONS_MAX} of ${found.data?.total}` : ""
        }
        selectedOption={chosen === undefined || chosen === null ? null : optionOf(chosen)}
        options={found.data?.snapshots.map(optionOf) ?? []}
        onLoadItems={({ detail }) => setText(detail.filteringText)}
        onChange={({ detail }) => {
          if (detail.selectedOption.value !== undefined) props.onChange(detail.selectedOption.value);
        }}
      />
    </FormField>
  );
}
