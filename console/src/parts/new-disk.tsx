/** A local disk that is made here: a sparse file in the gateway's data folder. */
import Alert from "@cloudscape-design/components/alert";
import ColumnLayout from "@cloudscape-design/components/column-layout";
import FormField from "@cloudscape-design/components/form-field";
import Input from "@cloudscape-design/components/input";
import { type ReactNode, useState } from "react";
import { useClients } from "../session/context.tsx";

const GIB = 1024 ** 3;
const NAME = /^[A-Za-z0-9][A-Za-z0-9._-]{0,99}$/;

export interface NewDisk {
  readonly name: string;
  readonly sizeText: string;
  readonly sizeBytes: number;
  readonly problem: string | undefined;
  readonly nameProblem: string | undefined;
  readonly sizeProblem: string | undefined;
  setName(name: string): void;
  setSizeText(text: string): void;
  /** Makes it; resolves with its id. */
  create(): Promise<string>;
}

export function useNewDisk(): NewDisk {
  const { own } = useClients();
  const [name, setName] = useState("");
  const [sizeText, setSizeText] = useState("");
  const sizeBytes = Number(sizeText) * GIB;
  const nameProblem = NAME.test(name) ? undefined : "Letters, digits, dots, hyphens and underscores.";
  const sizeProblem =
    /^\d+$/.test(sizeText.trim()) && sizeBytes >= GIB && Number.isSafeInteger(sizeBytes)
      ? undefined
      : "Enter a whole number of GiB.";
  return {
    name,
    sizeText,
    sizeBytes,
    nameProblem,
    sizeProblem,
    problem: nameProblem ?? sizeProblem,
    setName,
    setSizeText,
    async create() {
      const { DiskId } = await own<{ DiskId: string }>("CreateLocalDisk", {
        DiskName: name,
        SizeInBytes: sizeBytes,
      });
      return DiskId;
    },
  };
}

export function NewDiskFields(props: {
  disk: NewDisk;
  tried: boolean;
  problem?: string | undefined;
}): ReactNode {
  const { disk, tried, problem } = props;
  return (
    <>
      <ColumnLayout columns={2}>
        <FormField
          label="Name of the disk"
          errorText={tried ? disk.nameProblem : undefined}
          constraintText="Its file’s name in the data folder."
        >
          <Input
            value={disk.name}
            placeholder="disk1"
            spellcheck={false}
            autoComplete={false}
            onChange={({ detail }) => disk.setName(detail.value)}
          />
        </FormField>
        <FormField
          label="Size of the disk in GiB"
          errorText={tried ? disk.sizeProblem : undefined}
          constraintText="The file is sparse: it takes what is written."
        >
          <Input
            value={disk.sizeText}
            type="number"
            inputMode="numeric"
            placeholder="100"
            onChange={({ detail }) => disk.setSizeText(detail.value)}
          />
        </FormField>
      </ColumnLayout>
      {problem !== undefined && disk.problem === undefined && <Alert type="error">{problem}</Alert>}
    </>
  );
}
