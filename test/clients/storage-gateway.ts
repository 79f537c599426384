/** The Storage Gateway API, and the others, by each of the clients that they have to work with unchanged. */
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { AwsCli } from "./aws-cli.ts";
import { Boto, type BotoSettings } from "./boto.ts";

// biome-ignore lint/suspicious/noExplicitAny: the shapes are the service's; a test looks only at what it expects.
type Answer = any;

/** One client of one service. Errors carry `name` or `code`, `message`, and `errorCode` as far as the client tells it. */
export interface ApiCaller {
  readonly name: StorageGatewayClientName;
  /** The answer as JSON has it; bytes, in `BlockData`, are a Buffer in input and answer. */
  call(operation: string, input?: object): Promise<Answer>;
  close(): void;
}

export const STORAGE_GATEWAY_CLIENTS = ["boto3", "aws-cli", "aws-sdk"] as const;
export type StorageGatewayClientName = (typeof STORAGE_GATEWAY_CLIENTS)[number];
export type ServiceName = "storagegateway" | "ec2" | "ebs" | "dlm";

const SDK_PACKAGES = {
  storagegateway: () => import("@aws-sdk/client-storage-gateway"),
  ec2: () => import("@aws-sdk/client-ec2"),
  ebs: () => import("@aws-sdk/client-ebs"),
  dlm: () => import("@aws-sdk/client-dlm"),
};
const SDK_CLIENTS = {
  storagegateway: "StorageGatewayClient",
  ec2: "EC2Client",
  ebs: "EBSClient",
  dlm: "DLMClient",
};

export function openCaller(
  name: StorageGatewayClientName,
  settings: BotoSettings,
  service: ServiceName = "storagegateway",
): ApiCaller {
  if (name === "boto3") return byBoto(settings, service);
  return name === "aws-cli" ? byCli(settings, service) : bySdk(settings, service);
}

function byBoto(settings: BotoSettings, service: ServiceName): ApiCaller {
  const boto = new Boto(settings);
  return {
    name: "boto3",
    async call(operation, input = {}) {
      const args = "BlockData" in input ? { ...input, BlockData: asBytes(input.BlockData) } : input;
      const answer = await boto.call(service, snakeCase(operation), args);
      const bytes = answer?.BlockData?.$bytes;
      return bytes === undefined ? answer : { ...answer, BlockData: Buffer.from(bytes, "base64") };
    },
    close: () => boto.close(),
  };
}

function asBytes(data: unknown): object {
  return { $bytes: (data as Buffer).toString("base64") };
}

/** aws-cli takes bytes from a file, and puts them into one. */
function byCli(settings: BotoSettings, service: ServiceName): ApiCaller {
  const cli = new AwsCli(settings);
  const folder = mkdtempSync(join(tmpdir(), "sg-aws-cli-"));
  const file = join(folder, "block");
  return {
    name: "aws-cli",
    async call(operation, input = {}) {
      const { BlockData, ...rest } = input as { BlockData?: Buffer };
      if (BlockData !== undefined) writeFileSync(file, BlockData);
      const gets = operation === "GetSnapshotBlock";
      const more =
        BlockData !== undefined ? ["--block-data", file] : gets ? [...argumentsOf(rest), file] : [];
      const command = snakeCase(operation).replaceAll("_", "-");
      const answer = await cli.call(service, command, gets ? undefined : rest, more);
      return gets ? { ...answer, BlockData: readFileSync(file) } : answer;
    },
    close() {
      cli.close();
      rmSync(folder, { recursive: true, force: true });
    },
  };
}

/** With a file to write to, aws-cli takes arguments, and no JSON. */
function argumentsOf(input: object): string[] {
  return Object.entries(input).flatMap(([name, value]) => [
    `--${snakeCase(name).replaceAll("_", "-")}`,
    String(value),
  ]);
}

function bySdk(settings: BotoSettings, service: ServiceName): ApiCaller {
  const { accessKeyId, secretAccessKey, endpoint } = settings;
  let client: { send(command: never): Promise<Answer>; destroy(): void } | undefined;
  return {
    name: "aws-sdk",
    async call(operation, input = {}) {
      const sdk = (await SDK_PACKAGES[service]()) as unknown as Record<string, new (input: object) => never>;
      const Client = sdk[SDK_CLIENTS[service]];
      const Command = sdk[`${operation}Command`];
      if (Client === undefined || Command === undefined) throw new Error(`the SDK has no ${operation}`);
      client ??= new Client({
        endpoint,
        region: settings.region ?? "us-east-1",
        credentials: { accessKeyId, secretAccessKey },
        maxAttempts: 1,
      });
      const {
        $metadata: _,
        BlockData,
        ...output
      } = await (client as NonNullable<typeof client>).send(new Command(input));
      const answer = JSON.parse(JSON.stringify(output));
      if (BlockData === undefined) return answer;
      return { ...answer, BlockData: Buffer.from(await BlockData.transformToByteArray()) };
    },
    close: () => client?.destroy(),
  };
}

/** The name of a method of boto3: `CreateStorediSCSIVolume` is `create_stored_iscsi_volume`. */
export function snakeCase(operation: string): string {
  return operation
    .replace("iSCSI", "Iscsi")
    .replace(/([a-z])([A-Z])/g, "$1_$2")
    .replace(/([A-Z]+)([A-Z][a-z])/g, "$1_$2")
    .toLowerCase();
}
