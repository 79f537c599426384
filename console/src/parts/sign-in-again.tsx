import Box from "@cloudscape-design/components/box";
import type { ReactNode } from "react";
import type { Session } from "../session/session.ts";
import type { Settings } from "../session/sign-in.ts";
import { FormDialog } from "./form-dialog.tsx";
import { useSignInForm } from "./sign-in-fields.tsx";

/** Over the page, when the session has ended: what stands in its forms stays there meanwhile. */
export function SignInAgain(props: {
  settings: Settings;
  onSignedIn: (session: Session) => void;
  onLeave: () => void;
}): ReactNode {
  const form = useSignInForm(props.settings);
  async function submit(): Promise<boolean> {
    const session = await form.submit();
    if (session !== undefined) props.onSignedIn(session);
    // It goes with the session's end, not by itself.
    return false;
  }
  return (
    <FormDialog
      header="The session has ended"
      action="Sign in again"
      cancel="Leave"
      submit={submit}
      onClose={props.onLeave}
    >
      <Box>
        Sign in again, and go on where you were: nothing that you have entered is lost. What was not confirmed
        has to be sent once more.
      </Box>
      {form.fields}
    </FormDialog>
  );
}
