/** Two snapshots beside each other: how much of them differs, and where on the volume. */
import Alert from "@cloudscape-design/components/alert";
import Box from "@cloudscape-design/components/box";
import Button from "@cloudscape-design/components/button";
import KeyValuePairs from "@cloudscape-design/components/key-value-pairs";
import SpaceBetween from "@cloudscape-design/components/space-between";
import Spinner from "@cloudscape-design/components/spinner";
import { type ReactNode, useState } from "react";
import { type SnapshotDifference, useDifference } from "../api/sizes.ts";
import type { SnapshotView } from "../api/snapshots.ts";
import { Dialog } from "./dialog.tsx";
import { bytes, count, percent } from "./format.ts";
import { Problem } from "./problem.tsx";
import { SnapshotSelect } from "./snapshot-select.tsx";

/** `other`: what it is compared with at first. */
export function CompareDialog(props: {
  snapshot: SnapshotView;
  other: string | undefined;
  onClose: () => void;
}): ReactNode {
  const { snapshot, onClose } = props;
  const [other, setOther] = useState(props.other);
  const found = useDifference(other, snapshot.id);
  return (
    <Dialog
      size="large"
      header={`What has changed until “${snapshot.description || snapshot.id}”`}
      onDismiss={onClose}
      footer={
        <Box float="right">
          <Button variant="primary" onClick={onClose}>
            Close
          </Button>
        </Box>
      }
    >
      <SpaceBetween size="l">
        <SnapshotSelect
          label="Since"
          id={other}
          volumeId={snapshot.volumeId}
          onChange={setOther}
          errorText={undefined}
        />
        <div aria-live="polite">
          {other === undefined ? (
            <Box color="text-body-secondary">Choose the snapshot that it is compared with.</Box>
          ) : found.error !== null ? (
            <Problem what="The difference" error={found.error} retry={found.refetch} />
          ) : found.data === undefined ? (
            <SpaceBetween direction="horizontal" size="xs">
              <Spinner />
              <span>Reading the maps of both</span>
            </SpaceBetween>
          ) : (
            <Difference found={found.data} />
          )}
        </div>
      </SpaceBetween>
    </Dialog>
  );
}

function Difference({ found }: { found: SnapshotDifference }): ReactNode {
  const more = found.IsAtLeast ? "more than " : "";
  return (
    <SpaceBetween size="m">
      {found.IsAtLeast && <Alert type="info">They differ in so much that not all of it was looked at.</Alert>}
      <KeyValuePairs
        columns={3}
        items={[
          {
            label: "Changed",
            value:
              found.ChangedBlocks === 0
                ? "Nothing: both hold the same"
                : `${more}${bytes(found.ChangedSizeInBytes)} in ${count(found.ChangedBlocks)} blocks`,
          },
          {
            label: "Of the volume",
            value: `${more}${percent((100 * found.ChangedSizeInBytes) / found.VolumeSizeInBytes, 2)} of ${bytes(found.VolumeSizeInBytes)}`,
          },
          { label: "In the bucket for it", value: `${more}${bytes(found.StoredSizeInBytes)}` },
        ]}
      />
      {found.ChangedBlocks > 0 && <Where found={found} />}
    </SpaceBetween>
  );
}

/** The volume from its beginning to its end; what has changed is dark where much has, and pale where little has. */
function Where({ found }: { found: SnapshotDifference }): ReactNode {
  const parts = found.ChangedSizesInBytes;
  const partBytes = found.VolumeSizeInBytes / parts.length;
  const touched = parts.filter((changed) => changed > 0).length;
  return (
    <div>
      <div
        className="where"
        role="img"
        aria-label={`Where on the volume: in ${touched} of ${parts.length} equal parts`}
      >
        {parts.map((changed, i) => (
          <span
            // biome-ignore lint/suspicious/noArrayIndexKey: a part of the volume is its place
            key={i}
            className={changed > 0 ? "where-part where-changed" : "where-part"}
            style={changed > 0 ? { opacity: 0.35 + 0.65 * Math.min(1, changed / partBytes) } : {}}
            title={changed > 0 ? `${bytes(changed)} changed at ${bytes(i * partBytes)}` : ""}
          />
        ))}
      </div>
      <div className="timeline-ends">
        <Box color="text-body-secondary" fontSize="body-s">
          0
        </Box>
        <Box color="text-body-secondary" fontSize="body-s">
          {bytes(found.VolumeSizeInBytes)}
        </Box>
      </div>
    </div>
  );
}
