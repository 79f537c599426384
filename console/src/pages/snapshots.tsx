import { type ReactNode, useState } from "react";
import { usePlace } from "../layout.tsx";
import { ChooseVolumesDialog } from "../parts/choose-volumes.tsx";
import { SnapshotTable } from "../parts/snapshot-table.tsx";

export function Snapshots(): ReactNode {
  usePlace({ text: "Snapshots" });
  const [isCreating, setCreating] = useState(false);
  return (
    <>
      <SnapshotTable onCreate={() => setCreating(true)} />
      {isCreating && <ChooseVolumesDialog onClose={() => setCreating(false)} />}
    </>
  );
}
