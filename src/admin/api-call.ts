/** One request to the API, after it was answered: what metrics, logs and the activity log are told. */
export interface ApiCall {
  readonly requestId: string;
  readonly service: string;
  /** As named by the caller; empty where the request named none. */
  readonly operation: string;
  /** Whether it changes something, if it succeeds. */
  readonly isMutating: boolean;
  /** Absent where the signature was not good. */
  readonly caller?: {
    readonly accessKeyId: string;
    readonly name: string;
    readonly role: string;
    readonly isSession: boolean;
  };
  readonly remoteAddress: string;
  readonly userAgent?: string;
  /** As it was decoded; absent where it was not. */
  readonly input?: unknown;
  readonly output?: unknown;
  readonly status: number;
  readonly error?: { readonly code: string; readonly message: string; readonly isDenied: boolean };
  readonly tookMs: number;
}
