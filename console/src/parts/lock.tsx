/** Shows and changes the lock of a snapshot. */
import Alert from "@cloudscape-design/components/alert";
import FormField from "@cloudscape-design/components/form-field";
import Input from "@cloudscape-design/components/input";
import StatusIndicator from "@cloudscape-design/components/status-indicator";
import Tiles from "@cloudscape-design/components/tiles";
import { useQueryClient } from "@tanstack/react-query";
import { type ReactNode, useState } from "react";
import { lockSnapshot, type SnapshotLock, unlockSnapshot, useSnapshotLock } from "../api/locks.ts";
import { useClients } from "../session/context.tsx";
import { Confirm } from "./confirm.tsx";
import { FormDialog } from "./form-dialog.tsx";
import { time } from "./format.ts";

const DAYS_MAX = 36_500;

export function LockState({ id }: { id: string }): ReactNode {
  const lock = useSnapshotLock(id).data;
  if (lock === undefined) return "–";
  if (lock === null || lock.isExpired) return "not locked";
  return (
    <StatusIndicator type={lock.mode === "compliance" ? "stopped" : "info"}>
      {lock.mode === "compliance" ? "Locked for everybody" : "Locked"} until {time(lock.until)}
    </StatusIndicator>
  );
}

export function LockDialog({ id, onClose }: { id: string; onClose: () => void }): ReactNode {
  const clients = useClients();
  const queryClient = useQueryClient();
  const [mode, setMode] = useState<SnapshotLock["mode"]>("governance");
  const [text, setText] = useState("30");
  const [tried, setTried] = useState(false);
  const days = Number(text);
  const isGood = /^\d+$/.test(text.trim()) && days >= 1 && days <= DAYS_MAX;

  async function submit(): Promise<boolean> {
    setTried(true);
    if (!isGood) return false;
    await lockSnapshot(clients, id, mode, days);
    await queryClient.invalidateQueries({ queryKey: ["lock", id] });
    return true;
  }

  return (
    <FormDialog header="Lock the snapshot" action="Lock" submit={submit} onClose={onClose}>
      <FormField label="Who may end it before its time">
        <Tiles
          value={mode}
          onChange={({ detail }) => setMode(detail.value as SnapshotLock["mode"])}
          items={[
            { value: "governance", label: "Administrators", description: "Against mistakes." },
            { value: "compliance", label: "Nobody", description: "Against everybody, you too." },
          ]}
        />
      </FormField>
      <FormField
        label="Days"
        errorText={tried && !isGood ? `1 to ${DAYS_MAX} days, a whole number.` : undefined}
      >
        <Input
          value={text}
          type="number"
          inputMode="numeric"
          onChange={({ detail }) => setText(detail.value)}
        />
      </FormField>
      {mode === "compliance" && (
        <Alert type="warning">
          It can be made longer, never shorter: its space in the bucket is taken until then.
        </Alert>
      )}
    </FormDialog>
  );
}

export function UnlockDialog({ id, onClose }: { id: string; onClose: () => void }): ReactNode {
  const clients = useClients();
  const queryClient = useQueryClient();
  return (
    <Confirm
      header="Unlock the snapshot?"
      action="Unlock"
      onClose={onClose}
      run={async () => {
        await unlockSnapshot(clients, id);
        await queryClient.invalidateQueries({ queryKey: ["lock", id] });
      }}
    >
      {id} can be deleted by administrators and by policies then.
    </Confirm>
  );
}
