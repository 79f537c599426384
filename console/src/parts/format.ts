/** Figures, sizes and times as people read them. */

const UNITS = ["B", "KiB", "MiB", "GiB", "TiB", "PiB"];

/** `1536` → `1.5 KiB`. Binary units, three digits at most. */
export function bytes(count: number | undefined): string {
  if (count === undefined || !Number.isFinite(count)) return "–";
  let value = Math.abs(count);
  let unit = 0;
  while (value >= 1023.5 && unit < UNITS.length - 1) {
    value /= 1024;
    unit++;
  }
  const digits = unit === 0 || value >= 100 ? 0 : value >= 10 ? 1 : 2;
  const text = value.toFixed(digits).replace(/\.0+$|(\.\d)0$/, "$1");
  return `${count < 0 ? "−" : ""}${text} ${UNITS[unit]}`;
}

/** `2026-11-24 18:03:09` in the browser's time zone. */
export function time(date: Date | undefined): string {
  if (date === undefined || Number.isNaN(date.getTime())) return "–";
  const two = (n: number) => String(n).padStart(2, "0");
  const day = `${date.getFullYear()}-${two(date.getMonth() + 1)}-${two(date.getDate())}`;
  return `${day} ${two(date.getHours())}:${two(date.getMinutes())}:${two(date.getSeconds())}`;
}

const STEPS: readonly (readonly [seconds: number, name: string])[] = [
  [86_400, "day"],
  [3_600, "hour"],
  [60, "minute"],
  [1, "second"],
];

/** `90` → `1 minute`: the largest whole unit. */
export function duration(seconds: number): string {
  const whole = Math.max(0, Math.floor(seconds));
  for (const [length, name] of STEPS) {
    const count = Math.floor(whole / length);
    if (count >= 1) return `${count} ${name}${count === 1 ? "" : "s"}`;
  }
  return "less than a second";
}

/** `5 minutes ago`. */
export function ago(date: Date | undefined, nowMs = Date.now()): string {
  if (date === undefined) return "never";
  const seconds = (nowMs - date.getTime()) / 1000;
  return seconds < 1 ? "just now" : `${duration(seconds)} ago`;
}

export function percent(value: number | undefined, digits = 0): string {
  return value === undefined || !Number.isFinite(value) ? "–" : `${value.toFixed(digits)}%`;
}

export function count(value: number | undefined): string {
  return value === undefined ? "–" : value.toLocaleString("en-US");
}

/** `1 volume`, `2 volumes`. */
export function plural(value: number, word: string): string {
  return `${count(value)} ${word}${value === 1 ? "" : "s"}`;
}
