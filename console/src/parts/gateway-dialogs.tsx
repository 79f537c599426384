/** What can be done with a gateway, in dialogs. */
import {
  DeleteGatewayCommand,
  DescribeMaintenanceStartTimeCommand,
  ShutdownGatewayCommand,
  StartGatewayCommand,
  UpdateGatewayInformationCommand,
  UpdateMaintenanceStartTimeCommand,
} from "@aws-sdk/client-storage-gateway";
import Alert from "@cloudscape-design/components/alert";
import Box from "@cloudscape-design/components/box";
import FormField from "@cloudscape-design/components/form-field";
import Input from "@cloudscape-design/components/input";
import Select from "@cloudscape-design/components/select";
import { useQuery, useQueryClient } from "@tanstack/react-query";
import { type ReactNode, useState } from "react";
import type { Gateway, GatewayDetails, Volume } from "../api/queries.ts";
import { useClients } from "../session/context.tsx";
import { Confirm } from "./confirm.tsx";
import { FormDialog } from "./form-dialog.tsx";
import { plural } from "./format.ts";
import { useNotices } from "./notices.tsx";

export type GatewayDialogName = "edit" | "maintenance" | "shutdown" | "delete";

interface Props {
  readonly gateway: Gateway;
  readonly details: GatewayDetails;
  readonly volumes: readonly Volume[];
  readonly onClose: () => void;
}

export function GatewayDialogs(props: Props & { name: GatewayDialogName }): ReactNode {
  switch (props.name) {
    case "edit":
      return <EditDialog {...props} />;
    case "maintenance":
      return <MaintenanceDialog {...props} />;
    case "shutdown":
      return <ShutdownDialog {...props} />;
    case "delete":
      return <DeleteGatewayDialog {...props} />;
  }
}

/** Asks again for everything that a gateway's state shows in. */
export function useAskAgain(): () => Promise<void> {
  const queryClient = useQueryClient();
  return async () => {
    const keys = ["gateways", "gateway", "volumes", "disks", "storage", "bandwidth", "maintenance"];
    await Promise.all(keys.map((key) => queryClient.invalidateQueries({ queryKey: [key] })));
  };
}

/** Starts a gateway that was shut down. */
export function useStartGateway(gateway: Gateway): () => Promise<void> {
  const { storageGateway } = useClients();
  const notices = useNotices();
  const askAgain = useAskAgain();
  return async () => {
    try {
      await storageGateway.send(new StartGatewayCommand({ GatewayARN: gateway.GatewayARN }));
      notices.succeeded(`${gateway.GatewayName ?? "The gateway"} runs again`);
    } catch (error) {
      notices.failed(`${gateway.GatewayName ?? "The gateway"} could not be started`, error);
    }
    await askAgain();
  };
}

const NAME = /^[ .0-[\]-~]*[!-.0-[\]-~][ .0-[\]-~]*$/;
const NAME_LENGTH = { min: 2, max: 255 };
const ZONE = /^GMT([+-](\d{1,2}):([0-5]\d))?$/;
const ZONE_HOURS_MAX = 14;

function EditDialog({ gateway, details, onClose }: Props): ReactNode {
  const { storageGateway } = useClients();
  const notices = useNotices();
  const askAgain = useAskAgain();
  const [name, setName] = useState(gateway.GatewayName ?? "");
  const [zone, setZone] = useState(details.timezone);
  const nameProblem =
    name.trim().length < NAME_LENGTH.min || name.length > NAME_LENGTH.max || !NAME.test(name)
      ? `${NAME_LENGTH.min} to ${NAME_LENGTH.max} characters, without slashes.`
      : undefined;
  const parts = ZONE.exec(zone.trim());
  const zoneProblem =
    parts === null || Number(parts[2] ?? 0) > ZONE_HOURS_MAX
      ? "GMT, or GMT with hours and minutes, such as GMT+1:00."
      : undefined;

  async function submit(): Promise<boolean> {
    if (nameProblem !== undefined || zoneProblem !== undefined) return false;
    await storageGateway.send(
      new UpdateGatewayInformationCommand({
        GatewayARN: gateway.GatewayARN,
        GatewayName: name.trim(),
        GatewayTimezone: zone.trim(),
      }),
    );
    await askAgain();
    notices.succeeded(`${name.trim()} is changed`);
    return true;
  }

  return (
    <FormDialog
      header={`Name and time zone of ${gateway.GatewayName ?? ""}`}
      action="Save"
      submit={submit}
      onClose={onClose}
    >
      <FormField label="Name" errorText={nameProblem}>
        <Input value={name} autoFocus onChange={({ detail }) => setName(detail.value)} />
      </FormField>
      <FormField
        label="Time zone"
        errorText={zoneProblem}
        constraintText="Of its schedules, its bandwidth and its window. Without summer time, such as GMT+1:00."
      >
        <Input value={zone} onChange={({ detail }) => setZone(detail.value)} />
      </FormField>
    </FormDialog>
  );
}

const DAYS = ["Sunday", "Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday"];
const MONTH_DAYS_MAX = 28;
const WEEKLY = DAYS.map((label, day) => ({ value: `week ${day}`, label: `Every ${label}` }));
const MONTHLY = Array.from({ length: MONTH_DAYS_MAX }, (_, i) => ({
  value: `month ${i + 1}`,
  label: `On day ${i + 1} of the month`,
}));
const WINDOWS = [...WEEKLY, ...MONTHLY];

interface Window {
  readonly day: string;
  readonly time: string;
}

export function useWindow(gatewayArn: string, isRunning: boolean) {
  const { storageGateway } = useClients();
  return useQuery({
    queryKey: ["maintenance", gatewayArn],
    enabled: isRunning,
    queryFn: async (): Promise<Window> => {
      const answer = await storageGateway.send(
        new DescribeMaintenanceStartTimeCommand({ GatewayARN: gatewayArn }),
      );
      const two = (n: number | undefined) => String(n ?? 0).padStart(2, "0");
      return {
        day: answer.DayOfMonth === undefined ? `week ${answer.DayOfWeek ?? 0}` : `month ${answer.DayOfMonth}`,
        time: `${two(answer.HourOfDay)}:${two(answer.MinuteOfHour)}`,
      };
    },
  });
}

/** `Every Sunday at 03:40`. */
export function windowWords(window: Window): string {
  return `${WINDOWS.find(({ value }) => value === window.day)?.label ?? ""} at ${window.time}`;
}

function MaintenanceDialog(props: Props): ReactNode {
  const window = useWindow(props.gateway.GatewayARN, true).data;
  return window === undefined ? null : <LoadedMaintenanceDialog {...props} window={window} />;
}

function LoadedMaintenanceDialog({
  gateway,
  details,
  window,
  onClose,
}: Props & { window: Window }): ReactNode {
  const { storageGateway } = useClients();
  const askAgain = useAskAgain();
  const [day, setDay] = useState(window.day);
  const [time, setTime] = useState(window.time);
  const parts = /^([01]?\d|2[0-3]):([0-5]\d)$/.exec(time.trim());
  const problem = parts === null ? "Hours and minutes, such as 03:30." : undefined;

  async function submit(): Promise<boolean> {
    if (parts === null) return false;
    const [kind, number] = day.split(" ");
    await storageGateway.send(
      new UpdateMaintenanceStartTimeCommand({
        GatewayARN: gateway.GatewayARN,
        HourOfDay: Number(parts[1]),
        MinuteOfHour: Number(parts[2]),
        ...(kind === "week" ? { DayOfWeek: Number(number) } : { DayOfMonth: Number(number) }),
      }),
    );
    await askAgain();
    return true;
  }

  return (
    <FormDialog
      header={`Maintenance window of ${gateway.GatewayName ?? ""}`}
      action="Save"
      submit={submit}
      onClose={onClose}
    >
      <Box color="text-body-secondary">
        When the gateway may be down for a moment, for whoever plans updates of it. It never updates itself.
      </Box>
      <FormField label="Day">
        <Select
          selectedOption={WINDOWS.find(({ value }) => value === day) ?? null}
          options={[
            { label: "Weekly", options: WEEKLY },
            { label: "Monthly", options: MONTHLY },
          ]}
          onChange={({ detail }) => setDay(detail.selectedOption.value ?? window.day)}
        />
      </FormField>
      <FormField
        label="At"
        errorText={problem}
        constraintText={`In the gateway’s time zone, ${details.timezone}.`}
      >
        <Input value={time} onChange={({ detail }) => setTime(detail.value)} />
      </FormField>
    </FormDialog>
  );
}

function ShutdownDialog({ gateway, volumes, onClose }: Props): ReactNode {
  const { storageGateway } = useClients();
  const notices = useNotices();
  const askAgain = useAskAgain();
  async function run(): Promise<void> {
    await storageGateway.send(new ShutdownGatewayCommand({ GatewayARN: gateway.GatewayARN }));
    notices.succeeded(`${gateway.GatewayName ?? "The gateway"} is shut down`);
    await askAgain();
  }
  return (
    <Confirm
      header={`Shut down ${gateway.GatewayName ?? ""}?`}
      action="Shut down"
      run={run}
      onClose={onClose}
    >
      <Box>
        Servers lose{" "}
        {volumes.length === 0 ? "nothing: it has no volumes" : `its ${plural(volumes.length, "volume")}`}{" "}
        until it is started again, and no snapshots are taken meanwhile. What was written stays here, what is
        not in the bucket yet is uploaded afterwards. It stays shut down after a restart of the program, too.
      </Box>
    </Confirm>
  );
}

const LISTED_MAX = 10;

function DeleteGatewayDialog({ gateway, volumes, onClose }: Props): ReactNode {
  const { storageGateway } = useClients();
  const notices = useNotices();
  const askAgain = useAskAgain();
  const name = gateway.GatewayName ?? "";
  const lost = volumes.filter(({ attachment }) => attachment !== "DETACHED");
  async function run(): Promise<void> {
    await storageGateway.send(new DeleteGatewayCommand({ GatewayARN: gateway.GatewayARN }));
    notices.succeeded(`${name} is deleted`);
    await askAgain();
  }
  return (
    <Confirm header={`Delete ${name}?`} action="Delete" typed={name} run={run} onClose={onClose}>
      {lost.length > 0 && (
        <Alert
          type="warning"
          header={`${plural(lost.length, "volume")} of it ${lost.length === 1 ? "is" : "are"} deleted, too`}
        >
          <ul>
            {lost.slice(0, LISTED_MAX).map((volume) => (
              <li key={volume.id}>{volume.name}</li>
            ))}
            {lost.length > LISTED_MAX && <li>and {lost.length - LISTED_MAX} more</li>}
          </ul>
          What was written to them since their newest snapshot is lost.
        </Alert>
      )}
      <Box>
        What stays: all completed snapshots, volumes that are detached, and the bytes on the disks of stored
        volumes. Its disks are free again then.
      </Box>
    </Confirm>
  );
}
