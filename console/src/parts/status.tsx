import ProgressBar from "@cloudscape-design/components/progress-bar";
import SpaceBetween from "@cloudscape-design/components/space-between";
import StatusIndicator, { type StatusIndicatorProps } from "@cloudscape-design/components/status-indicator";
import type { ReactNode } from "react";
import { GATEWAY_SHUT_DOWN, isChanging, type Volume } from "../api/queries.ts";
import type { SnapshotView } from "../api/snapshots.ts";
import { percent } from "./format.ts";

const VOLUME: Readonly<Record<string, StatusIndicatorProps.Type>> = {
  AVAILABLE: "success",
  IRRECOVERABLE: "error",
  "PASS THROUGH": "warning",
  "UPLOAD BUFFER NOT CONFIGURED": "warning",
  [GATEWAY_SHUT_DOWN]: "stopped",
};

/** `UPLOAD BUFFER NOT CONFIGURED` → `Upload buffer not configured`. */
function sentence(text: string): string {
  return text === "" ? "Unknown" : (text[0] ?? "") + text.slice(1).toLowerCase();
}

export function VolumeStatus({ volume }: { volume: Volume }): ReactNode {
  const { status, progress, attachment } = volume;
  if (attachment === "DETACHING")
    return <StatusIndicator type="in-progress">Detaching: the rest is being uploaded</StatusIndicator>;
  if (attachment === "DETACHED") return <StatusIndicator type="stopped">Detached</StatusIndicator>;
  const type = VOLUME[status] ?? (isChanging(volume) ? "in-progress" : "info");
  return (
    <StatusIndicator type={type}>
      {sentence(status)}
      {progress !== undefined && ` ${percent(progress)}`}
    </StatusIndicator>
  );
}

export function SnapshotStatus({ snapshot }: { snapshot: SnapshotView }): ReactNode {
  if (snapshot.state === "completed") return <StatusIndicator type="success">Completed</StatusIndicator>;
  if (snapshot.state === "error") return <StatusIndicator type="error">Error</StatusIndicator>;
  return (
    <SpaceBetween size="xxs">
      <StatusIndicator type="in-progress">Pending</StatusIndicator>
      <ProgressBar value={snapshot.progress} ariaLabel={`Upload of ${snapshot.id}`} />
    </SpaceBetween>
  );
}
