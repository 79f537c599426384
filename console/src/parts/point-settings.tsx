/** How often a volume gets recovery points, and which of them are kept as they grow older. */

import Box from "@cloudscape-design/components/box";
import FormField from "@cloudscape-design/components/form-field";
import Select from "@cloudscape-design/components/select";
import { type UseQueryResult, useQuery, useQueryClient } from "@tanstack/react-query";
import { type ReactNode, useState } from "react";
import type { Volume } from "../api/queries.ts";
import { useClients } from "../session/context.tsx";
import { FormDialog } from "./form-dialog.tsx";
import { duration } from "./format.ts";
import { useNotices } from "./notices.tsx";

export interface PointSettings {
  readonly IntervalInSeconds?: number;
  readonly UsualIntervalInSeconds: number;
  readonly Rule: string;
  readonly Stages: readonly { readonly WithinSeconds: number; readonly EverySeconds: number }[];
}

export function usePointSettings(volumeArn: string): UseQueryResult<PointSettings> {
  const { own } = useClients();
  return useQuery({
    queryKey: ["recovery-point-settings", volumeArn],
    queryFn: () => own<PointSettings>("DescribeRecoveryPoints", { VolumeARN: volumeArn }),
  });
}

/** `One every minute while something is written.` */
export function settingsWords(settings: PointSettings): string {
  const seconds = settings.IntervalInSeconds ?? settings.UsualIntervalInSeconds;
  return seconds === 0
    ? "None are made but with snapshots."
    : `One is made every ${duration(seconds).replace(/^1 /, "")} while something is written.`;
}

/** `All of the last hour, one in 10 minutes for 1 day, …` */
export function ruleWords({ Stages }: PointSettings): string {
  const words = Stages.map(({ WithinSeconds, EverySeconds }) =>
    EverySeconds === 0
      ? `all for ${duration(WithinSeconds)}`
      : `one in ${duration(EverySeconds)} for ${duration(WithinSeconds)}`,
  );
  const text = words.join(", then ");
  return `${text.slice(0, 1).toUpperCase()}${text.slice(1)}.`;
}

const INTERVALS = [
  { value: "0", label: "Never" },
  { value: "5", label: "Every 5 seconds" },
  { value: "15", label: "Every 15 seconds" },
  { value: "60", label: "Every minute" },
  { value: "300", label: "Every 5 minutes" },
  { value: "3600", label: "Every hour" },
];

export function IntervalDialog({ volume, onClose }: { volume: Volume; onClose: () => void }): ReactNode {
  const settings = usePointSettings(volume.arn).data;
  return settings === undefined ? null : (
    <LoadedIntervalDialog volume={volume} settings={settings} onClose={onClose} />
  );
}

function LoadedIntervalDialog(props: {
  volume: Volume;
  settings: PointSettings;
  onClose: () => void;
}): ReactNode {
  const { volume, settings, onClose } = props;
  const { own } = useClients();
  const notices = useNotices();
  const queryClient = useQueryClient();
  const { IntervalInSeconds: now, UsualIntervalInSeconds: usual } = settings;
  const [value, setValue] = useState(now === undefined ? "usual" : String(now));
  const options = [
    {
      value: "usual",
      label: "As usual for its kind",
      description: usual === 0 ? "None." : `Every ${duration(usual)}.`,
    },
    ...INTERVALS,
    ...(now === undefined || INTERVALS.some((each) => each.value === String(now))
      ? []
      : [{ value: String(now), label: `Every ${duration(now)}` }]),
  ];

  async function submit(): Promise<boolean> {
    await own("UpdateRecoveryPoints", {
      VolumeARN: volume.arn,
      ...(value !== "usual" && { IntervalInSeconds: Number(value) }),
    });
    await queryClient.invalidateQueries({ queryKey: ["recovery-point-settings", volume.arn] });
    notices.succeeded(`Recovery points of ${volume.name} are set`);
    return true;
  }

  return (
    <FormDialog header={`Recovery points of ${volume.name}`} action="Save" submit={submit} onClose={onClose}>
      <FormField
        label="While something was written, make one"
        description="If the line is too slow for that, they get wider by themselves."
      >
        <Select
          selectedOption={options.find((option) => option.value === value) ?? null}
          options={options}
          onChange={({ detail }) => setValue(detail.selectedOption.value ?? "usual")}
        />
      </FormField>
      <FormField label="What is kept of them">
        <Box>
          {ruleWords(settings)} Those with a name stay. It holds for all volumes, and is set where the gateway
          is started: <Box variant="code">keep-recovery-points: {settings.Rule}</Box>
        </Box>
      </FormField>
    </FormDialog>
  );
}
