/** `sluicegate key …`: the access keys of the running gateway. */
import { ApiClient } from "./client.ts";
import { ClientError } from "./failure.ts";
import type { GatewayChoice } from "./inventory.ts";

interface Key {
  readonly Name: string;
  readonly AccessKeyId: string;
  readonly SecretAccessKey?: string;
  readonly Role: string;
  readonly ExpirationTime?: number;
  readonly LastUsedTime?: number;
}

export async function keyList({ data, region }: GatewayChoice): Promise<void> {
  const { AccessKeys } = await ApiClient.of(data, region).callOwn<{ AccessKeys: Key[] }>(
    "ListAccessKeys",
    {},
  );
  for (const { Name, AccessKeyId, Role, ExpirationTime, LastUsedTime } of AccessKeys) {
    const used = LastUsedTime === undefined ? "not used since the start" : `used ${timeOf(LastUsedTime)}`;
    const until = ExpirationTime === undefined ? "" : `\tuntil ${timeOf(ExpirationTime)}`;
    process.stdout.write(`${Name}\t${AccessKeyId}\t${Role}\t${used}${until}\n`);
  }
}

export async function keyCreate(
  name: string,
  { data, region, role }: GatewayChoice & { readonly role: string },
): Promise<void> {
  tell(await ApiClient.of(data, region).callOwn<Key>("CreateAccessKey", { Name: name, Role: role }));
}

export async function keyDelete(name: string, { data, region }: GatewayChoice): Promise<void> {
  await ApiClient.of(data, region).callOwn("DeleteAccessKey", { Name: name });
  process.stdout.write(`${name} is good for nothing any more\n`);
}

export async function keyRotate(
  name: string,
  { data, region, keepOld }: GatewayChoice & { readonly keepOld?: string },
): Promise<void> {
  const hours = keepOld === undefined ? undefined : Number(keepOld);
  if (hours !== undefined && !(hours >= 0)) throw new ClientError("--keep-old takes hours");
  tell(
    await ApiClient.of(data, region).callOwn<Key>("RotateAccessKey", {
      Name: name,
      ...(hours !== undefined && { KeepOldSeconds: Math.round(hours * 3600) }),
    }),
  );
}

/** As a profile of AWS clients: it can be put into their file as it stands. */
function tell({ Name, AccessKeyId, SecretAccessKey }: Key): void {
  process.stdout.write(
    `[${Name}]\naws_access_key_id = ${AccessKeyId}\naws_secret_access_key = ${SecretAccessKey}\n`,
  );
}

function timeOf(seconds: number): string {
  return new Date(seconds * 1000).toISOString();
}
