/** The AWS SDK's clients for this gateway, with the credentials of the session. */
import { EC2Client } from "@aws-sdk/client-ec2";
import { StorageGatewayClient } from "@aws-sdk/client-storage-gateway";
import type { Session } from "../session/session.ts";
import { callOwn } from "./own.ts";

export interface Clients {
  readonly storageGateway: StorageGatewayClient;
  readonly ec2: EC2Client;
  /** One of the gateway's own operations. */
  readonly own: <Output>(operation: string, input: object) => Promise<Output>;
}

export function makeClients(session: Session): Clients {
  const { region, accessKeyId, secretAccessKey, sessionToken, clockOffsetMs } = session;
  const config = {
    region,
    endpoint: location.origin,
    credentials: { accessKeyId, secretAccessKey, sessionToken },
    systemClockOffset: clockOffsetMs,
    maxAttempts: 2,
  };
  return {
    storageGateway: new StorageGatewayClient(config),
    ec2: new EC2Client(config),
    own: (operation, input) => callOwn(session, operation, input),
  };
}

/** Whether an error says that the session has ended, or was ended. */
export function isSignedOut(error: unknown): boolean {
  if (!(error instanceof Error)) return false;
  return /^(ExpiredToken(Exception)?|UnrecognizedClientException|InvalidClientTokenId|AuthFailure|InvalidSignatureException|MissingAuthenticationToken(Exception)?)$/.test(
    error.name,
  );
}

/** The API's own code of an error: what its exceptions carry, or its name. */
export function errorCodeOf(error: unknown): string | undefined {
  if (!(error instanceof Error)) return undefined;
  const { errorCode } = (error as { error?: { errorCode?: string } }).error ?? {};
  return errorCode ?? error.name;
}

/** An error in words for people. */
export function messageOf(error: unknown): string {
  if (!(error instanceof Error)) return String(error);
  if (error instanceof TypeError && /fetch|network/i.test(error.message))
    return "The gateway does not answer.";
  return error.message;
}
