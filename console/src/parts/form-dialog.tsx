import Alert from "@cloudscape-design/components/alert";
import Box from "@cloudscape-design/components/box";
import Button from "@cloudscape-design/components/button";
import SpaceBetween from "@cloudscape-design/components/space-between";
import { type ReactNode, useState } from "react";
import { messageOf } from "../api/clients.ts";
import { Dialog } from "./dialog.tsx";

/** A small form in a dialog. `submit` does what it is for; its errors are shown in the dialog. */
export function FormDialog(props: {
  header: string;
  action: string;
  /** Does it; gives false where the dialog has to stay, as the form is not filled in well. */
  submit: () => Promise<boolean>;
  onClose: () => void;
  size?: "medium" | "large";
  /** "Cancel" without it. */
  cancel?: string;
  children: ReactNode;
}): ReactNode {
  const { header, action, submit, onClose, size = "medium", children } = props;
  const [busy, setBusy] = useState(false);
  const [problem, setProblem] = useState<string>();

  async function run(): Promise<void> {
    if (busy) return;
    setBusy(true);
    setProblem(undefined);
    try {
      if (await submit()) onClose();
      else setBusy(false);
    } catch (error) {
      setProblem(messageOf(error));
      setBusy(false);
    }
  }

  return (
    <Dialog
      size={size}
      header={header}
      onDismiss={onClose}
      footer={
        <Box float="right">
          <SpaceBetween direction="horizontal" size="xs">
            <Button variant="link" onClick={onClose}>
              {props.cancel ?? "Cancel"}
            </Button>
            <Button variant="primary" loading={busy} onClick={() => void run()}>
              {action}
            </Button>
          </SpaceBetween>
        </Box>
      }
    >
      <form
        onSubmit={(event) => {
          event.preventDefault();
          void run();
        }}
      >
        <SpaceBetween size="l">
          {children}
          {problem !== undefined && <Alert type="error">{problem}</Alert>}
        </SpaceBetween>
      </form>
    </Dialog>
  );
}
