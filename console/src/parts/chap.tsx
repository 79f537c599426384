/** Who may attach a volume: initiators and their secrets. */
import {
  DeleteChapCredentialsCommand,
  DescribeChapCredentialsCommand,
  UpdateChapCredentialsCommand,
} from "@aws-sdk/client-storage-gateway";
import Alert from "@cloudscape-design/components/alert";
import Box from "@cloudscape-design/components/box";
import Button from "@cloudscape-design/components/button";
import FormField from "@cloudscape-design/components/form-field";
import Header from "@cloudscape-design/components/header";
import Input from "@cloudscape-design/components/input";
import SpaceBetween from "@cloudscape-design/components/space-between";
import { useQuery, useQueryClient } from "@tanstack/react-query";
import { type ReactNode, useState } from "react";
import type { Volume } from "../api/queries.ts";
import { useClients, useSignedIn } from "../session/context.tsx";
import { Confirm } from "./confirm.tsx";
import { FormDialog } from "./form-dialog.tsx";
import { List } from "./list.tsx";
import { Problem } from "./problem.tsx";

const SECRET = { min: 12, max: 16 };

interface Credential {
  readonly name: string;
  readonly isMutual: boolean;
}

function targetArnOf({ gatewayArn, iqn }: Volume): string {
  return `${gatewayArn}/target/${iqn}`;
}

export function Chap({ volume }: { volume: Volume }): ReactNode {
  const { storageGateway } = useClients();
  const { canChange } = useSignedIn();
  const queryClient = useQueryClient();
  const [isAdding, setAdding] = useState(false);
  const [removed, setRemoved] = useState<Credential>();
  const [selectedName, setSelectedName] = useState<string>();
  const TargetARN = targetArnOf(volume);
  const queryKey = ["chap", TargetARN];
  const found = useQuery({
    queryKey,
    enabled: canChange,
    // The answer holds the secrets: they go no further than this function.
    queryFn: async (): Promise<Credential[]> => {
      const answer = await storageGateway.send(new DescribeChapCredentialsCommand({ TargetARN }));
      return (answer.ChapCredentials ?? []).map(({ InitiatorName = "", SecretToAuthenticateTarget }) => ({
        name: InitiatorName,
        isMutual: SecretToAuthenticateTarget !== undefined,
      }));
    },
  });
  const selected = found.data?.find(({ name }) => name === selectedName);
  if (!canChange) return <Alert type="info">Only administrators see who may attach a volume.</Alert>;
  if (found.error !== null) return <Problem what="CHAP" error={found.error} retry={found.refetch} />;
  return (
    <>
      <List
        items={found.data ?? []}
        loading={found.isPending}
        loadingText="Loading"
        trackBy="name"
        selectionType="single"
        selectedItems={selected === undefined ? [] : [selected]}
        onSelectionChange={({ detail }) => setSelectedName(detail.selectedItems[0]?.name)}
        ariaLabels={{
          tableLabel: "CHAP",
          selectionGroupLabel: "Choose an initiator",
          itemSelectionLabel: (_, { name }) => `Choose ${name}`,
        }}
        columnDefinitions={[
          {
            id: "name",
            header: "Initiator",
            isRowHeader: true,
            sortingField: "name",
            cell: ({ name }) => name,
          },
          {
            id: "mutual",
            header: "Proofs",
            sortingField: "isMutual",
            cell: ({ isMutual }) => (isMutual ? "of the server and of the volume" : "of the server"),
          },
        ]}
        header={
          <Header
            counter={found.data === undefined ? "" : `(${found.data.length})`}
            description="Once there is one, only the servers in this list can attach the volume, with their secret."
            actions={
              <SpaceBetween direction="horizontal" size="xs">
                <Button disabled={selected === undefined} onClick={() => setRemoved(selected)}>
                  Remove
                </Button>
                <Button variant="primary" onClick={() => setAdding(true)}>
                  Add a server
                </Button>
              </SpaceBetween>
            }
          >
            CHAP
          </Header>
        }
        empty={
          <Box textAlign="center" padding="l">
            <SpaceBetween size="s">
              <Box variant="h3">Any server can attach this volume</Box>
              <Box color="text-body-secondary">
                Whoever reaches the iSCSI port. Add a server and a secret to change that.
              </Box>
            </SpaceBetween>
          </Box>
        }
      />
      {isAdding && <ChapDialog targetArn={TargetARN} onClose={() => setAdding(false)} />}
      {removed !== undefined && (
        <Confirm
          header="Remove this server?"
          action="Remove"
          onClose={() => setRemoved(undefined)}
          run={async () => {
            const InitiatorName = removed.name;
            await storageGateway.send(new DeleteChapCredentialsCommand({ TargetARN, InitiatorName }));
            await queryClient.invalidateQueries({ queryKey });
            await queryClient.invalidateQueries({ queryKey: ["volumes"] });
          }}
        >
          <Box>
            {removed.name} loses the volume
            {found.data?.length === 1
              ? "’s secret; as it is the last one in the list, any server can attach the volume then."
              : " at once, and can’t attach it again."}
          </Box>
        </Confirm>
      )}
    </>
  );
}

function secretProblem(secret: string, isOptional: boolean): string | undefined {
  if (secret === "" && isOptional) return undefined;
  return secret.length >= SECRET.min && secret.length <= SECRET.max
    ? undefined
    : `${SECRET.min} to ${SECRET.max} characters.`;
}

function ChapDialog({ targetArn, onClose }: { targetArn: string; onClose: () => void }): ReactNode {
  const { storageGateway } = useClients();
  const queryClient = useQueryClient();
  const [name, setName] = useState("");
  const [secret, setSecret] = useState("");
  const [targetSecret, setTargetSecret] = useState("");
  const [tried, setTried] = useState(false);
  const problems = {
    name: /^[a-z0-9:.-]{1,255}$/.test(name)
      ? undefined
      : "The initiator’s name, such as iqn.1993-08.org.debian:01:abc.",
    secret: secretProblem(secret, false),
    targetSecret:
      targetSecret !== "" && targetSecret === secret
        ? "Another one than the server’s."
        : secretProblem(targetSecret, true),
  };

  async function submit(): Promise<boolean> {
    setTried(true);
    if (Object.values(problems).some((problem) => problem !== undefined)) return false;
    await storageGateway.send(
      new UpdateChapCredentialsCommand({
        TargetARN: targetArn,
        InitiatorName: name,
        SecretToAuthenticateInitiator: secret,
        ...(targetSecret !== "" && { SecretToAuthenticateTarget: targetSecret }),
      }),
    );
    await queryClient.invalidateQueries({ queryKey: ["chap", targetArn] });
    await queryClient.invalidateQueries({ queryKey: ["volumes"] });
    return true;
  }

  return (
    <FormDialog header="Add a server" action="Add" submit={submit} onClose={onClose}>
      <FormField
        label="Initiator’s name"
        errorText={tried ? problems.name : undefined}
        description="On Linux it is in /etc/iscsi/initiatorname.iscsi."
      >
        <Input value={name} autoFocus spellcheck={false} onChange={({ detail }) => setName(detail.value)} />
      </FormField>
      <FormField
        label="The server’s secret"
        errorText={tried ? problems.secret : undefined}
        constraintText={`${SECRET.min} to ${SECRET.max} characters: so much every initiator takes.`}
      >
        <Input
          value={secret}
          type="password"
          autoComplete="new-password"
          onChange={({ detail }) => setSecret(detail.value)}
        />
      </FormField>
      <FormField
        label="The volume’s secret – optional"
        errorText={tried ? problems.targetSecret : undefined}
        description="The volume proves with it to the server that it is the right one."
      >
        <Input
          value={targetSecret}
          type="password"
          autoComplete="new-password"
          onChange={({ detail }) => setTargetSecret(detail.value)}
        />
      </FormField>
    </FormDialog>
  );
}
