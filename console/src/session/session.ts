/**
 * Who is signed in.
 *
 * The access key that was typed in is used once, for a session with credentials of its own that end by themselves.
 * Those are kept in this tab's session storage, so that a reload does not sign out; the key itself is kept nowhere.
 */

export interface Session {
  readonly region: string;
  readonly accessKeyId: string;
  readonly secretAccessKey: string;
  readonly sessionToken: string;
  readonly expiresAtMs: number;
  /** What the key may do: `admin` or `read-only`. */
  readonly role: string;
  /** The access key that was used to sign in: a name, not a secret. */
  readonly signedInAs: string;
  /** How far the gateway's clock is ahead of this browser's. */
  readonly clockOffsetMs: number;
}

const KEY = "sluicegate.session";

/** The session of this tab, unless it has ended. */
export function readSession(): Session | undefined {
  const text = sessionStorage.getItem(KEY);
  if (text === null) return undefined;
  try {
    const session = JSON.parse(text) as Session;
    if (session.expiresAtMs > Date.now() + session.clockOffsetMs) return session;
  } catch {
    // Not ours, or of another version: as if there were none.
  }
  sessionStorage.removeItem(KEY);
  return undefined;
}

export function keepSession(session: Session): void {
  sessionStorage.setItem(KEY, JSON.stringify(session));
}

export function forgetSession(): void {
  sessionStorage.removeItem(KEY);
}
