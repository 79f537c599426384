import { callOwn, clockOffsetMs } from "../api/own.ts";
import type { Session } from "./session.ts";

/** What the gateway tells before anybody has signed in. */
export interface Settings {
  readonly region: string;
  readonly version: string;
}

export async function loadSettings(): Promise<Settings> {
  const response = await fetch(`${import.meta.env.BASE_URL}settings.json`, { cache: "no-store" });
  return (await response.json()) as Settings;
}

interface SessionAnswer {
  readonly AccessKeyId: string;
  readonly SecretAccessKey: string;
  readonly SessionToken: string;
  readonly Expiration: number;
  readonly Role: string;
}

const DURATION_SECONDS = 12 * 3600;

/** Makes a session of an access key. Rejects with an ApiError where the gateway does not know the key. */
export async function signIn(region: string, accessKeyId: string, secretAccessKey: string): Promise<Session> {
  const offset = await clockOffsetMs();
  const signer = { region, accessKeyId, secretAccessKey, clockOffsetMs: offset };
  const answer = await callOwn<SessionAnswer>(signer, "CreateSession", { DurationSeconds: DURATION_SECONDS });
  return {
    region,
    accessKeyId: answer.AccessKeyId,
    secretAccessKey: answer.SecretAccessKey,
    sessionToken: answer.SessionToken,
    expiresAtMs: answer.Expiration * 1000,
    role: answer.Role,
    signedInAs: accessKeyId,
    clockOffsetMs: offset,
  };
}

/** The two values in what somebody has pasted: a profile of a credentials file, or exports of a shell. */
export function parseCredentials(text: string): { accessKeyId: string; secretAccessKey: string } | undefined {
  const accessKeyId = /aws_access_key_id\s*=\s*"?([\w]{16,128})"?/i.exec(text)?.[1];
  const secretAccessKey = /aws_secret_access_key\s*=\s*"?([A-Za-z0-9/+=_-]{16,})"?/i.exec(text)?.[1];
  return accessKeyId !== undefined && secretAccessKey !== undefined
    ? { accessKeyId, secretAccessKey }
    : undefined;
}
