import Alert from "@cloudscape-design/components/alert";
import Button from "@cloudscape-design/components/button";
import type { ReactNode } from "react";
import { messageOf } from "../api/clients.ts";

/** In place of what could not be loaded. */
export function Problem({
  what,
  error,
  retry,
}: {
  what: string;
  error: unknown;
  retry?: () => unknown;
}): ReactNode {
  return (
    <Alert
      type="error"
      header={`${what} can’t be shown now`}
      action={retry !== undefined && <Button onClick={() => void retry()}>Try again</Button>}
    >
      {messageOf(error)}
    </Alert>
  );
}
