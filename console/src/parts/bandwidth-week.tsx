/** An interval of the week as the form has it, and the week as a picture. */
import type { BandwidthRateLimitInterval } from "@aws-sdk/client-storage-gateway";
import type { ReactNode } from "react";

/** Texts, as they are typed; megabits a second, the end not included. */
export interface IntervalDraft {
  /** 0: Sunday. */
  readonly days: readonly number[];
  readonly from: string;
  readonly to: string;
  readonly upload: string;
  readonly download: string;
}

export const EVERY_DAY = [0, 1, 2, 3, 4, 5, 6];
const NAMES = ["Sunday", "Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday"];
/** Monday first, as weeks are read. */
const MONDAY_FIRST = [1, 2, 3, 4, 5, 6, 0];
export const WEEK = MONDAY_FIRST.map((day) => ({ value: String(day), label: NAMES[day] ?? "" }));

/** As the API has them. */
export const BITS_MIN = { upload: 51_200, download: 102_400 };
export const BITS_A_MBIT = 1_000_000;
const MINUTES_A_DAY = 24 * 60;

/** What is wrong with a limit in Mbit/s; nothing with none. */
export function limitProblem(text: string, bitsMin: number): string | undefined {
  if (text.trim() === "") return undefined;
  const bits = Number(text) * BITS_A_MBIT;
  return Number.isFinite(bits) && bits >= bitsMin
    ? undefined
    : `At least ${bitsMin / BITS_A_MBIT} Mbit/s; or nothing, for no limit.`;
}

const two = (n: number) => String(n).padStart(2, "0");
const clock = (minute: number) => `${two(Math.floor(minute / 60))}:${two(minute % 60)}`;

/** Minutes since midnight; `24:00` is the end of a day. */
function minuteOf(text: string): number | undefined {
  const parts = /^(\d{1,2}):([0-5]\d)$/.exec(text.trim());
  if (parts === null) return undefined;
  const minute = Number(parts[1]) * 60 + Number(parts[2]);
  return minute <= MINUTES_A_DAY ? minute : undefined;
}

export function draftOf(interval: BandwidthRateLimitInterval): IntervalDraft {
  const mbit = (bits: number | undefined) => (bits === undefined ? "" : String(bits / BITS_A_MBIT));
  return {
    days: interval.DaysOfWeek ?? [],
    from: clock((interval.StartHourOfDay ?? 0) * 60 + (interval.StartMinuteOfHour ?? 0)),
    // The API's last minute belongs to the interval.
    to: clock((interval.EndHourOfDay ?? 0) * 60 + (interval.EndMinuteOfHour ?? 0) + 1),
    upload: mbit(interval.AverageUploadRateLimitInBitsPerSec),
    download: mbit(interval.AverageDownloadRateLimitInBitsPerSec),
  };
}

export function intervalOf(draft: IntervalDraft): BandwidthRateLimitInterval {
  const from = minuteOf(draft.from) ?? 0;
  const last = (minuteOf(draft.to) ?? 1) - 1;
  const bits = (text: string) => Math.round(Number(text) * BITS_A_MBIT);
  return {
    StartHourOfDay: Math.floor(from / 60),
    StartMinuteOfHour: from % 60,
    EndHourOfDay: Math.floor(last / 60),
    EndMinuteOfHour: last % 60,
    DaysOfWeek: [...draft.days],
    ...(draft.upload.trim() !== "" && { AverageUploadRateLimitInBitsPerSec: bits(draft.upload) }),
    ...(draft.download.trim() !== "" && { AverageDownloadRateLimitInBitsPerSec: bits(draft.download) }),
  };
}

type IntervalProblems = Partial<Record<"days" | "from" | "to" | "upload" | "download", string>>;

/** What is wrong with an interval, beside those before it. */
export function intervalProblems(draft: IntervalDraft, before: readonly IntervalDraft[]): IntervalProblems {
  const from = minuteOf(draft.from);
  const to = minuteOf(draft.to);
  const upload =
    draft.upload.trim() === "" && draft.download.trim() === ""
      ? "A limit for one of both ways, at least."
      : limitProblem(draft.upload, BITS_MIN.upload);
  const download = limitProblem(draft.download, BITS_MIN.download);
  const overlaps = before.some(
    (other) =>
      other.days.some((day) => draft.days.includes(day)) &&
      (minuteOf(other.from) ?? 0) < (to ?? 0) &&
      (from ?? 0) < (minuteOf(other.to) ?? 0),
  );
  return {
    ...(draft.days.length === 0 && { days: "One day at least." }),
    ...(overlaps && { days: "It overlaps with an interval above." }),
    ...(from === undefined && { from: "Such as 08:00." }),
    ...(to === undefined && { to: "Such as 18:00, or 24:00." }),
    ...(from !== undefined &&
      to !== undefined &&
      to <= from && { to: "After its beginning, on the same day." }),
    ...(upload !== undefined && { upload }),
    ...(download !== undefined && { download }),
  };
}

function wordsOf({ upload, download }: IntervalDraft): string {
  const way = (text: string, what: string) => (text.trim() === "" ? "" : `${what} ${text} Mbit/s`);
  return [way(upload, "to the bucket"), way(download, "from it")].filter(Boolean).join(", ");
}

/** The week, a row for each day: where there is a limit, and what it is. */
export function WeekPicture({ drafts }: { drafts: readonly IntervalDraft[] }): ReactNode {
  return (
    <div className="week" role="img" aria-label={`The week: ${drafts.length} intervals with a limit`}>
      {MONDAY_FIRST.map((day) => (
        <div key={day} className="week-day">
          <span className="week-name">{NAMES[day]?.slice(0, 2)}</span>
          <span className="week-line">
            {drafts.map((draft, i) => {
              const from = minuteOf(draft.from);
              const to = minuteOf(draft.to);
              if (!draft.days.includes(day) || from === undefined || to === undefined || to <= from)
                return null;
              return (
                <span
                  // biome-ignore lint/suspicious/noArrayIndexKey: an interval has nothing but its place
                  key={i}
                  className="week-limit"
                  title={`${draft.from} to ${draft.to}: ${wordsOf(draft)}`}
                  style={{
                    insetInlineStart: `${(100 * from) / MINUTES_A_DAY}%`,
                    inlineSize: `${(100 * (to - from)) / MINUTES_A_DAY}%`,
                  }}
                >
                  {draft.upload.trim() !== "" && `↑${draft.upload}`}{" "}
                  {draft.download.trim() !== "" && `↓${draft.download}`}
                </span>
              );
            })}
          </span>
        </div>
      ))}
      <div className="week-day">
        <span className="week-name" />
        <span className="week-hours">
          {[0, 6, 12, 18, 24].map((hour) => (
            <span key={hour}>{hour}</span>
          ))}
        </span>
      </div>
    </div>
  );
}
