/** ARNs of this service. Storage Gateway spells ids in upper case; parsing does not care. */
import {
  type GatewayId,
  parseGatewayId,
  parseVolumeId,
  upperCaseId,
  type VolumeId,
} from "../platform/ids.ts";

export const TARGET_PREFIX = "iqn.1997-05.com.amazon:";

/** Of snapshots that no gateway's volume was the source of. */
export const NO_GATEWAY = "sgw-00000000" as GatewayId;

/** Region and account that stand in every ARN. */
export interface Realm {
  readonly region: string;
  readonly accountId: string;
}

function service(realm: Realm): string {
  return `arn:aws:storagegateway:${realm.region}:${realm.accountId}:`;
}

export function gatewayArn(realm: Realm, gatewayId: GatewayId): string {
  return `${service(realm)}gateway/${upperCaseId(gatewayId)}`;
}

export function volumeArn(realm: Realm, gatewayId: GatewayId, volumeId: VolumeId): string {
  return `${gatewayArn(realm, gatewayId)}/volume/${upperCaseId(volumeId)}`;
}

/** `targetName` is the whole iSCSI name. */
export function targetArn(realm: Realm, gatewayId: GatewayId, targetName: string): string {
  return `${gatewayArn(realm, gatewayId)}/target/${targetName}`;
}

/** The gateway that an ARN names, or undefined where it is not a gateway's ARN of this realm. */
export function parseGatewayArn(realm: Realm, arn: string): GatewayId | undefined {
  const match = /^arn:aws[a-z-]*:storagegateway:([^:]*):([^:]*):gateway\/([^/]+)$/.exec(arn);
  if (match === null || match[1] !== realm.region || match[2] !== realm.accountId) return undefined;
  return parseGatewayId(match[3] ?? "");
}

/** Gateway and volume that an ARN names, or undefined where it is not a volume's ARN of this realm. */
export function parseVolumeArn(
  realm: Realm,
  arn: string,
): { gatewayId: GatewayId; volumeId: VolumeId } | undefined {
  const match = /^(.+)\/volume\/([^/]+)$/.exec(arn);
  const gatewayId = parseGatewayArn(realm, match?.[1] ?? "");
  const volumeId = parseVolumeId(match?.[2] ?? "");
  return gatewayId === undefined || volumeId === undefined ? undefined : { gatewayId, volumeId };
}

/** Whether an ARN ends in a volume's id, of this service or another: ids were of 8 digits once, and examples have letters. */
export function endsInVolumeId(arn: string): boolean {
  return /\/vol-[0-9a-z]{8}([0-9a-z]{9})?$/i.test(arn);
}

/** Gateway and whole iSCSI name that an ARN names, or undefined where it is not a target's ARN of this realm. */
export function parseTargetArn(
  realm: Realm,
  arn: string,
): { gatewayId: GatewayId; targetName: string } | undefined {
  const match = /^(.+)\/target\/([^/]+)$/.exec(arn);
  const gatewayId = parseGatewayArn(realm, match?.[1] ?? "");
  const targetName = match?.[2]?.toLowerCase();
  return gatewayId === undefined || targetName === undefined ? undefined : { gatewayId, targetName };
}

export function policyArn({ region, accountId }: Realm, policyId: string): string {
  return `arn:aws:dlm:${region}:${accountId}:policy/${policyId}`;
}

/** The lifecycle policy that an ARN names, or undefined where it is not a policy's ARN of this realm. */
export function parsePolicyArn({ region, accountId }: Realm, arn: string): string | undefined {
  const match = /^arn:aws[a-z-]*:dlm:([^:]*):([^:]*):policy\/(policy-[0-9A-Za-z]+)$/.exec(arn);
  return match?.[1] === region && match[2] === accountId ? match[3] : undefined;
}
