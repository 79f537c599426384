/** The access keys of the API: who may sign in, and what with. */
import Alert from "@cloudscape-design/components/alert";
import Box from "@cloudscape-design/components/box";
import Button from "@cloudscape-design/components/button";
import FormField from "@cloudscape-design/components/form-field";
import Header from "@cloudscape-design/components/header";
import Input from "@cloudscape-design/components/input";
import RadioGroup from "@cloudscape-design/components/radio-group";
import SpaceBetween from "@cloudscape-design/components/space-between";
import Tiles from "@cloudscape-design/components/tiles";
import { useQuery, useQueryClient } from "@tanstack/react-query";
import { type ReactNode, useState } from "react";
import { useClients, useSignedIn } from "../session/context.tsx";
import { Command } from "./command.tsx";
import { Confirm } from "./confirm.tsx";
import { Dialog } from "./dialog.tsx";
import { FormDialog } from "./form-dialog.tsx";
import { ago, time } from "./format.ts";
import { List } from "./list.tsx";
import { Problem } from "./problem.tsx";

interface AccessKey {
  readonly Name: string;
  readonly AccessKeyId: string;
  readonly Role: "admin" | "read-only";
  readonly ExpirationTime?: number;
  readonly LastUsedTime?: number;
}

type NewKey = AccessKey & { readonly SecretAccessKey: string };

const QUERY_KEY = ["access-keys"];
const NAME_LENGTH_MAX = 128;

export function AccessKeys(): ReactNode {
  const { own } = useClients();
  const { canChange, session } = useSignedIn();
  const queryClient = useQueryClient();
  const [isAdding, setAdding] = useState(false);
  const [made, setMade] = useState<NewKey>();
  const [rotated, setRotated] = useState<AccessKey>();
  const [removed, setRemoved] = useState<AccessKey>();
  const [selectedId, setSelectedId] = useState<string>();
  const keys = useQuery({
    queryKey: QUERY_KEY,
    queryFn: async () => (await own<{ AccessKeys: AccessKey[] }>("ListAccessKeys", {})).AccessKeys,
  });
  const selected = keys.data?.find(({ AccessKeyId }) => AccessKeyId === selectedId);
  if (keys.error !== null) return <Problem what="The access keys" error={keys.error} retry={keys.refetch} />;
  return (
    <>
      <List
        items={keys.data ?? []}
        loading={keys.isPending}
        loadingText="Loading the keys"
        trackBy="AccessKeyId"
        selectionType="single"
        selectedItems={selected === undefined ? [] : [selected]}
        onSelectionChange={({ detail }) => setSelectedId(detail.selectedItems[0]?.AccessKeyId)}
        ariaLabels={{
          tableLabel: "Access keys",
          selectionGroupLabel: "Choose a key",
          itemSelectionLabel: (_, { Name }) => `Choose ${Name}`,
        }}
        columnDefinitions={[
          { id: "name", header: "Name", isRowHeader: true, sortingField: "Name", cell: ({ Name }) => Name },
          {
            id: "id",
            header: "Access key ID",
            sortingField: "AccessKeyId",
            cell: ({ AccessKeyId }) => (
              <>
                <span className="code">{AccessKeyId}</span>
                {AccessKeyId === session.signedInAs && " (yours)"}
              </>
            ),
          },
          {
            id: "role",
            header: "May",
            sortingField: "Role",
            cell: ({ Role }) => (Role === "admin" ? "change everything" : "look only"),
          },
          {
            id: "ends",
            header: "Good until",
            sortingField: "ExpirationTime",
            cell: ({ ExpirationTime }) =>
              ExpirationTime === undefined ? "it is deleted" : time(new Date(ExpirationTime * 1000)),
          },
          {
            id: "used",
            header: "Last used",
            sortingField: "LastUsedTime",
            cell: ({ LastUsedTime }) =>
              LastUsedTime === undefined ? "not since the start" : ago(new Date(LastUsedTime * 1000)),
          },
        ]}
        header={
          <Header
            counter={keys.data === undefined ? "" : `(${keys.data.length})`}
            actions={
              <SpaceBetween direction="horizontal" size="xs">
                <Button
                  disabled={
                    !canChange || selected === undefined || selected.AccessKeyId === session.signedInAs
                  }
                  onClick={() => setRemoved(selected)}
                >
                  Delete
                </Button>
                <Button
                  disabled={!canChange || selected === undefined || selected.ExpirationTime !== undefined}
                  onClick={() => setRotated(selected)}
                >
                  Rotate
                </Button>
                <Button variant="primary" disabled={!canChange} onClick={() => setAdding(true)}>
                  Create a key
                </Button>
              </SpaceBetween>
            }
          >
            Access keys
          </Header>
        }
      />
      {isAdding && <NewKeyDialog onMade={setMade} onClose={() => setAdding(false)} />}
      {rotated !== undefined && (
        <RotateDialog accessKey={rotated} onMade={setMade} onClose={() => setRotated(undefined)} />
      )}
      {made !== undefined && <MadeKey made={made} onClose={() => setMade(undefined)} />}
      {removed !== undefined && (
        <Confirm
          header={`Delete the key ${removed.Name}?`}
          action="Delete"
          typed={removed.Name}
          onClose={() => setRemoved(undefined)}
          run={async () => {
            // By its id: after a rotation two pairs have the name.
            await own("DeleteAccessKey", { Name: removed.AccessKeyId });
            await queryClient.invalidateQueries({ queryKey: QUERY_KEY });
          }}
        >
          <Box>Whoever uses {removed.AccessKeyId} is refused from now on, and sessions made with it end.</Box>
        </Confirm>
      )}
    </>
  );
}

function NewKeyDialog(props: { onMade: (key: NewKey) => void; onClose: () => void }): ReactNode {
  const { own } = useClients();
  const queryClient = useQueryClient();
  const [name, setName] = useState("");
  const [role, setRole] = useState<AccessKey["Role"]>("read-only");
  const [tried, setTried] = useState(false);
  const isGood = name.trim() !== "" && name.trim().length <= NAME_LENGTH_MAX;

  async function submit(): Promise<boolean> {
    setTried(true);
    if (!isGood) return false;
    props.onMade(await own<NewKey>("CreateAccessKey", { Name: name.trim(), Role: role }));
    await queryClient.invalidateQueries({ queryKey: QUERY_KEY });
    return true;
  }

  return (
    <FormDialog header="Create an access key" action="Create" submit={submit} onClose={props.onClose}>
      <FormField
        label="Name"
        errorText={tried && !isGood ? `1 to ${NAME_LENGTH_MAX} characters.` : undefined}
      >
        <Input
          value={name}
          autoFocus
          placeholder="monitoring"
          onChange={({ detail }) => setName(detail.value)}
        />
      </FormField>
      <FormField label="What it may do">
        <Tiles
          value={role}
          onChange={({ detail }) => setRole(detail.value as AccessKey["Role"])}
          items={[
            { value: "read-only", label: "Look only", description: "Lists and describes; changes nothing." },
            { value: "admin", label: "Everything", description: "Also deletes volumes and snapshots." },
          ]}
        />
      </FormField>
    </FormDialog>
  );
}

const KEEP_OLD = [
  { value: "86400", label: "For a day", description: "Time to bring the new pair to whoever uses it." },
  { value: "604800", label: "For a week" },
  {
    value: "0",
    label: "Not at all",
    description: "The old pair is refused from now on: it has become known.",
  },
];

function RotateDialog(props: {
  accessKey: AccessKey;
  onMade: (key: NewKey) => void;
  onClose: () => void;
}): ReactNode {
  const { accessKey, onMade, onClose } = props;
  const { own } = useClients();
  const { session } = useSignedIn();
  const queryClient = useQueryClient();
  const [keep, setKeep] = useState("86400");

  async function submit(): Promise<boolean> {
    onMade(await own<NewKey>("RotateAccessKey", { Name: accessKey.Name, KeepOldSeconds: Number(keep) }));
    await queryClient.invalidateQueries({ queryKey: QUERY_KEY });
    return true;
  }

  return (
    <FormDialog header={`Rotate the key ${accessKey.Name}`} action="Rotate" submit={submit} onClose={onClose}>
      <Box>A new ID and a new secret, with the same rights. The old pair stays good meanwhile:</Box>
      <FormField label="How long">
        <RadioGroup value={keep} items={KEEP_OLD} onChange={({ detail }) => setKeep(detail.value)} />
      </FormField>
      {accessKey.AccessKeyId === session.signedInAs && keep === "0" && (
        <Alert type="warning">It is the key that you have signed in with: this session ends with it.</Alert>
      )}
    </FormDialog>
  );
}

function MadeKey({ made, onClose }: { made: NewKey; onClose: () => void }): ReactNode {
  return (
    <Dialog
      header={`The key ${made.Name}`}
      onDismiss={onClose}
      footer={
        <Box float="right">
          <Button variant="primary" onClick={onClose}>
            I have kept it
          </Button>
        </Box>
      }
    >
      <SpaceBetween size="m">
        <Alert type="warning">The secret is shown this one time only.</Alert>
        <Command
          text={`[${made.Name}]\naws_access_key_id = ${made.AccessKeyId}\naws_secret_access_key = ${made.SecretAccessKey}`}
        />
      </SpaceBetween>
    </Dialog>
  );
}
