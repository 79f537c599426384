import Alert from "@cloudscape-design/components/alert";
import Box from "@cloudscape-design/components/box";
import Button from "@cloudscape-design/components/button";
import FormField from "@cloudscape-design/components/form-field";
import Input from "@cloudscape-design/components/input";
import SpaceBetween from "@cloudscape-design/components/space-between";
import { type ReactNode, useState } from "react";
import { messageOf } from "../api/clients.ts";
import { Dialog } from "./dialog.tsx";

/** Asks before something is lost: says what, and has it typed where it can't be had again. */
export function Confirm(props: {
  header: string;
  /** What is done, and what is lost. */
  children: ReactNode;
  action: string;
  /** What has to be typed before. */
  typed?: string;
  run: () => Promise<void>;
  onClose: () => void;
}): ReactNode {
  const { header, children, action, typed, run, onClose } = props;
  const [text, setText] = useState("");
  const [busy, setBusy] = useState(false);
  const [problem, setProblem] = useState<string>();
  const ready = typed === undefined || text.trim() === typed;

  async function confirm(): Promise<void> {
    if (!ready) return;
    setBusy(true);
    try {
      await run();
      onClose();
    } catch (error) {
      setProblem(messageOf(error));
      setBusy(false);
    }
  }

  return (
    <Dialog
      header={header}
      onDismiss={onClose}
      footer={
        <Box float="right">
          <SpaceBetween direction="horizontal" size="xs">
            <Button variant="link" onClick={onClose}>
              Cancel
            </Button>
            <Button variant="primary" loading={busy} disabled={!ready} onClick={() => void confirm()}>
              {action}
            </Button>
          </SpaceBetween>
        </Box>
      }
    >
      <SpaceBetween size="m">
        {children}
        {typed !== undefined && (
          <form
            onSubmit={(event) => {
              event.preventDefault();
              void confirm();
            }}
          >
            <FormField label={`To confirm, type ${typed}`}>
              <Input
                value={text}
                placeholder={typed}
                autoComplete={false}
                spellcheck={false}
                onChange={({ detail }) => setText(detail.value)}
              />
            </FormField>
          </form>
        )}
        {problem !== undefined && <Alert type="error">{problem}</Alert>}
      </SpaceBetween>
    </Dialog>
  );
}
