/**
 * The audit log: every call that changes something or was refused, and what the gateway did or found by itself. Kept
 * beside the data (mode 0600), bounded by rotation, and read by ListActivity. It never holds a secret.
 */
import { join } from "node:path";
import type { Clock } from "../platform/clock.ts";
import { LineLog } from "../platform/line-log.ts";
import type { ApiCall } from "./api-call.ts";
import type { GatewayEvent } from "./event.ts";
import { namesIn, withoutSecrets } from "./redact.ts";

/** One entry, as it is kept and shown. */
export interface Activity {
  readonly Sequence: number;
  /** Seconds since the Unix epoch. */
  readonly Time: number;
  /** `call`: somebody asked for it. `event`: it came about by itself. */
  readonly Kind: "call" | "event";
  /** The operation of a call, the type of an event. */
  readonly Name: string;
  readonly Result: "succeeded" | "failed" | "denied";
  /** ARNs and ids that it is about. */
  readonly Resources: readonly string[];
  /** In words, for an event. */
  readonly Message?: string;
  readonly Severity?: GatewayEvent["severity"];
  readonly Service?: string;
  readonly RequestId?: string;
  readonly Actor?: {
    readonly AccessKeyId: string;
    readonly Name: string;
    readonly Role: string;
    readonly IsSession: boolean;
  };
  readonly SourceAddress?: string;
  readonly UserAgent?: string;
  readonly Parameters?: unknown;
  readonly ErrorCode?: string;
  readonly ErrorMessage?: string;
  readonly TookMs?: number;
}

export interface ActivityQuery {
  readonly fromMs?: number;
  readonly toMs?: number;
  readonly kind?: Activity["Kind"];
  readonly name?: string;
  readonly accessKeyId?: string;
  /** An ARN or an id; also what it is a part of. */
  readonly resource?: string;
  readonly result?: Activity["Result"];
  /** Only entries with a lower Sequence. */
  readonly before?: number;
  readonly limit: number;
}

const FOLDER = "activity";
const FILE_BYTES_MAX = 4 * 1024 * 1024;
const FILES_MAX = 16;
/** Entries looked at for one page: one that matches little is answered in several. */
const SCANNED_MAX = 20_000;
const TEXT_CHARS_MAX = 1_000;

export class ActivityLog {
  readonly #lines: LineLog;
  readonly #clock: Clock;
  readonly #onProblem: (message: string, error: unknown) => void;

  private constructor(lines: LineLog, clock: Clock, onProblem: (message: string, error: unknown) => void) {
    this.#lines = lines;
    this.#clock = clock;
    this.#onProblem = onProblem;
  }

  static open(
    dataDir: string,
    clock: Clock,
    onProblem: (message: string, error: unknown) => void,
  ): ActivityLog {
    const lines = LineLog.open({
      folder: join(dataDir, FOLDER),
      name: FOLDER,
      fileBytesMax: FILE_BYTES_MAX,
      filesMax: FILES_MAX,
    });
    return new ActivityLog(lines, clock, onProblem);
  }

  /** Enters a call. A log that can't be written is told to `onProblem`; the call stands. */
  call(call: ApiCall): void {
    const { caller, error } = call;
    this.#append({
      Kind: "call",
      Name: call.operation,
      Result: error === undefined ? "succeeded" : error.isDenied ? "denied" : "failed",
      Resources: [...new Set([...namesIn(call.input), ...namesIn(call.output)])],
      Service: call.service,
      RequestId: call.requestId,
      ...(caller !== undefined && {
        Actor: {
          AccessKeyId: caller.accessKeyId,
          Name: caller.name,
          Role: caller.role,
          IsSession: caller.isSession,
        },
      }),
      SourceAddress: call.remoteAddress,
      ...(call.userAgent !== undefined && { UserAgent: shortened(call.userAgent) }),
      ...(call.input !== undefined && { Parameters: withoutSecrets(call.input) }),
      ...(error !== undefined && { ErrorCode: error.code, ErrorMessage: shortened(error.message) }),
      TookMs: Math.round(call.tookMs),
    });
  }

  /** Enters something that came about by itself. */
  event(event: GatewayEvent): void {
    this.#append({
      Kind: "event",
      Name: event.type,
      Result: event.severity === "error" ? "failed" : "succeeded",
      Severity: event.severity,
      Resources: event.resources,
      Message: shortened(event.message),
    });
  }

  /** A page of entries, newest first; `before` is what the next page asks for, absent after the last. */
  list(query: ActivityQuery): { readonly entries: Activity[]; readonly before?: number } {
    const entries: Activity[] = [];
    let scanned = 0;
    for (const { number, line } of this.#lines.newestFirst(query.before)) {
      if (entries.length >= query.limit || scanned >= SCANNED_MAX) return { entries, before: number + 1 };
      scanned += 1;
      const entry = parse(line);
      if (entry === undefined) continue;
      if (query.fromMs !== undefined && entry.Time * 1000 < query.fromMs) return { entries };
      if (matches(entry, query)) entries.push(entry);
    }
    return { entries };
  }

  close(): void {
    this.#lines.close();
  }

  #append(entry: Omit<Activity, "Sequence" | "Time">): void {
    const Time = this.#clock.nowMs() / 1000;
    try {
      this.#lines.append((Sequence) => JSON.stringify({ Sequence, Time, ...entry }));
    } catch (error) {
      this.#onProblem("the activity log can't be written", error);
    }
  }
}

function matches(entry: Activity, query: ActivityQuery): boolean {
  const { toMs, kind, name, accessKeyId, resource, result } = query;
  if (toMs !== undefined && entry.Time * 1000 > toMs) return false;
  if (kind !== undefined && entry.Kind !== kind) return false;
  if (name !== undefined && entry.Name !== name) return false;
  if (result !== undefined && entry.Result !== result) return false;
  if (accessKeyId !== undefined && entry.Actor?.AccessKeyId !== accessKeyId) return false;
  if (resource === undefined) return true;
  const wanted = resource.toLowerCase();
  return entry.Resources.some((each) => each.toLowerCase().includes(wanted));
}

/** A line that is no entry was cut short when the power was lost. */
function parse(line: string): Activity | undefined {
  try {
    return JSON.parse(line) as Activity;
  } catch {
    return undefined;
  }
}

function shortened(text: string): string {
  return text.length <= TEXT_CHARS_MAX ? text : `${text.slice(0, TEXT_CHARS_MAX)}…`;
}
