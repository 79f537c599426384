import Alert from "@cloudscape-design/components/alert";
import Button from "@cloudscape-design/components/button";
import type { ReactNode } from "react";
import { useRouteError } from "react-router";
import { messageOf } from "../api/clients.ts";

/** In place of a page that broke: after an upgrade of the gateway, for one, its old bundles are gone. */
export function PageProblem(): ReactNode {
  return (
    <Alert
      type="error"
      header="This page can't be shown"
      action={<Button onClick={() => location.reload()}>Reload</Button>}
    >
      {messageOf(useRouteError())}
    </Alert>
  );
}
