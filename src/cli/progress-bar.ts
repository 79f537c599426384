/** A bar that shows how far long work has come; on a terminal only. */

const BAR_CHARS = 30;
const CLEAR = "\r\u001b[K";

export function showBar(what: string, done: number, total: number): void {
  if (!process.stderr.isTTY) return;
  const filled = total === 0 ? 0 : Math.round((BAR_CHARS * done) / total);
  const drawn = `${"█".repeat(filled)}${"░".repeat(BAR_CHARS - filled)}`;
  process.stderr.write(`${CLEAR}${what.padEnd(9)} ${drawn} ${done}/${total}`);
}

export function clearBar(): void {
  if (process.stderr.isTTY) process.stderr.write(CLEAR);
}
