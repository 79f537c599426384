/** The Storage Gateway API by each of the clients that it has to work with unchanged. */

import * as sdk from "@aws-sdk/client-storage-gateway";
import { StorageGatewayClient } from "@aws-sdk/client-storage-gateway";
import { AwsCli } from "./aws-cli.ts";
import { Boto, type BotoSettings } from "./boto.ts";

// biome-ignore lint/suspicious/noExplicitAny: the shapes are the service's; a test looks only at what it expects.
type Answer = any;

/** One client. Errors carry `name` or `code`, `message`, and `errorCode` as far as the client tells it. */
export interface ApiCaller {
  readonly name: StorageGatewayClientName;
  call(operation: string, input?: object): Promise<Answer>;
  close(): void;
}

export const STORAGE_GATEWAY_CLIENTS = ["boto3", "aws-cli", "aws-sdk"] as const;
export type StorageGatewayClientName = (typeof STORAGE_GATEWAY_CLIENTS)[number];

export function openCaller(name: StorageGatewayClientName, settings: BotoSettings): ApiCaller {
  if (name === "boto3") {
    const boto = new Boto(settings);
    const call = (operation: string, input: object = {}) => boto.gateway(snakeCase(operation), input);
    return { name, call, close: () => boto.close() };
  }
  if (name === "aws-cli") {
    const cli = new AwsCli(settings);
    const call = (operation: string, input: object = {}) =>
      cli.call("storagegateway", snakeCase(operation).replaceAll("_", "-"), input);
    return { name, call, close: () => cli.close() };
  }
  const { accessKeyId, secretAccessKey, endpoint } = settings;
  const client = new StorageGatewayClient({
    endpoint,
    region: settings.region ?? "us-east-1",
    credentials: { accessKeyId, secretAccessKey },
    maxAttempts: 1,
  });
  const call = async (operation: string, input: object = {}) => {
    const Command = (sdk as unknown as Record<string, new (input: object) => never>)[`${operation}Command`];
    if (Command === undefined) throw new Error(`the SDK has no ${operation}`);
    const { $metadata: _, ...output } = (await client.send(new Command(input))) as Answer;
    return JSON.parse(JSON.stringify(output));
  };
  return { name, call, close: () => client.destroy() };
}

/** The name of a method of boto3: `CreateStorediSCSIVolume` is `create_stored_iscsi_volume`. */
export function snakeCase(operation: string): string {
  return operation
    .replace("iSCSI", "Iscsi")
    .replace(/([a-z])([A-Z])/g, "$1_$2")
    .replace(/([A-Z]+)([A-Z][a-z])/g, "$1_$2")
    .toLowerCase();
}
