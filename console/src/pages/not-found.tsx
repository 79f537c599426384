import Alert from "@cloudscape-design/components/alert";
import type { ReactNode } from "react";
import { usePlace } from "../layout.tsx";
import { PageLink } from "../parts/links.tsx";

export function NotFound(): ReactNode {
  usePlace({ text: "Not found" });
  return (
    <Alert type="warning" header="There is no such page">
      The <PageLink to="/">overview</PageLink> has the way to all of them.
    </Alert>
  );
}
