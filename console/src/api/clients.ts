/** The AWS SDK's clients for this gateway, with the credentials of the session. */
import { EC2Client } from "@aws-sdk/client-ec2";
import { StorageGatewayClient } from "@aws-sdk/client-storage-gateway";
import type { Session } from "../session/session.ts";
import { hintOf } from "./hints.ts";
import { callOwn } from "./own.ts";

export interface Clients {
  readonly storageGateway: StorageGatewayClient;
  readonly ec2: EC2Client;
  /** One of the gateway's own operations. */
  readonly own: <Output>(operation: string, input: object) => Promise<Output>;
}

/** In place of whatever the gateway says when a session has ended. */
class SessionEndedError extends Error {
  override readonly name = "SessionEnded";

  constructor(options: ErrorOptions) {
    super("The session has ended: sign in again, and try again.", options);
  }
}

/** What `call` gives; where the session has ended, `onEnded` is told, and that is what it rejects with. */
async function told<T>(call: Promise<T>, onEnded: () => void): Promise<T> {
  try {
    return await call;
  } catch (error) {
    if (!isSignedOut(error)) throw error;
    onEnded();
    throw new SessionEndedError({ cause: error });
  }
}

/** Has a client of the SDK tell when the session has ended. */
export function tellingClient<
  C extends { readonly middlewareStack: { add(middleware: never, options: { step: "initialize" }): void } },
>(client: C, onEnded: () => void): C {
  type Next = (input: unknown) => Promise<unknown>;
  const middleware = (next: Next) => (input: unknown) => told(next(input), onEnded);
  client.middlewareStack.add(middleware as never, { step: "initialize" });
  return client;
}

/** What each client of the SDK is made with. */
export function configOf(session: Session) {
  const { region, accessKeyId, secretAccessKey, sessionToken, clockOffsetMs } = session;
  return {
    region,
    endpoint: location.origin,
    credentials: { accessKeyId, secretAccessKey, sessionToken },
    systemClockOffset: clockOffsetMs,
    maxAttempts: 2,
  };
}

/** `onEnded` is told by any call that is refused because the session is over. */
export function makeClients(session: Session, onEnded: () => void): Clients {
  const config = configOf(session);
  return {
    storageGateway: tellingClient(new StorageGatewayClient(config), onEnded),
    ec2: tellingClient(new EC2Client(config), onEnded),
    own: (operation, input) => told(callOwn(session, operation, input), onEnded),
  };
}

/** Whether an error says that the session has ended, or was ended. */
export function isSignedOut(error: unknown): boolean {
  if (!(error instanceof Error)) return false;
  return /^(SessionEnded|ExpiredToken(Exception)?|UnrecognizedClientException|InvalidClientTokenId|AuthFailure|InvalidSignatureException|MissingAuthenticationToken(Exception)?)$/.test(
    error.name,
  );
}

/** The API's own code of an error: what its exceptions carry, or its name. */
export function errorCodeOf(error: unknown): string | undefined {
  if (!(error instanceof Error)) return undefined;
  const { errorCode } = (error as { error?: { errorCode?: string } }).error ?? {};
  return errorCode ?? error.name;
}

/** An error in words for people, and what to do about it where that is known. */
export function messageOf(error: unknown): string {
  if (!(error instanceof Error)) return String(error);
  if (error instanceof TypeError && /fetch|network/i.test(error.message))
    return "The gateway does not answer. Look whether it runs, and try again.";
  if (error.name === "TimeoutError" || error.name === "AbortError")
    return "The gateway has not answered in time. Whether it was done all the same, “Activity” tells.";
  if (error instanceof SyntaxError || /Deserialization error/.test(error.message))
    return "What has answered was not the gateway: look at the web server in front of it, and try again.";
  const code = errorCodeOf(error);
  // The SDK names what it has no words for: there is nothing to be read in that.
  const text =
    error.message === "" || error.message === "UnknownError" ? "The gateway has failed." : error.message;
  const hint = hintOf(code);
  return hint === undefined ? text : `${text} ${hint}`;
}
