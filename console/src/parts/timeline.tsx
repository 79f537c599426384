/** When a volume's snapshots were taken: one mark each, from the first one until now. */
import Box from "@cloudscape-design/components/box";
import type { ReactNode } from "react";
import { useHref } from "react-router";
import { type SnapshotView, useSnapshots } from "../api/snapshots.ts";
import { time } from "./format.ts";
import { useGo } from "./links.tsx";

const SHOWN_MAX = 200;

export function Timeline({ volumeId }: { volumeId: string }): ReactNode {
  const found = useSnapshots({ volumeId, offset: 0, limit: SHOWN_MAX }).data?.snapshots ?? [];
  const oldest = found.at(-1);
  if (oldest === undefined || found.length < 2) return null;
  const fromMs = oldest.startedAt.getTime();
  const spanMs = Math.max(1, Date.now() - fromMs);
  return (
    <div className="timeline-box">
      <nav className="timeline" aria-label="Snapshots by time">
        {found.map((snapshot) => (
          <Mark
            key={snapshot.id}
            snapshot={snapshot}
            at={(100 * (snapshot.startedAt.getTime() - fromMs)) / spanMs}
          />
        ))}
      </nav>
      <div className="timeline-ends">
        <Box color="text-body-secondary" fontSize="body-s">
          {time(oldest.startedAt)}
        </Box>
        <Box color="text-body-secondary" fontSize="body-s">
          now
        </Box>
      </div>
    </div>
  );
}

function Mark({ snapshot, at }: { snapshot: SnapshotView; at: number }): ReactNode {
  const go = useGo();
  const path = `/snapshots/${snapshot.id}`;
  const words = `${snapshot.description === "" ? snapshot.id : snapshot.description}, ${time(snapshot.startedAt)}`;
  return (
    <a
      href={useHref(path)}
      className={`timeline-mark timeline-${snapshot.state}`}
      style={{ insetInlineStart: `${at}%` }}
      title={words}
      onClick={(event) => {
        event.preventDefault();
        go(path);
      }}
    >
      <span>{words}</span>
    </a>
  );
}
