import Badge from "@cloudscape-design/components/badge";
import Box from "@cloudscape-design/components/box";
import Button from "@cloudscape-design/components/button";
import Header from "@cloudscape-design/components/header";
import Select from "@cloudscape-design/components/select";
import StatusIndicator from "@cloudscape-design/components/status-indicator";
import TextFilter from "@cloudscape-design/components/text-filter";
import { useInfiniteQuery } from "@tanstack/react-query";
import { type ReactNode, useState } from "react";
import { CALM_MS } from "../api/queries.ts";
import { usePlace } from "../layout.tsx";
import { time } from "../parts/format.ts";
import { List } from "../parts/list.tsx";
import { Problem } from "../parts/problem.tsx";
import { useClients } from "../session/context.tsx";

interface Activity {
  readonly Sequence: number;
  readonly Time: number;
  readonly Kind: "call" | "event";
  readonly Name: string;
  readonly Result: "succeeded" | "failed" | "denied";
  readonly Resources: readonly string[];
  readonly Message?: string;
  readonly Actor?: { readonly Name: string };
  readonly SourceAddress?: string;
  readonly ErrorMessage?: string;
}

interface Page {
  readonly Activities: readonly Activity[];
  readonly Marker?: string;
}

const PAGE_SIZE = 100;
const RESULTS = [
  { value: "", label: "Any result" },
  { value: "succeeded", label: "Succeeded" },
  { value: "failed", label: "Failed" },
  { value: "denied", label: "Denied" },
];
const RESULT_TYPES = { succeeded: "success", failed: "error", denied: "warning" } as const;

/** Who did what, and what came about by itself. */
export function ActivityLog(): ReactNode {
  usePlace({ text: "Activity" });
  const { own } = useClients();
  const [result, setResult] = useState("");
  const [resource, setResource] = useState("");
  const log = useInfiniteQuery({
    queryKey: ["activity", result, resource],
    refetchInterval: CALM_MS,
    initialPageParam: undefined as string | undefined,
    queryFn: ({ pageParam }) =>
      own<Page>("ListActivity", {
        Limit: PAGE_SIZE,
        ...(result !== "" && { Result: result }),
        ...(resource.trim() !== "" && { Resource: resource.trim() }),
        ...(pageParam !== undefined && { Marker: pageParam }),
      }),
    getNextPageParam: ({ Marker }) => Marker,
  });
  const items = log.data?.pages.flatMap(({ Activities }) => Activities) ?? [];
  if (log.error !== null && log.data === undefined) {
    return <Problem what="The activity log" error={log.error} retry={log.refetch} />;
  }
  return (
    <List
      variant="full-page"
      stickyHeader
      enableKeyboardNavigation
      items={items}
      trackBy={({ Sequence }) => String(Sequence)}
      loading={log.isPending}
      loadingText="Loading the log"
      wrapLines
      ariaLabels={{ tableLabel: "Activity" }}
      columnDefinitions={[
        { id: "time", header: "Time", minWidth: 170, cell: ({ Time }) => time(new Date(Time * 1000)) },
        {
          id: "name",
          header: "What",
          isRowHeader: true,
          cell: ({ Name, Kind }) => (
            <>
              {Name} {Kind === "event" && <Badge>by itself</Badge>}
            </>
          ),
        },
        {
          id: "result",
          header: "Result",
          minWidth: 140,
          cell: ({ Result }) => (
            <StatusIndicator type={RESULT_TYPES[Result]}>
              {Result[0]?.toUpperCase()}
              {Result.slice(1)}
            </StatusIndicator>
          ),
        },
        { id: "actor", header: "Who", cell: ({ Actor }) => Actor?.Name ?? "–" },
        { id: "from", header: "From", cell: ({ SourceAddress }) => SourceAddress ?? "–" },
        {
          id: "about",
          header: "About",
          minWidth: 260,
          cell: ({ Resources, Message, ErrorMessage }) => (
            <>
              {Message ?? ErrorMessage ?? ""}{" "}
              {Resources.map((each) => (
                <Box key={each} variant="small" display="block">
                  {each.split(/:gateway\//).at(-1)}
                </Box>
              ))}
            </>
          ),
        },
      ]}
      header={
        <Header
          variant="awsui-h1-sticky"
          description="Every call that changed something or was refused, and what the gateway did by itself. Secrets are never in it."
        >
          Activity
        </Header>
      }
      filter={
        <div className="filters">
          <TextFilter
            filteringText={resource}
            filteringPlaceholder="Find by an ID or ARN"
            filteringAriaLabel="Find by an ID or ARN"
            onChange={({ detail }) => setResource(detail.filteringText)}
          />
          <Select
            ariaLabel="Result"
            selectedOption={RESULTS.find(({ value }) => value === result) ?? null}
            options={RESULTS}
            onChange={({ detail }) => setResult(detail.selectedOption.value ?? "")}
          />
        </div>
      }
      footer={
        log.hasNextPage && (
          <Box textAlign="center">
            <Button loading={log.isFetchingNextPage} onClick={() => void log.fetchNextPage()}>
              Show older entries
            </Button>
          </Box>
        )
      }
      empty={<Box color="text-body-secondary">Nothing yet.</Box>}
    />
  );
}
