/** What a gateway may send to the bucket and fetch from it, per second. */
import {
  DeleteBandwidthRateLimitCommand,
  DescribeBandwidthRateLimitCommand,
  UpdateBandwidthRateLimitCommand,
} from "@aws-sdk/client-storage-gateway";
import Alert from "@cloudscape-design/components/alert";
import Box from "@cloudscape-design/components/box";
import Button from "@cloudscape-design/components/button";
import FormField from "@cloudscape-design/components/form-field";
import Header from "@cloudscape-design/components/header";
import Input from "@cloudscape-design/components/input";
import SpaceBetween from "@cloudscape-design/components/space-between";
import { useQuery, useQueryClient } from "@tanstack/react-query";
import { type ReactNode, useState } from "react";
import { CALM_MS, type Gateway, useGateways } from "../api/queries.ts";
import { useClients, useSignedIn } from "../session/context.tsx";
import { useWeek, WeekDialog } from "./bandwidth-schedule.tsx";
import { BITS_A_MBIT, BITS_MIN, limitProblem } from "./bandwidth-week.tsx";
import { FormDialog } from "./form-dialog.tsx";
import { List } from "./list.tsx";

interface Limits {
  readonly upload: number | undefined;
  readonly download: number | undefined;
}

export function Bandwidth(): ReactNode {
  const { canChange } = useSignedIn();
  const gateways = useGateways();
  const [edited, setEdited] = useState<{ gateway: Gateway; how: "always" | "week" }>();
  return (
    <>
      <List
        items={gateways.data ?? []}
        loading={gateways.isPending}
        loadingText="Loading the gateways"
        ariaLabels={{ tableLabel: "Bandwidth" }}
        columnDefinitions={[
          { id: "name", header: "Gateway", isRowHeader: true, cell: ({ GatewayName }) => GatewayName },
          {
            id: "upload",
            header: "To the bucket now",
            cell: (gateway) => <Limit gateway={gateway} way="upload" />,
          },
          {
            id: "download",
            header: "From the bucket now",
            cell: (gateway) => <Limit gateway={gateway} way="download" />,
          },
          { id: "week", header: "Over the week", cell: (gateway) => <Week gateway={gateway} /> },
          {
            id: "edit",
            header: "Change",
            cell: (gateway) => (
              <SpaceBetween direction="horizontal" size="m">
                <Button
                  variant="inline-link"
                  disabled={!canChange}
                  ariaLabel={`For all time: the limits of ${gateway.GatewayName ?? ""}`}
                  onClick={() => setEdited({ gateway, how: "always" })}
                >
                  For all time
                </Button>
                <Button
                  variant="inline-link"
                  disabled={!canChange}
                  ariaLabel={`Over the week: the limits of ${gateway.GatewayName ?? ""}`}
                  onClick={() => setEdited({ gateway, how: "week" })}
                >
                  Over the week
                </Button>
              </SpaceBetween>
            ),
          },
        ]}
        header={
          <Header description="Limits hold for what is under way too. Without them a gateway takes what the line gives.">
            Bandwidth
          </Header>
        }
      />
      {edited?.how === "always" && (
        <LimitsDialog gateway={edited.gateway} onClose={() => setEdited(undefined)} />
      )}
      {edited?.how === "week" && <WeekDialog gateway={edited.gateway} onClose={() => setEdited(undefined)} />}
    </>
  );
}

function useLimits(gatewayArn: string) {
  const { storageGateway } = useClients();
  return useQuery({
    queryKey: ["bandwidth", gatewayArn],
    refetchInterval: CALM_MS,
    queryFn: async (): Promise<Limits> => {
      const answer = await storageGateway.send(
        new DescribeBandwidthRateLimitCommand({ GatewayARN: gatewayArn }),
      );
      return {
        upload: answer.AverageUploadRateLimitInBitsPerSec,
        download: answer.AverageDownloadRateLimitInBitsPerSec,
      };
    },
  });
}

function Limit({ gateway, way }: { gateway: Gateway; way: keyof Limits }): ReactNode {
  const limits = useLimits(gateway.GatewayARN).data;
  if (limits === undefined) return "–";
  const bits = limits[way];
  return bits === undefined ? (
    <Box color="text-body-secondary">no limit</Box>
  ) : (
    `${bits / BITS_A_MBIT} Mbit/s`
  );
}

function Week({ gateway }: { gateway: Gateway }): ReactNode {
  const week = useWeek(gateway.GatewayARN).data;
  if (week === undefined) return "–";
  return week.length < 2 ? "the same always" : `${week.length} intervals`;
}

function LimitsDialog({ gateway, onClose }: { gateway: Gateway; onClose: () => void }): ReactNode {
  const limits = useLimits(gateway.GatewayARN).data;
  if (limits === undefined) return null;
  return <LoadedLimitsDialog gateway={gateway} limits={limits} onClose={onClose} />;
}

function LoadedLimitsDialog(props: { gateway: Gateway; limits: Limits; onClose: () => void }): ReactNode {
  const { gateway, limits, onClose } = props;
  const { storageGateway } = useClients();
  const queryClient = useQueryClient();
  const isWeekly = (useWeek(gateway.GatewayARN).data?.length ?? 0) > 1;
  const textOf = (bits: number | undefined) => (bits === undefined ? "" : String(bits / BITS_A_MBIT));
  const [upload, setUpload] = useState(textOf(limits.upload));
  const [download, setDownload] = useState(textOf(limits.download));
  const problems = {
    upload: limitProblem(upload, BITS_MIN.upload),
    download: limitProblem(download, BITS_MIN.download),
  };
  const bitsOf = (text: string) => Math.round(Number(text) * BITS_A_MBIT);

  async function submit(): Promise<boolean> {
    if (problems.upload !== undefined || problems.download !== undefined) return false;
    const GatewayARN = gateway.GatewayARN;
    const isUp = upload.trim() !== "";
    const isDown = download.trim() !== "";
    if (isUp || isDown) {
      await storageGateway.send(
        new UpdateBandwidthRateLimitCommand({
          GatewayARN,
          ...(isUp && { AverageUploadRateLimitInBitsPerSec: bitsOf(upload) }),
          ...(isDown && { AverageDownloadRateLimitInBitsPerSec: bitsOf(download) }),
        }),
      );
    }
    // Only what is there can be taken away.
    const goesUp = !isUp && limits.upload !== undefined;
    const goesDown = !isDown && limits.download !== undefined;
    if (goesUp || goesDown) {
      const BandwidthType = goesUp && goesDown ? "ALL" : goesUp ? "UPLOAD" : "DOWNLOAD";
      await storageGateway.send(new DeleteBandwidthRateLimitCommand({ GatewayARN, BandwidthType }));
    }
    await queryClient.invalidateQueries({ queryKey: ["bandwidth", GatewayARN] });
    return true;
  }

  return (
    <FormDialog
      header={`Bandwidth of ${gateway.GatewayName ?? ""}`}
      action="Save"
      submit={submit}
      onClose={onClose}
    >
      {isWeekly && <Alert type="warning">This takes the place of its limits over the week.</Alert>}
      <FormField
        label="To the bucket, in Mbit/s"
        errorText={problems.upload}
        constraintText="Empty: no limit."
      >
        <Input value={upload} inputMode="decimal" onChange={({ detail }) => setUpload(detail.value)} />
      </FormField>
      <FormField
        label="From the bucket, in Mbit/s"
        errorText={problems.download}
        constraintText="Empty: no limit."
      >
        <Input value={download} inputMode="decimal" onChange={({ detail }) => setDownload(detail.value)} />
      </FormField>
    </FormDialog>
  );
}
