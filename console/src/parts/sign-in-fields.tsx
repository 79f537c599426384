/** The two halves of an access key, as they stand in the gateway's `credentials` file. */
import Box from "@cloudscape-design/components/box";
import FormField from "@cloudscape-design/components/form-field";
import Input from "@cloudscape-design/components/input";
import SpaceBetween from "@cloudscape-design/components/space-between";
import { type ReactNode, useState } from "react";
import type { Session } from "../session/session.ts";
import { parseCredentials, type Settings, signIn } from "../session/sign-in.ts";

export interface SignInForm {
  readonly fields: ReactNode;
  /** Gives the session, or undefined where something is missing, which the fields then say. */
  submit(): Promise<Session | undefined>;
}

export function useSignInForm(settings: Settings): SignInForm {
  const [accessKeyId, setAccessKeyId] = useState("");
  const [secret, setSecret] = useState("");
  const [tried, setTried] = useState(false);
  const idProblem = accessKeyId.trim() === "" ? "Enter the access key ID." : undefined;
  const secretProblem = secret.trim() === "" ? "Enter the secret access key." : undefined;

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

  return {
    async submit() {
      setTried(true);
      if (idProblem !== undefined || secretProblem !== undefined) return undefined;
      return signIn(settings.region, accessKeyId.trim(), secret.trim());
    },
    fields: (
      <SpaceBetween size="l">
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
          The first start has made a key: it is in the file <Box variant="code">credentials</Box> in the
          gateway’s data folder. It is used once, for a session that ends after 12 hours or with this tab, and
          is stored nowhere in the browser.
        </Box>
      </SpaceBetween>
    ),
  };
}
