import { type Clock, delay } from "../platform/clock.ts";

/** Who was asked has not answered in time. */
export class NoAnswer extends Error {
  override readonly name = "NoAnswer";
}

/** What `answer` resolves to; rejects with NoAnswer where that takes longer than `limitMs`. */
export function within<T>(clock: Clock, limitMs: number, who: string, answer: Promise<T>): Promise<T> {
  const tooLate = delay(clock, limitMs).then(() => {
    throw new NoAnswer(`${who} has not answered within ${limitMs} ms`);
  });
  return Promise.race([answer, tooLate]);
}
