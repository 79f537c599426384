/** Limits that change over the week: a picture of the week, and the intervals that it is made of. */
import {
  type BandwidthRateLimitInterval,
  DescribeBandwidthRateLimitScheduleCommand,
  UpdateBandwidthRateLimitScheduleCommand,
} from "@aws-sdk/client-storage-gateway";
import Box from "@cloudscape-design/components/box";
import Button from "@cloudscape-design/components/button";
import ColumnLayout from "@cloudscape-design/components/column-layout";
import FormField from "@cloudscape-design/components/form-field";
import Input from "@cloudscape-design/components/input";
import Multiselect from "@cloudscape-design/components/multiselect";
import SpaceBetween from "@cloudscape-design/components/space-between";
import { useQuery, useQueryClient } from "@tanstack/react-query";
import { type ReactNode, useState } from "react";
import type { Gateway } from "../api/queries.ts";
import { useClients } from "../session/context.tsx";
import {
  draftOf,
  EVERY_DAY,
  type IntervalDraft,
  intervalOf,
  intervalProblems,
  WEEK,
  WeekPicture,
} from "./bandwidth-week.tsx";
import { FormDialog } from "./form-dialog.tsx";
import { useNotices } from "./notices.tsx";

const INTERVALS_MAX = 20;
const NEW: IntervalDraft = {
  ...{ days: [1, 2, 3, 4, 5], from: "08:00", to: "18:00", upload: "20", download: "" },
};

export function useWeek(gatewayArn: string) {
  const { storageGateway } = useClients();
  return useQuery({
    queryKey: ["bandwidth", gatewayArn, "week"],
    queryFn: async (): Promise<BandwidthRateLimitInterval[]> => {
      const answer = await storageGateway.send(
        new DescribeBandwidthRateLimitScheduleCommand({ GatewayARN: gatewayArn }),
      );
      return answer.BandwidthRateLimitIntervals ?? [];
    },
  });
}

export function WeekDialog({ gateway, onClose }: { gateway: Gateway; onClose: () => void }): ReactNode {
  const week = useWeek(gateway.GatewayARN).data;
  return week === undefined ? null : <LoadedWeekDialog gateway={gateway} week={week} onClose={onClose} />;
}

function LoadedWeekDialog(props: {
  gateway: Gateway;
  week: readonly BandwidthRateLimitInterval[];
  onClose: () => void;
}): ReactNode {
  const { gateway, week, onClose } = props;
  const { storageGateway } = useClients();
  const notices = useNotices();
  const queryClient = useQueryClient();
  const [drafts, setDrafts] = useState<readonly IntervalDraft[]>(week.map(draftOf));
  const [tried, setTried] = useState(false);
  const problems = drafts.map((draft, i) => intervalProblems(draft, drafts.slice(0, i)));
  const set = (at: number, change: Partial<IntervalDraft>) =>
    setDrafts(drafts.map((draft, i) => (i === at ? { ...draft, ...change } : draft)));

  async function submit(): Promise<boolean> {
    setTried(true);
    if (problems.some((each) => Object.keys(each).length > 0)) return false;
    await storageGateway.send(
      new UpdateBandwidthRateLimitScheduleCommand({
        GatewayARN: gateway.GatewayARN,
        BandwidthRateLimitIntervals: drafts.map(intervalOf),
      }),
    );
    await queryClient.invalidateQueries({ queryKey: ["bandwidth", gateway.GatewayARN] });
    notices.succeeded(`The week of ${gateway.GatewayName ?? ""} is set`);
    return true;
  }

  return (
    <FormDialog
      header={`Bandwidth of ${gateway.GatewayName ?? ""} over the week`}
      action="Save"
      submit={submit}
      onClose={onClose}
      size="large"
    >
      <Box color="text-body-secondary">
        In the gateway’s time zone. Outside of the intervals there is no limit.
      </Box>
      <WeekPicture drafts={drafts} />
      {drafts.map((draft, i) => {
        const wrong = tried ? (problems[i] ?? {}) : {};
        return (
          // biome-ignore lint/suspicious/noArrayIndexKey: an interval has nothing but its place while it is edited
          <fieldset key={i} className="interval" aria-label={`Interval ${i + 1}`}>
            <ColumnLayout columns={2}>
              <FormField label="Days" errorText={wrong.days}>
                <Multiselect
                  selectedOptions={WEEK.filter(({ value }) => draft.days.includes(Number(value)))}
                  options={WEEK}
                  tokenLimit={2}
                  placeholder="Choose days"
                  selectedAriaLabel="Chosen"
                  deselectAriaLabel={({ label = "" }) => `Remove ${label}`}
                  onChange={({ detail }) =>
                    set(i, { days: detail.selectedOptions.map(({ value }) => Number(value)).sort() })
                  }
                />
              </FormField>
              <ColumnLayout columns={2}>
                <FormField label="From" errorText={wrong.from}>
                  <Input value={draft.from} onChange={({ detail }) => set(i, { from: detail.value })} />
                </FormField>
                <FormField label="Until" errorText={wrong.to}>
                  <Input value={draft.to} onChange={({ detail }) => set(i, { to: detail.value })} />
                </FormField>
              </ColumnLayout>
              <FormField
                label="To the bucket, in Mbit/s"
                errorText={wrong.upload}
                constraintText="Empty: no limit."
              >
                <Input
                  value={draft.upload}
                  inputMode="decimal"
                  onChange={({ detail }) => set(i, { upload: detail.value })}
                />
              </FormField>
              <FormField
                label="From the bucket, in Mbit/s"
                errorText={wrong.download}
                constraintText="Empty: no limit."
              >
                <Input
                  value={draft.download}
                  inputMode="decimal"
                  onChange={({ detail }) => set(i, { download: detail.value })}
                />
              </FormField>
            </ColumnLayout>
            <Button
              variant="inline-link"
              formAction="none"
              ariaLabel={`Remove this interval: ${i + 1}`}
              onClick={() => setDrafts(drafts.filter((_, at) => at !== i))}
            >
              Remove this interval
            </Button>
          </fieldset>
        );
      })}
      <SpaceBetween direction="horizontal" size="xs">
        <Button
          iconName="add-plus"
          formAction="none"
          disabled={drafts.length >= INTERVALS_MAX}
          onClick={() => setDrafts([...drafts, NEW])}
        >
          Add an interval
        </Button>
        {drafts.length === 0 && (
          <Button
            formAction="none"
            onClick={() =>
              setDrafts([NEW, { ...NEW, days: [...EVERY_DAY], from: "22:00", to: "23:59", upload: "100" }])
            }
          >
            Begin with office hours
          </Button>
        )}
      </SpaceBetween>
    </FormDialog>
  );
}
