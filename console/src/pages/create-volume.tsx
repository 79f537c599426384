/** Makes a volume: empty, of a snapshot, of another volume's newest recovery point, or of what a disk holds. */
import {
  CreateCachediSCSIVolumeCommand,
  CreateStorediSCSIVolumeCommand,
} from "@aws-sdk/client-storage-gateway";
import Alert from "@cloudscape-design/components/alert";
import Box from "@cloudscape-design/components/box";
import Container from "@cloudscape-design/components/container";
import FormField from "@cloudscape-design/components/form-field";
import Header from "@cloudscape-design/components/header";
import Input from "@cloudscape-design/components/input";
import KeyValuePairs from "@cloudscape-design/components/key-value-pairs";
import Select, { type SelectProps } from "@cloudscape-design/components/select";
import SpaceBetween from "@cloudscape-design/components/space-between";
import Tiles from "@cloudscape-design/components/tiles";
import Wizard from "@cloudscape-design/components/wizard";
import { useQueryClient } from "@tanstack/react-query";
import { type ReactNode, useRef, useState } from "react";
import { useSearchParams } from "react-router";
import { messageOf } from "../api/clients.ts";
import { type LocalDisk, type Tag, useGateways, useLocalDisks, useVolumes } from "../api/queries.ts";
import { useSnapshot } from "../api/snapshots.ts";
import { usePlace } from "../layout.tsx";
import { bytes, time } from "../parts/format.ts";
import { useGo } from "../parts/links.tsx";
import { NewDiskFields, useNewDisk } from "../parts/new-disk.tsx";
import { useNotices } from "../parts/notices.tsx";
import { SnapshotSelect } from "../parts/snapshot-select.tsx";
import { areGood, filledIn, TagFields } from "../parts/tags.tsx";
import { targetNameProblem } from "../parts/target-name.ts";
import { useClients } from "../session/context.tsx";

const GIB = 1024 ** 3;
const TIB = 1024 ** 4;
const SIZE_BYTES_MAX = { cached: 32 * TIB, stored: 16 * TIB };
const TARGET_PREFIX = "iqn.1997-05.com.amazon:";
/** As the API has it: letters, digits, dots and hyphens. */
const NEW_DISK = "new disk";

type Kind = "cached" | "stored";
type Content = "empty" | "snapshot" | "clone" | "preserve";

export function CreateVolume(): ReactNode {
  usePlace({ text: "Volumes", to: "/volumes" }, { text: "Create volume" });
  const [parameters] = useSearchParams();
  const clients = useClients();
  const notices = useNotices();
  const go = useGo();
  const queryClient = useQueryClient();
  const gateways = useGateways();
  const volumes = useVolumes();

  const [step, setStep] = useState(0);
  const [tried, setTried] = useState(false);
  const [busy, setBusy] = useState(false);
  const [failure, setFailure] = useState<string>();
  const [kind, setKind] = useState<Kind>("cached");
  const [content, setContent] = useState<Content>(parameters.has("snapshot") ? "snapshot" : "empty");
  const [gatewayChoice, setGatewayChoice] = useState<string>();
  const [snapshotId, setSnapshotId] = useState<string | undefined>(parameters.get("snapshot") ?? undefined);
  const [sourceId, setSourceId] = useState<string>();
  const [sizeText, setSizeText] = useState("");
  const [diskChoice, setDiskChoice] = useState<string>();
  const newDisk = useNewDisk();
  const [name, setName] = useState("");
  const [tags, setTags] = useState<readonly Tag[]>([]);
  // One token for all tries of this form: a repeated click makes one volume.
  const token = useRef(crypto.getRandomValues(new Uint32Array(4)).join("-"));

  const fitting = (gateways.data ?? []).filter(({ GatewayType }) => GatewayType === kind.toUpperCase());
  const gateway = fitting.find(({ GatewayARN }) => GatewayARN === gatewayChoice) ?? fitting[0];
  const disks = useLocalDisks(kind === "stored" ? gateway?.GatewayARN : undefined);
  const freeDisks = (disks.data ?? []).filter(({ use }) => use === "AVAILABLE");
  const chosenDisk = diskChoice ?? freeDisks[0]?.id ?? NEW_DISK;
  const disk = freeDisks.find(({ id }) => id === chosenDisk);
  const snapshot = useSnapshot(content === "snapshot" ? (snapshotId ?? "") : "").data ?? undefined;
  const source = volumes.data?.find(({ id }) => id === sourceId);
  const sourceBytes =
    content === "snapshot" ? snapshot?.volumeSizeBytes : content === "clone" ? source?.sizeBytes : undefined;
  const sizeGib = Number(
    sizeText === "" && sourceBytes !== undefined ? Math.ceil(sourceBytes / GIB) : sizeText,
  );
  const sizeBytes = sizeGib * GIB;

  const problems = {
    gateway:
      gateway === undefined && gateways.data !== undefined ? `There is no ${kind} gateway.` : undefined,
    snapshot:
      content !== "snapshot"
        ? undefined
        : snapshotId === undefined
          ? "Choose a snapshot."
          : snapshot !== undefined && snapshot.state !== "completed"
            ? "This snapshot is not completed."
            : undefined,
    source: content === "clone" && source === undefined ? "Choose a volume." : undefined,
    size: kind === "cached" ? sizeProblem(sizeText, sizeBytes, sourceBytes) : undefined,
    disk:
      kind === "stored"
        ? diskProblem(chosenDisk, disk, newDisk.problem, newDisk.sizeBytes, sourceBytes)
        : undefined,
    name: targetNameProblem(name, volumes.data?.map((volume) => volume.name) ?? []),
  };
  const stepProblems = [
    [problems.gateway, problems.snapshot, problems.source],
    [problems.size, problems.disk, problems.name, areGood(tags) ? undefined : "tags"],
  ];
  const isGood = (index: number) => (stepProblems[index] ?? []).every((problem) => problem === undefined);
  const shown = (problem: string | undefined) => (tried ? problem : undefined);

  function choose(next: Kind): void {
    setKind(next);
    if (next === "stored" && content === "clone") setContent("empty");
    if (next === "cached" && content === "preserve") setContent("empty");
  }

  function goToStep(requested: number): void {
    for (let index = step; index < requested; index++) {
      if (!isGood(index)) {
        setTried(true);
        setStep(index);
        return;
      }
    }
    setTried(false);
    setStep(requested);
  }

  async function create(): Promise<void> {
    setBusy(true);
    setFailure(undefined);
    try {
      const GatewayARN = gateway?.GatewayARN ?? "";
      const common = {
        GatewayARN,
        TargetName: name,
        NetworkInterfaceId: "127.0.0.1",
        ...(content === "snapshot" && { SnapshotId: snapshotId }),
        ...(filledIn(tags).length > 0 && {
          Tags: filledIn(tags).map(({ key, value }) => ({ Key: key, Value: value })),
        }),
      };
      let arn: string | undefined;
      if (kind === "cached") {
        const command = new CreateCachediSCSIVolumeCommand({
          ...common,
          VolumeSizeInBytes: sizeBytes,
          ClientToken: token.current,
          ...(content === "clone" && { SourceVolumeARN: source?.arn }),
        });
        arn = (await clients.storageGateway.send(command)).VolumeARN;
      } else {
        const DiskId = chosenDisk === NEW_DISK ? await newDisk.create() : chosenDisk;
        // A further try uses the disk that is there by now.
        setDiskChoice(DiskId);
        const PreserveExistingData = content === "preserve";
        const command = new CreateStorediSCSIVolumeCommand({ ...common, DiskId, PreserveExistingData });
        arn = (await clients.storageGateway.send(command)).VolumeARN;
      }
      await Promise.all([
        queryClient.invalidateQueries({ queryKey: ["volumes"] }),
        queryClient.invalidateQueries({ queryKey: ["disks"] }),
      ]);
      notices.succeeded(`${name} is there`, "Attach it to a server: the commands are below.");
      go(`/volumes/${(arn?.split("/volume/")[1] ?? "").toLowerCase()}?tab=attach`);
    } catch (error) {
      setFailure(messageOf(error));
      setBusy(false);
    }
  }

  const contents = [
    { value: "empty", label: "Empty", description: "All zeros, like a new disk." },
    {
      value: "snapshot",
      label: "From a snapshot",
      description: "Usable at once; blocks are fetched as they are asked for.",
    },
    kind === "cached"
      ? {
          value: "clone",
          label: "Clone of a volume",
          description: "As its newest recovery point has it.",
        }
      : {
          value: "preserve",
          label: "What the disk holds",
          description: "Adopts a raw image or device as it is.",
        },
  ];

  return (
    <Wizard
      activeStepIndex={step}
      isLoadingNextStep={busy}
      onNavigate={({ detail }) => goToStep(detail.requestedStepIndex)}
      onCancel={() => go("/volumes")}
      onSubmit={() => void create()}
      i18nStrings={{
        stepNumberLabel: (number) => `Step ${number}`,
        collapsedStepsLabel: (number, count) => `Step ${number} of ${count}`,
        navigationAriaLabel: "Steps",
        cancelButton: "Cancel",
        previousButton: "Previous",
        nextButton: "Next",
        submitButton: "Create volume",
      }}
      steps={[
        {
          title: "Kind and content",
          description: "What the volume is, and what it holds at first.",
          content: (
            <SpaceBetween size="l">
              <Container header={<Header variant="h2">Kind</Header>}>
                <SpaceBetween size="l">
                  <Tiles
                    value={kind}
                    ariaLabel="Kind of volume"
                    onChange={({ detail }) => choose(detail.value as Kind)}
                    items={[
                      {
                        value: "cached",
                        label: "Cached",
                        description:
                          "The data lives in the bucket; what is hot also here. May be larger than the disks here.",
                      },
                      {
                        value: "stored",
                        label: "Stored",
                        description: "All data lives on one disk here, and is backed up into the bucket.",
                      },
                    ]}
                  />
                  {(fitting.length > 1 || problems.gateway !== undefined) && (
                    <FormField label="Gateway" errorText={problems.gateway}>
                      <Select
                        selectedOption={gateway === undefined ? null : gatewayOption(gateway)}
                        options={fitting.map(gatewayOption)}
                        onChange={({ detail }) => setGatewayChoice(detail.selectedOption.value)}
                      />
                    </FormField>
                  )}
                </SpaceBetween>
              </Container>
              <Container header={<Header variant="h2">Content</Header>}>
                <SpaceBetween size="l">
                  <Tiles
                    value={content}
                    ariaLabel="Content"
                    items={contents}
                    onChange={({ detail }) => setContent(detail.value as Content)}
                  />
                  {content === "snapshot" && (
                    <SnapshotSelect
                      id={snapshotId}
                      onChange={setSnapshotId}
                      errorText={shown(problems.snapshot)}
                    />
                  )}
                  {content === "clone" && (
                    <FormField label="Volume" errorText={shown(problems.source)}>
                      <Select
                        filteringType="auto"
                        placeholder="Choose a volume"
                        empty="There are no cached volumes"
                        selectedOption={
                          source === undefined ? null : { value: source.id, label: source.name }
                        }
                        options={(volumes.data ?? [])
                          .filter((volume) => volume.kind === "cached")
                          .map(({ id, name: label, sizeBytes: size }) => ({
                            value: id,
                            label,
                            description: `${id}, ${bytes(size)}`,
                          }))}
                        onChange={({ detail }) => setSourceId(detail.selectedOption.value)}
                      />
                    </FormField>
                  )}
                </SpaceBetween>
              </Container>
            </SpaceBetween>
          ),
        },
        {
          title: "Size and name",
          description: "How large it is, and by which name servers find it.",
          content: (
            <SpaceBetween size="l">
              <Container header={<Header variant="h2">{kind === "cached" ? "Size" : "Disk"}</Header>}>
                {kind === "cached" ? (
                  <FormField
                    label="Size in GiB"
                    errorText={shown(problems.size)}
                    constraintText="Takes only the space that is used. It can be made larger later, not smaller."
                  >
                    <Input
                      type="number"
                      inputMode="numeric"
                      placeholder="100"
                      value={sizeText === "" && sourceBytes !== undefined ? String(sizeGib) : sizeText}
                      onChange={({ detail }) => setSizeText(detail.value)}
                    />
                  </FormField>
                ) : (
                  <SpaceBetween size="l">
                    <FormField
                      label="Disk"
                      errorText={chosenDisk === NEW_DISK ? undefined : shown(problems.disk)}
                      description="A free local disk of this gateway; the volume has its size."
                    >
                      <Select
                        selectedOption={diskOption(chosenDisk, disk)}
                        options={[
                          ...freeDisks.map((free) => diskOption(free.id, free)),
                          ...(content === "preserve" ? [] : [diskOption(NEW_DISK, undefined)]),
                        ]}
                        onChange={({ detail }) => setDiskChoice(detail.selectedOption.value)}
                      />
                    </FormField>
                    {disk !== undefined && content !== "preserve" && (
                      <Alert type="warning">What the disk {disk.id} holds now is overwritten.</Alert>
                    )}
                    {chosenDisk === NEW_DISK && content !== "preserve" && (
                      <NewDiskFields disk={newDisk} tried={tried} problem={shown(problems.disk)} />
                    )}
                  </SpaceBetween>
                )}
              </Container>
              <Container header={<Header variant="h2">Name</Header>}>
                <FormField
                  label="Name"
                  errorText={name === "" ? shown(problems.name) : problems.name}
                  constraintText="Small letters, digits, dots and hyphens."
                  description={
                    <>
                      Servers see it as{" "}
                      <Box variant="code" fontSize="body-s">
                        {TARGET_PREFIX}
                        {name === "" ? "NAME" : name}
                      </Box>
                    </>
                  }
                >
                  <Input
                    value={name}
                    placeholder="database"
                    spellcheck={false}
                    autoComplete={false}
                    onChange={({ detail }) => setName(detail.value)}
                  />
                </FormField>
              </Container>
              <Container header={<Header variant="h2">Tags</Header>}>
                <TagFields tags={tags} onChange={setTags} />
              </Container>
            </SpaceBetween>
          ),
        },
        {
          title: "Review and create",
          content: (
            <SpaceBetween size="l">
              {failure !== undefined && (
                <Alert type="error" header="The volume was not created">
                  {failure}
                </Alert>
              )}
              <Container header={<Header variant="h2">The volume</Header>}>
                <KeyValuePairs
                  columns={3}
                  items={[
                    { label: "Name", value: name },
                    { label: "Kind", value: kind === "cached" ? "Cached" : "Stored" },
                    { label: "Gateway", value: gateway?.GatewayName ?? "–" },
                    {
                      label: "Content",
                      value:
                        content === "snapshot"
                          ? `${snapshot?.description ?? ""} (${snapshotId}, ${time(snapshot?.startedAt)})`
                          : content === "clone"
                            ? `Newest recovery point of ${source?.name}`
                            : content === "preserve"
                              ? "What the disk holds"
                              : "Empty",
                    },
                    {
                      label: "Size",
                      value: bytes(kind === "cached" ? sizeBytes : (disk?.sizeBytes ?? newDisk.sizeBytes)),
                    },
                    ...(kind === "stored"
                      ? [{ label: "Disk", value: disk?.id ?? `${newDisk.name} (new)` }]
                      : []),
                    { label: "Target", value: TARGET_PREFIX + name },
                    {
                      label: "Tags",
                      value:
                        filledIn(tags)
                          .map(({ key, value }) => `${key} = ${value}`)
                          .join(", ") || "none",
                    },
                  ]}
                />
              </Container>
            </SpaceBetween>
          ),
        },
      ]}
    />
  );
}

function gatewayOption(gateway: {
  GatewayARN: string;
  GatewayName?: string | undefined;
}): SelectProps.Option {
  return { value: gateway.GatewayARN, label: gateway.GatewayName ?? gateway.GatewayARN };
}

function diskOption(id: string, disk: LocalDisk | undefined): SelectProps.Option {
  if (id === NEW_DISK)
    return { value: NEW_DISK, label: "Make a new disk", description: "A sparse file on the gateway" };
  return {
    value: id,
    label: id,
    description: disk === undefined ? "" : `${bytes(disk.sizeBytes)}, ${disk.path}`,
  };
}

function sizeProblem(text: string, sizeBytes: number, sourceBytes: number | undefined): string | undefined {
  if (text === "" && sourceBytes === undefined) return "Enter a size.";
  if ((text !== "" && !/^\d+$/.test(text.trim())) || !Number.isSafeInteger(sizeBytes)) {
    return "Enter a whole number of GiB.";
  }
  if (sizeBytes < GIB) return "At least 1 GiB.";
  if (sizeBytes > SIZE_BYTES_MAX.cached) return `At most ${bytes(SIZE_BYTES_MAX.cached)}.`;
  if (sourceBytes !== undefined && sizeBytes < sourceBytes) {
    return `At least ${bytes(sourceBytes)}: so much its source has.`;
  }
  return undefined;
}

function diskProblem(
  choice: string,
  disk: LocalDisk | undefined,
  newDiskProblem: string | undefined,
  newSizeBytes: number,
  sourceBytes: number | undefined,
): string | undefined {
  const sizeBytes = choice === NEW_DISK ? newSizeBytes : (disk?.sizeBytes ?? 0);
  if (choice === NEW_DISK && newDiskProblem !== undefined) return newDiskProblem;
  if (choice !== NEW_DISK && disk === undefined) return "Choose a disk.";
  if (sizeBytes < GIB) return "A volume has at least 1 GiB.";
  if (sizeBytes > SIZE_BYTES_MAX.stored)
    return `A stored volume has at most ${bytes(SIZE_BYTES_MAX.stored)}.`;
  if (sourceBytes !== undefined && sizeBytes < sourceBytes) {
    return `The snapshot is of ${bytes(sourceBytes)}: the disk is too small.`;
  }
  return undefined;
}
