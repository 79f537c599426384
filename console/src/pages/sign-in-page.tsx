import Box from "@cloudscape-design/components/box";
import Button from "@cloudscape-design/components/button";
import Container from "@cloudscape-design/components/container";
import Form from "@cloudscape-design/components/form";
import Header from "@cloudscape-design/components/header";
import { type ReactNode, useState } from "react";
import { messageOf } from "../api/clients.ts";
import { useSignInForm } from "../parts/sign-in-fields.tsx";
import type { Session } from "../session/session.ts";
import type { Settings } from "../session/sign-in.ts";

/** Signs in with an access key. */
export function SignInPage(props: { settings: Settings; onSignedIn: (session: Session) => void }): ReactNode {
  const form = useSignInForm(props.settings);
  const [busy, setBusy] = useState(false);
  const [problem, setProblem] = useState<string>();

  async function submit(): Promise<void> {
    if (busy) return;
    setBusy(true);
    setProblem(undefined);
    try {
      const session = await form.submit();
      if (session !== undefined) props.onSignedIn(session);
      else setBusy(false);
    } catch (error) {
      setProblem(messageOf(error));
      setBusy(false);
    }
  }

  return (
    <main className="sign-in">
      <div className="sign-in-card">
        <Box textAlign="center" padding={{ bottom: "l" }}>
          <img src={`${import.meta.env.BASE_URL}icon.svg`} alt="" width={56} height={56} />
          <Box variant="h1" padding={{ top: "s" }}>
            Sluicegate
          </Box>
          <Box color="text-body-secondary">Volumes and snapshots of your own</Box>
        </Box>
        <form
          onSubmit={(event) => {
            event.preventDefault();
            void submit();
          }}
        >
          <Form
            actions={
              <Button variant="primary" loading={busy} loadingText="Signing in" formAction="submit">
                Sign in
              </Button>
            }
            {...(problem !== undefined && { errorText: problem })}
          >
            <Container header={<Header variant="h2">Sign in</Header>}>{form.fields}</Container>
          </Form>
        </form>
        <Box textAlign="center" color="text-body-secondary" fontSize="body-s" padding={{ top: "l" }}>
          Version {props.settings.version}, region {props.settings.region}
        </Box>
      </div>
    </main>
  );
}
