/** What a snapshot comes from and what has come of it: its volume's snapshots by age, and the volumes made of it. */
import Box from "@cloudscape-design/components/box";
import Container from "@cloudscape-design/components/container";
import Header from "@cloudscape-design/components/header";
import SpaceBetween from "@cloudscape-design/components/space-between";
import type { ReactNode } from "react";
import { useVolumes } from "../api/queries.ts";
import { useSnapshotSizes } from "../api/sizes.ts";
import { type SnapshotView, useSnapshots } from "../api/snapshots.ts";
import { time } from "./format.ts";
import { PageLink } from "./links.tsx";
import { UniqueSize } from "./unique-size.tsx";

const AROUND = 3;

export function Lineage({ snapshot }: { snapshot: SnapshotView }): ReactNode {
  const siblings = useSnapshots({
    volumeId: snapshot.volumeId,
    sortBy: "StartTime",
    ascending: true,
    around: snapshot.id,
    offset: 0,
    limit: 2 * AROUND + 1,
  }).data?.snapshots;
  const volumes = useVolumes().data ?? [];
  const origin = volumes.find(({ id }) => id === snapshot.volumeId)?.sourceSnapshotId;
  const children = volumes.filter(({ sourceSnapshotId }) => sourceSnapshotId === snapshot.id);
  const around = siblings ?? [];
  const sizes = useSnapshotSizes(around.filter((each) => each.state === "completed").map(({ id }) => id));
  return (
    <Container
      header={
        <Header
          variant="h2"
          description="Each snapshot stands by itself: deleting those before it or after it takes nothing away from it."
        >
          Lineage
        </Header>
      }
    >
      <SpaceBetween size="m">
        {origin !== undefined && (
          <Box>
            Its volume was made of <PageLink to={`/snapshots/${origin}`}>{origin}</PageLink>.
          </Box>
        )}
        <ol className="lineage">
          {around.map((each) => (
            <li key={each.id} aria-current={each.id === snapshot.id ? "true" : undefined}>
              <span className="lineage-time">{time(each.startedAt)}</span>{" "}
              {each.id === snapshot.id ? (
                <b>{each.description === "" ? each.id : each.description} (this one)</b>
              ) : (
                <PageLink to={`/snapshots/${each.id}`}>
                  {each.description === "" ? each.id : each.description}
                </PageLink>
              )}
              {sizes.get(each.id)?.HeldByVolumeIds?.length === 0 && (
                <Box variant="small" display="inline" margin={{ left: "xs" }}>
                  <UniqueSize size={sizes.get(each.id)} /> of its own
                </Box>
              )}
            </li>
          ))}
        </ol>
        <Box>
          {children.length === 0 ? (
            <Box color="text-body-secondary">No volume was made of it.</Box>
          ) : (
            <>
              Volumes made of it:{" "}
              {children.map(({ id, name }, i) => (
                <span key={id}>
                  {i > 0 && ", "}
                  <PageLink to={`/volumes/${id}`}>{name}</PageLink>
                </span>
              ))}
            </>
          )}
        </Box>
      </SpaceBetween>
    </Container>
  );
}
