import Box from "@cloudscape-design/components/box";
import Button from "@cloudscape-design/components/button";
import Header from "@cloudscape-design/components/header";
import type { ReactNode } from "react";
import type { Tag } from "../api/queries.ts";
import { useSignedIn } from "../session/context.tsx";
import { List } from "./list.tsx";

export function TagList(props: {
  tags: readonly Tag[] | undefined;
  isLoading: boolean;
  onEdit: () => void;
}): ReactNode {
  const { canChange } = useSignedIn();
  return (
    <List
      items={props.tags ?? []}
      loading={props.isLoading}
      loadingText="Loading the tags"
      ariaLabels={{ tableLabel: "Tags" }}
      columnDefinitions={[
        { id: "key", header: "Key", isRowHeader: true, cell: ({ key }) => key },
        { id: "value", header: "Value", cell: ({ value }) => value },
      ]}
      header={
        <Header
          counter={props.tags === undefined ? "" : `(${props.tags.length})`}
          actions={
            <Button disabled={!canChange} onClick={props.onEdit}>
              Edit tags
            </Button>
          }
        >
          Tags
        </Header>
      }
      empty={
        <Box color="text-body-secondary">No tags. They help to find things again, and scripts to choose.</Box>
      }
    />
  );
}
