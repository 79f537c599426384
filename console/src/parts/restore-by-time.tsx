/** Restores a volume as it was at a time: the newest moment that is not after it. */
import Alert from "@cloudscape-design/components/alert";
import Box from "@cloudscape-design/components/box";
import DatePicker from "@cloudscape-design/components/date-picker";
import FormField from "@cloudscape-design/components/form-field";
import TimeInput from "@cloudscape-design/components/time-input";
import { useQueryClient } from "@tanstack/react-query";
import { type ReactNode, useState } from "react";
import type { Volume } from "../api/queries.ts";
import { useClients } from "../session/context.tsx";
import { FormDialog } from "./form-dialog.tsx";
import { duration, time } from "./format.ts";
import { useGo } from "./links.tsx";

interface Point {
  readonly Time: number;
}

const timeOf = (point: Point) => new Date(point.Time * 1000);

export function RestoreByTimeDialog(props: {
  volume: Volume;
  /** Newest first. */
  points: readonly Point[];
  onClose: () => void;
}): ReactNode {
  const { volume, points, onClose } = props;
  const { own } = useClients();
  const go = useGo();
  const queryClient = useQueryClient();
  const newest = points[0] === undefined ? new Date(Number.NaN) : timeOf(points[0]);
  const [day, setDay] = useState(time(newest).slice(0, 10));
  const [clock, setClock] = useState(time(newest).slice(11));
  const [tried, setTried] = useState(false);
  const wanted = new Date(`${day}T${clock === "" ? "00:00:00" : clock.padEnd(8, ":00").slice(0, 8)}`);
  // The second that was named belongs to it.
  const untilMs = wanted.getTime() + 999;
  const isTime = !Number.isNaN(untilMs);
  const found = isTime ? points.find((point) => timeOf(point).getTime() <= untilMs) : undefined;
  const problem = !isTime
    ? "Enter a day and a time."
    : found === undefined
      ? "No moment that old is kept: the oldest one is in the list."
      : undefined;

  async function submit(): Promise<boolean> {
    setTried(true);
    if (found === undefined) return false;
    const { SnapshotId } = await own<{ SnapshotId: string }>("CreateSnapshotFromRecoveryPoint", {
      VolumeARN: volume.arn,
      Time: found.Time,
      SnapshotDescription: `${volume.name} as of ${time(timeOf(found))}`,
    });
    await queryClient.invalidateQueries({ queryKey: ["snapshots"] });
    go(`/volumes/create?snapshot=${SnapshotId}`);
    return true;
  }

  return (
    <FormDialog
      header={`Restore ${volume.name} as of a time`}
      action="Go on"
      submit={submit}
      onClose={onClose}
    >
      <FormField label="Day" constraintText="In your time zone." errorText={tried ? problem : undefined}>
        <DatePicker
          value={day}
          expandToViewport
          openCalendarAriaLabel={(chosen) =>
            chosen === null ? "Choose a day" : `Choose a day, now ${chosen}`
          }
          onChange={({ detail }) => setDay(detail.value)}
        />
      </FormField>
      <FormField label="Time">
        <TimeInput
          value={clock}
          format="hh:mm:ss"
          placeholder="hh:mm:ss"
          onChange={({ detail }) => setClock(detail.value)}
        />
      </FormField>
      <div aria-live="polite">
        {found !== undefined && (
          <Alert type="info">
            The newest moment that is not after it: <b>{time(timeOf(found))}</b>
            {untilMs - timeOf(found).getTime() >= 1000 &&
              `, ${duration((untilMs - timeOf(found).getTime()) / 1000)} before`}
            . It becomes a snapshot, and then a new volume is made of it; {volume.name} itself stays as it is.
          </Alert>
        )}
        {found === undefined && <Box color="text-status-error">{problem}</Box>}
      </div>
    </FormDialog>
  );
}
