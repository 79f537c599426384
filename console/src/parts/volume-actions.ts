/** What can be done with a volume as it stands now. */
import { GATEWAY_SHUT_DOWN, type Volume } from "../api/queries.ts";
import type { DialogName } from "./volume-dialogs.tsx";

/** Whether a gateway serves it. */
export function isServed({ attachment, status }: Volume): boolean {
  return attachment === "ATTACHED" && status !== GATEWAY_SHUT_DOWN;
}

export function volumeActions(
  volume: Volume,
  canChange: boolean,
): { id: DialogName; text: string; disabled: boolean }[] {
  const isHere = canChange && isServed(volume);
  const isGone = volume.attachment === "DETACHED";
  return [
    { id: "resize", text: "Make larger", disabled: !isHere },
    { id: "tags", text: "Edit tags", disabled: !canChange || volume.status === GATEWAY_SHUT_DOWN },
    isGone
      ? { id: "attach", text: "Attach", disabled: !canChange }
      : { id: "detach", text: "Detach", disabled: !isHere },
    { id: "delete", text: "Delete", disabled: !canChange || volume.status === GATEWAY_SHUT_DOWN },
  ];
}
