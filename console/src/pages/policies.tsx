import Alert from "@cloudscape-design/components/alert";
import Box from "@cloudscape-design/components/box";
import Button from "@cloudscape-design/components/button";
import Header from "@cloudscape-design/components/header";
import SpaceBetween from "@cloudscape-design/components/space-between";
import StatusIndicator from "@cloudscape-design/components/status-indicator";
import { useQueryClient } from "@tanstack/react-query";
import { type ReactNode, useState } from "react";
import { deletePolicy, POLICIES_KEY, type Policy, useDlm, usePolicies } from "../api/policies.ts";
import { usePlace } from "../layout.tsx";
import { Confirm } from "../parts/confirm.tsx";
import { List } from "../parts/list.tsx";
import { useNotices } from "../parts/notices.tsx";
import { PolicyDialog } from "../parts/policy-dialog.tsx";
import { PolicyPreviewBox } from "../parts/policy-preview.tsx";
import { keepWords, rhythmWords, tagWords } from "../parts/policy-words.ts";
import { Problem } from "../parts/problem.tsx";
import { useSignedIn } from "../session/context.tsx";

/** Policies that take snapshots of whatever has a tag, and delete them again after a time. */
export function Policies(): ReactNode {
  usePlace({ text: "Policies" });
  const { canChange } = useSignedIn();
  const policies = usePolicies();
  const [selectedId, setSelectedId] = useState<string>();
  const [edited, setEdited] = useState<Policy | "new">();
  const [deleted, setDeleted] = useState<Policy>();
  const selected = policies.data?.find(({ id }) => id === selectedId);
  if (policies.error !== null && policies.data === undefined) {
    return <Problem what="The policies" error={policies.error} retry={policies.refetch} />;
  }
  return (
    <SpaceBetween size="l">
      <List
        items={policies.data ?? []}
        loading={policies.isPending}
        loadingText="Loading the policies"
        trackBy="id"
        selectionType="single"
        selectedItems={selected === undefined ? [] : [selected]}
        onSelectionChange={({ detail }) => setSelectedId(detail.selectedItems[0]?.id)}
        ariaLabels={{
          tableLabel: "Policies",
          selectionGroupLabel: "Choose a policy",
          itemSelectionLabel: (_, { description, id }) => `Choose ${description} ${id}`,
        }}
        columnDefinitions={[
          {
            id: "description",
            header: "Policy",
            sortingField: "description",
            isRowHeader: true,
            cell: ({ description, id }) => (
              <Button variant="inline-link" onClick={() => setSelectedId(id)}>
                {description}
              </Button>
            ),
          },
          {
            id: "state",
            header: "Status",
            sortingField: "status",
            cell: ({ isEnabled, status }) =>
              !isEnabled ? (
                <StatusIndicator type="stopped">Paused</StatusIndicator>
              ) : status === "ENABLED" || status === "" ? (
                <StatusIndicator type="success">On</StatusIndicator>
              ) : (
                <StatusIndicator type="warning">
                  <span className="words">{status}</span>
                </StatusIndicator>
              ),
          },
          {
            id: "targets",
            header: "Of",
            cell: ({ details }) => (
              <span className="words">
                {details.ResourceTypes?.includes("INSTANCE") ? "gateways" : "volumes"} with{" "}
                {tagWords(details.TargetTags)}
              </span>
            ),
          },
          {
            id: "schedules",
            header: "When, and how long they are kept",
            cell: ({ details }) =>
              (details.Schedules ?? []).map((schedule, i) => (
                <div key={schedule.Name ?? i} className="words">
                  {rhythmWords(schedule)}; {keepWords(schedule)}
                </div>
              )),
          },
        ]}
        header={
          <Header
            variant="h1"
            counter={policies.data === undefined ? "" : `(${policies.data.length})`}
            description="Snapshots that are taken by themselves of whatever has a tag, and deleted again after a time. What is locked, what somebody took by hand, and the newest of each volume always stay."
            actions={
              <SpaceBetween direction="horizontal" size="xs">
                <Button disabled={selected === undefined || !canChange} onClick={() => setDeleted(selected)}>
                  Delete
                </Button>
                <Button disabled={selected === undefined || !canChange} onClick={() => setEdited(selected)}>
                  Edit
                </Button>
                <Button variant="primary" disabled={!canChange} onClick={() => setEdited("new")}>
                  Create policy
                </Button>
              </SpaceBetween>
            }
          >
            Policies
          </Header>
        }
        empty={
          <Box textAlign="center" padding="l">
            <SpaceBetween size="s">
              <Box variant="h3">No policy yet</Box>
              <Box color="text-body-secondary">
                Give volumes a tag such as <b>backup</b> = <b>daily</b>, and make a policy for it: new volumes
                with that tag are taken in by themselves.
              </Box>
              <Button disabled={!canChange} onClick={() => setEdited("new")}>
                Create policy
              </Button>
            </SpaceBetween>
          </Box>
        }
      />
      {selected !== undefined && <PolicyPreviewBox policy={selected} />}
      {edited !== undefined && (
        <PolicyDialog policy={edited === "new" ? undefined : edited} onClose={() => setEdited(undefined)} />
      )}
      {deleted !== undefined && <DeleteDialog policy={deleted} onClose={() => setDeleted(undefined)} />}
    </SpaceBetween>
  );
}

function DeleteDialog({ policy, onClose }: { policy: Policy; onClose: () => void }): ReactNode {
  const dlm = useDlm();
  const notices = useNotices();
  const queryClient = useQueryClient();
  async function run(): Promise<void> {
    await deletePolicy(dlm, policy.id);
    notices.succeeded(`The policy “${policy.description}” is deleted`);
    await queryClient.invalidateQueries({ queryKey: POLICIES_KEY });
  }
  return (
    <Confirm header="Delete this policy?" action="Delete" run={run} onClose={onClose}>
      <Box>“{policy.description}” takes no more snapshots.</Box>
      <Alert type="info">
        Those that it has taken stay, and nobody deletes them any more: they are yours to delete.
      </Alert>
    </Confirm>
  );
}
