import Alert from "@cloudscape-design/components/alert";
import Box from "@cloudscape-design/components/box";
import Button from "@cloudscape-design/components/button";
import Container from "@cloudscape-design/components/container";
import Form from "@cloudscape-design/components/form";
import FormField from "@cloudscape-design/components/form-field";
import Header from "@cloudscape-design/components/header";
import Input from "@cloudscape-design/components/input";
import SpaceBetween from "@cloudscape-design/components/space-between";
import { type ReactNode, useState } from "react";
import { messageOf } from "../api/clients.ts";
import type { Session } from "../session/session.ts";
import { parseCredentials, type Settings, signIn } from "../session/sign-in.ts";

/** Signs in with an access key, as it stands in the gateway's `credentials` file. */
export function SignInPage(props: {
  settings: Settings;
  reason: string | undefined;
  onSignedIn: (session: Session) => void;
}): ReactNode {
  const [accessKeyId, setAccessKeyId] = useState("");
  const [secret, setSecret] = useState("");
  const [tried, setTried] = useState(false);
  const [busy, setBusy] = useState(false);
  const [problem, setProblem] = useState<string>();
  const idProblem = accessKeyId.trim() === "" ? "Enter the access key ID." : undefined;
  const secretProblem = secret.trim() === "" ? "Enter the secret access key." : undefined;

  async function submit(): Promise<void> {
    setTried(true);
    if (idProblem !== undefined || secretProblem !== undefined) return;
    setBusy(true);
    setProblem(undefined);
    try {
      props.onSignedIn(await signIn(props.settings.region, accessKeyId.trim(), secret.trim()));
    } catch (error) {
      setProblem(messageOf(error));
      setBusy(false);
    }
  }

  /** The whole profile at once, where somebody pastes it into either field. */
  function change(value: string, set: (value: string) => void): void {
    const pair = parseCredentials(value);
    if (pair === undefined) {
      set(value);
    } else {
      setAccessKeyId(pair.accessKeyId);
      setSecret(pair.secretAccessKey);
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
            <Container header={<Header variant="h2">Sign in</Header>}>
              <SpaceBetween size="l">
                {props.reason !== undefined && <Alert type="info">{props.reason}</Alert>}
                <FormField
                  label="Access key ID"
                  errorText={tried ? idProblem : undefined}
                  description="You may paste a whole profile here."
                >
                  <Input
                    value={accessKeyId}
                    autoFocus
                    autoComplete="username"
                    spellcheck={false}
                    name="access-key-id"
                    onChange={({ detail }) => change(detail.value, setAccessKeyId)}
                  />
                </FormField>
                <FormField label="Secret access key" errorText={tried ? secretProblem : undefined}>
                  <Input
                    value={secret}
                    type="password"
                    autoComplete="current-password"
                    name="secret-access-key"
                    onChange={({ detail }) => change(detail.value, setSecret)}
                  />
                </FormField>
                <Box color="text-body-secondary" fontSize="body-s">
                  The first start has made a key: it is in the file <Box variant="code">credentials</Box> in
                  the gateway’s data folder. It is used once, for a session that ends after 12 hours or with
                  this tab, and is stored nowhere in the browser.
                </Box>
              </SpaceBetween>
            </Container>
          </Form>
        </form>
        <Box textAlign="center" color="text-body-secondary" fontSize="body-s" padding={{ top: "l" }}>
          Version {props.settings.version}, region {props.settings.region}
        </Box>
      </div>
    </main>
  );
}
