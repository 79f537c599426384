/** The EBS direct API of any endpoint, AWS's or another gateway's, as exports and imports use it. */
import { EBSClient, type Tag } from "@aws-sdk/client-ebs";

const ATTEMPTS_MAX = 8;
/** Blocks on their way at a time. */
export const AT_A_TIME = 16;

const TAGS_MAX = 50;
const KEY_LENGTH_MAX = 127;
const VALUE_LENGTH_MAX = 255;

/** The tags that EBS takes: not those of AWS's own, such as a lifecycle policy's, and not longer ones than it knows. */
export function tagsForEbs(tags: readonly { readonly key: string; readonly value: string }[]): Tag[] {
  return tags
    .filter(({ key, value }) => {
      const isOwn = !key.toLowerCase().startsWith("aws:");
      return isOwn && key.length <= KEY_LENGTH_MAX && value.length <= VALUE_LENGTH_MAX;
    })
    .slice(0, TAGS_MAX)
    .map(({ key, value }) => ({ Key: key, Value: value }));
}

/** Which EBS; credentials come from where the AWS SDK finds them. */
export interface EbsEndpoint {
  readonly region: string;
  readonly endpoint?: string;
  /** A profile of the shared credentials file. */
  readonly profile?: string;
}

export function ebsClient({ region, endpoint, profile }: EbsEndpoint): EBSClient {
  return new EBSClient({
    region,
    maxAttempts: ATTEMPTS_MAX,
    ...(endpoint !== undefined && { endpoint }),
    ...(profile !== undefined && { profile }),
  });
}
