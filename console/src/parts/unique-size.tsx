import Box from "@cloudscape-design/components/box";
import type { ReactNode } from "react";
import type { SnapshotSize } from "../api/sizes.ts";
import { bytes } from "./format.ts";

/** Bytes that only this snapshot holds, or why they are not known. */
export function UniqueSize({ size }: { size: SnapshotSize | undefined }): ReactNode {
  if (size === undefined) return "–";
  if (size.State === "measuring") return <Box color="text-body-secondary">being measured</Box>;
  if (size.State === "unknown")
    return (
      <Box color="text-body-secondary">
        <span title={size.Reason}>not measured</span>
      </Box>
    );
  const { UniqueSizeInBytes, IsAtLeast = false, HeldByVolumeIds = [] } = size;
  if (HeldByVolumeIds.length > 0) return <span title="A volume stands on it">0 B, in use</span>;
  return `${IsAtLeast ? "more than " : ""}${bytes(UniqueSizeInBytes)}`;
}
