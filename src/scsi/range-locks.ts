/**
 * Ranges of a logical unit that commands hold while they take more than one step.
 *
 * COMPARE AND WRITE, ORWRITE and atomic writes hold their range alone; everything else that writes and has to wait
 * holds it together with others like it. A write that the device takes inline is over before anybody could look, so it
 * needs a lock only while somebody holds or wants a range alone (`isFree`).
 */
export class RangeLocks {
  readonly #entries: Entry[] = [];
  #exclusive = 0;

  /** Whether nobody holds a range alone, or waits to. */
  get isFree(): boolean {
    return this.#exclusive === 0;
  }

  /** Runs `action` while nothing that needs the range for itself does. */
  shared<T>(offsetBytes: number, lengthBytes: number, action: () => Promise<T>): Promise<T> {
    return this.#run(offsetBytes, lengthBytes, false, action);
  }

  /** Runs `action` while nothing else writes to the range. */
  exclusive<T>(offsetBytes: number, lengthBytes: number, action: () => Promise<T>): Promise<T> {
    return this.#run(offsetBytes, lengthBytes, true, action);
  }

  async #run<T>(start: number, length: number, isExclusive: boolean, action: () => Promise<T>): Promise<T> {
    const entry: Entry = { start, end: start + length, isExclusive, isGranted: false, grant: () => {} };
    this.#entries.push(entry);
    if (isExclusive) this.#exclusive += 1;
    try {
      if (!this.#mayGo(entry)) await new Promise<void>((resolve) => this.#wait(entry, resolve));
      entry.isGranted = true;
      return await action();
    } finally {
      this.#entries.splice(this.#entries.indexOf(entry), 1);
      if (isExclusive) this.#exclusive -= 1;
      this.#grantNext();
    }
  }

  #wait(entry: Entry, grant: () => void): void {
    entry.grant = grant;
  }

  /** In the order in which they came: who waits is not overtaken by those that overlap. */
  #mayGo(entry: Entry): boolean {
    for (const other of this.#entries) {
      if (other === entry) return true;
      const overlaps = other.start < entry.end && entry.start < other.end;
      if (overlaps && (other.isExclusive || entry.isExclusive)) return false;
    }
    return true;
  }

  #grantNext(): void {
    for (const entry of this.#entries) {
      if (entry.isGranted || !this.#mayGo(entry)) continue;
      entry.isGranted = true;
      entry.grant();
    }
  }
}

interface Entry {
  readonly start: number;
  readonly end: number;
  readonly isExclusive: boolean;
  isGranted: boolean;
  grant: () => void;
}
