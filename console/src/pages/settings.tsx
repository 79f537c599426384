import Container from "@cloudscape-design/components/container";
import ContentLayout from "@cloudscape-design/components/content-layout";
import Header from "@cloudscape-design/components/header";
import KeyValuePairs from "@cloudscape-design/components/key-value-pairs";
import SpaceBetween from "@cloudscape-design/components/space-between";
import type { ReactNode } from "react";
import { usePlace } from "../layout.tsx";
import { AccessKeys } from "../parts/access-keys.tsx";
import { Bandwidth } from "../parts/bandwidth.tsx";
import { Command } from "../parts/command.tsx";
import { time } from "../parts/format.ts";
import { useSignedIn } from "../session/context.tsx";

export function Settings(): ReactNode {
  usePlace({ text: "Settings" });
  const { session, settings } = useSignedIn();
  return (
    <ContentLayout header={<Header variant="h1">Settings</Header>}>
      <SpaceBetween size="l">
        <Container header={<Header variant="h2">This session</Header>}>
          <KeyValuePairs
            columns={3}
            items={[
              { label: "Signed in with", value: session.signedInAs },
              { label: "May", value: session.role === "admin" ? "change everything" : "look only" },
              { label: "Ends", value: time(new Date(session.expiresAtMs)) },
              { label: "Version", value: settings.version },
              { label: "Region", value: settings.region },
              { label: "Address of the API", value: location.origin },
            ]}
          />
        </Container>
        <Bandwidth />
        <AccessKeys />
        <Container
          header={
            <Header variant="h2" description="The same API that this console uses, for any AWS client.">
              From the command line
            </Header>
          }
        >
          <Command
            text={`aws storagegateway list-volumes --endpoint-url ${location.origin} --region ${settings.region}`}
          />
          <Command
            text={`aws ec2 describe-snapshots --endpoint-url ${location.origin} --region ${settings.region}`}
          />
          <Command text="sluicegate volume list" />
        </Container>
      </SpaceBetween>
    </ContentLayout>
  );
}
