/** Tells screen readers, and everybody where it went wrong, what came of snapshots meanwhile. Shows nothing itself. */
import LiveRegion from "@cloudscape-design/components/live-region";
import { type ReactNode, useEffect, useRef, useState } from "react";
import { type SnapshotView, useSnapshots } from "../api/snapshots.ts";
import { useNotices } from "./notices.tsx";

const WATCHED = 20;

const nameOf = ({ id, description }: SnapshotView) => (description === "" ? id : description);

export function Announcer(): ReactNode {
  const newest = useSnapshots({ offset: 0, limit: WATCHED }).data?.snapshots;
  const { failed } = useNotices();
  const known = useRef<ReadonlyMap<string, string>>(undefined);
  const [words, setWords] = useState("");

  useEffect(() => {
    if (newest === undefined) return;
    const before = known.current;
    known.current = new Map(newest.map(({ id, state }) => [id, state]));
    // What was there when the console was opened is no news.
    if (before === undefined) return;
    const ended = newest.filter(({ id, state }) => state !== "pending" && before.get(id) !== state);
    // One that moved up as another was deleted is no news either.
    const news = ended.filter(
      ({ id, startedAt }) => before.has(id) || isNewerThanAll(startedAt, newest, before),
    );
    const completed = news.filter(({ state }) => state === "completed");
    for (const snapshot of news)
      if (snapshot.state === "error")
        failed(
          `The snapshot ${nameOf(snapshot)} has failed`,
          new Error(snapshot.reason ?? "No reason is known."),
        );
    if (completed.length > 0)
      setWords(completed.map((each) => `The snapshot ${nameOf(each)} is in the bucket.`).join(" "));
  }, [newest, failed]);

  return <LiveRegion hidden>{words}</LiveRegion>;
}

function isNewerThanAll(
  startedAt: Date,
  snapshots: readonly SnapshotView[],
  known: ReadonlyMap<string, string>,
): boolean {
  return snapshots.every((each) => !known.has(each.id) || each.startedAt <= startedAt);
}
