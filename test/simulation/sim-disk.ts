import { type Disk, type DiskFile, type OpenFileOptions, SyncError } from "../../src/platform/disk.ts";
import { GroupCommit } from "../../src/platform/group-commit.ts";
import type { SeededRandom } from "../kit/seeded-random.ts";

const SECTOR_BYTES = 512;
const STALLED_TURNS_MAX = 2_000;

/** The process that held the handle has died. */
export class DeadHandleError extends Error {
  override readonly name = "DeadHandleError";
}

interface PendingWrite {
  readonly position: number;
  readonly bytes: Buffer;
}

/** A file: what the process sees, what is on stable storage, and the writes between the two. */
class SimFile {
  current: Buffer;
  durable: Buffer;
  pending: PendingWrite[] = [];
  /** Sectors that can't be read, until they are written. */
  readonly bad = new Set<number>();
  /** Counts the times that its device came back. */
  plugged = 0;
  /** Whether the folder's entry would survive a loss of power. */
  entryDurable = false;

  constructor(sizeBytes: number) {
    this.current = Buffer.alloc(sizeBytes);
    this.durable = Buffer.alloc(sizeBytes);
  }

  write(position: number, bytes: Buffer): void {
    this.pending.push({ position, bytes });
    this.current = applied(this.current, position, bytes);
    // The disk puts another in the place of one that is written.
    for (const sector of this.bad) {
      const start = sector * SECTOR_BYTES;
      if (start >= position && start + SECTOR_BYTES <= position + bytes.length) this.bad.delete(sector);
    }
  }

  /** Whether something of the range can't be read. */
  isBad(position: number, lengthBytes: number): boolean {
    for (const sector of this.bad) {
      const start = sector * SECTOR_BYTES;
      if (start < position + lengthBytes && position < start + SECTOR_BYTES) return true;
    }
    return false;
  }

  /**
   * A sync of the first `count` writes has failed: some of them got there, the others never will, and what is read of
   * them afterwards is the old or the new.
   */
  failSync(count: number, random: SeededRandom): void {
    for (const { position, bytes } of this.pending.splice(0, count)) {
      if (random.chance(0.5)) this.durable = applied(this.durable, position, bytes);
    }
    if (random.chance(0.5)) return;
    this.current = Buffer.from(this.durable);
    for (const { position, bytes } of this.pending) this.current = applied(this.current, position, bytes);
  }

  /** The first `count` writes have reached stable storage. */
  settle(count: number): void {
    for (const { position, bytes } of this.pending.splice(0, count)) {
      this.durable = applied(this.durable, position, bytes);
    }
  }

  /** Loss of power: each sector keeps the writes to it up to some moment of its own. */
  losePower(random: SeededRandom): void {
    const style = random.below(3);
    const cutoffs = new Map<number, number>();
    for (const [index, { position, bytes }] of this.pending.entries()) {
      for (let at = position; at < position + bytes.length; ) {
        const sector = Math.floor(at / SECTOR_BYTES);
        const stop = Math.min((sector + 1) * SECTOR_BYTES, position + bytes.length);
        let cutoff = cutoffs.get(sector);
        if (cutoff === undefined) {
          cutoff =
            style === 0 ? 0 : style === 1 ? this.pending.length : random.below(this.pending.length + 1);
          cutoffs.set(sector, cutoff);
        }
        if (index < cutoff)
          this.durable = applied(this.durable, at, bytes.subarray(at - position, stop - position));
        at = stop;
      }
    }
    this.pending = [];
    this.current = Buffer.from(this.durable);
  }
}

function applied(content: Buffer, position: number, bytes: Buffer): Buffer {
  let target = content;
  if (position + bytes.length > content.length) {
    target = Buffer.alloc(position + bytes.length);
    content.copy(target);
  }
  bytes.copy(target, position);
  return target;
}

export interface DiskFaults {
  /** Probability that a sync fails. */
  failingSyncs: number;
  /** Probability that a write finds no room, in part or at all. */
  fullness: number;
  /** Probability that what is to be read is not in memory. */
  absence: number;
  /** Whether what `spoil` has spoilt can't be read just now. */
  isSpoilt: boolean;
  /** A file for whose writes there is no room. */
  full: string | undefined;
  /** A file whose syncs do not end. */
  stalled: string | undefined;
  /** Places that have their room already: paths, and up to which byte. */
  preallocated: readonly { readonly path: string; readonly endBytes: number }[];
}

/** A file system in memory whose process can be killed and whose power can be cut. */
export class SimDisk implements Disk {
  /** What is to go wrong. */
  readonly faults: DiskFaults = {
    failingSyncs: 0,
    fullness: 0,
    absence: 0.2,
    isSpoilt: false,
    full: undefined,
    stalled: undefined,
    preallocated: [],
  };
  /** Sectors asked for that could not be read. */
  failedBrings = 0;
  readonly #random: SeededRandom;
  #files = new Map<string, SimFile>();
  /** Files that were removed, while the removal is not durable. */
  #removed = new Map<string, SimFile>();
  #boot = 1;
  #life = 1;
  /** Changes that the process still makes before it dies of one; infinite: it does not. */
  #changesLeft = Number.POSITIVE_INFINITY;

  constructor(random: SeededRandom) {
    this.#random = random;
  }

  get bootId(): string {
    return `boot-${this.#boot}`;
  }

  /** The file's device goes away, and comes back without some of what was not synced; open handles are dead. */
  unplug(path: string): void {
    const file = this.#files.get(path);
    if (file === undefined) return;
    file.losePower(this.#random);
    file.plugged += 1;
  }

  /** Puts a disk there that was made long ago. */
  addDisk(path: string, sizeBytes: number): void {
    const file = new SimFile(sizeBytes);
    file.entryDurable = true;
    this.#files.set(path, file);
  }

  /** Sectors of a disk can't be read from now on, while `isSpoilt` says so and nobody writes them. */
  spoil(path: string, sectors: Iterable<number>): void {
    for (const sector of sectors) this.#files.get(path)?.bad.add(sector);
  }

  /** All can be read again: nothing was lost. */
  mend(): void {
    this.faults.isSpoilt = false;
    for (const file of this.#files.values()) file.bad.clear();
  }

  /** Two disks change places. */
  swap(one: string, other: string): void {
    const [a, b] = [this.#files.get(one), this.#files.get(other)];
    if (a === undefined || b === undefined) throw new Error("no such disks");
    this.#files.set(one, b);
    this.#files.set(other, a);
  }

  /** The next failures come elsewhere. */
  skipRandom(): void {
    this.#random.below(2);
  }

  /** The disk as one process sees it: when that dies, nothing it still does reaches the disk. */
  forProcess(): Disk {
    const life = this.#life;
    return new Proxy<Disk>(this, {
      get: (_, name) => {
        if (this.#life !== life) throw new DeadHandleError(`${String(name)}: the process is dead`);
        const value: unknown = Reflect.get(this, name, this);
        return typeof value === "function" ? value.bind(this) : value;
      },
    });
  }

  /** The process dies: its handles with it, but not what it had written. */
  kill(): void {
    this.#life += 1;
    this.#changesLeft = Number.POSITIVE_INFINITY;
  }

  /** The process dies right before or right after one of its next changes. */
  dieWithin(changes: number): void {
    this.#changesLeft = changes;
  }

  /** Whether the process that `dieWithin` spoke of lives. */
  get isDying(): boolean {
    return this.#changesLeft !== Number.POSITIVE_INFINITY;
  }

  /** Makes a change, unless the process dies of it. */
  #change<T>(what: string, change: () => T): T {
    this.#changesLeft -= 1;
    if (this.#changesLeft > 0) return change();
    const result = this.#random.chance(0.5) ? change() : undefined;
    this.kill();
    throw new DeadHandleError(`${what}: the process dies${result === undefined ? "" : " of it"}`);
  }

  /** The machine loses power: what was not synced is there in part, or not, or not whole. */
  losePower(): void {
    this.kill();
    this.#boot += 1;
    for (const [path, file] of this.#removed) {
      if (!this.#files.has(path) && file.entryDurable && this.#random.chance(0.5))
        this.#files.set(path, file);
    }
    this.#removed.clear();
    for (const [path, file] of this.#files) {
      file.losePower(this.#random);
      if (!file.entryDurable && this.#random.chance(0.5)) this.#files.delete(path);
      file.entryDurable = true;
    }
  }

  open(path: string, options: OpenFileOptions = {}): DiskFile {
    const there = this.#files.get(path);
    if (there === undefined && options.create !== true)
      throw Object.assign(new Error(`ENOENT ${path}`), { code: "ENOENT" });
    const file = there ?? this.#change(path, () => this.#make(path));
    if (options.erase === true) {
      file.pending = [];
      file.current = Buffer.alloc(0);
      file.durable = Buffer.alloc(0);
    }
    if (options.sizeBytes !== undefined && file.current.length < options.sizeBytes) {
      file.settle(file.pending.length);
      file.current = applied(file.current, options.sizeBytes, Buffer.alloc(0));
      file.durable = Buffer.from(file.current);
    }
    return new Handle(path, file, {
      life: () => this.#life,
      change: (action) => this.#change(path, action),
      failedBring: () => {
        this.failedBrings += 1;
      },
      faults: this.faults,
      random: this.#random,
    });
  }

  #make(path: string): SimFile {
    const file = new SimFile(0);
    this.#files.set(path, file);
    return file;
  }

  readFile(path: string): Buffer | undefined {
    const file = this.#files.get(path);
    return file === undefined ? undefined : Buffer.from(file.current);
  }

  replaceFile(path: string, content: Buffer): void {
    this.#change(path, () => {
      const file = this.#make(path);
      file.current = Buffer.from(content);
      file.durable = Buffer.from(content);
      file.entryDurable = true;
      this.#syncEntries(path.slice(0, path.lastIndexOf("/")));
    });
  }

  isRegularFile(): boolean {
    return true;
  }

  remove(path: string): void {
    const file = this.#files.get(path);
    if (file === undefined) return;
    this.#change(path, () => {
      this.#files.delete(path);
      this.#removed.set(path, file);
    });
  }

  list(folder: string): string[] {
    const prefix = `${folder}/`;
    return [...this.#files.keys()]
      .filter((path) => path.startsWith(prefix) && !path.slice(prefix.length).includes("/"))
      .map((path) => path.slice(prefix.length));
  }

  makeFolder(): void {}

  removeFolder(folder: string): void {
    for (const path of [...this.#files.keys()]) if (path.startsWith(`${folder}/`)) this.remove(path);
  }

  async syncFolder(folder: string): Promise<void> {
    await later(this.#random);
    this.#syncEntries(folder);
  }

  #syncEntries(folder: string): void {
    for (const [path, file] of this.#files) {
      if (path.slice(0, path.lastIndexOf("/")) === folder) file.entryDurable = true;
    }
    for (const path of [...this.#removed.keys()]) {
      const own = path.slice(0, path.lastIndexOf("/"));
      // A folder that is gone takes with it all that was in it.
      const isGone = own.slice(0, own.lastIndexOf("/")) === folder && this.list(own).length === 0;
      if (own === folder || isGone) this.#removed.delete(path);
    }
  }
}

/** The process that has a file open. */
interface HandleProcess {
  /** Changes when a process dies. */
  readonly life: () => number;
  readonly change: (action: () => void) => void;
  readonly failedBring: () => void;
  readonly faults: DiskFaults;
  readonly random: SeededRandom;
}

class Handle implements DiskFile {
  readonly path: string;
  readonly sizeBytes: number;
  readonly #file: SimFile;
  readonly #process: HandleProcess;
  readonly #life: number;
  readonly #plugged: number;
  readonly #syncs = new GroupCommit(() => this.#sync());
  #failure: SyncError | undefined;
  readonly #faults: DiskFaults;
  readonly #random: SeededRandom;

  constructor(path: string, file: SimFile, process: HandleProcess) {
    this.#process = process;
    this.#faults = process.faults;
    this.#random = process.random;
    this.#plugged = file.plugged;
    this.path = path;
    this.#file = file;
    this.sizeBytes = file.current.length;
    this.#life = process.life();
  }

  readSync(target: Buffer, targetOffset: number, lengthBytes: number, positionBytes: number): void {
    this.#check();
    if (positionBytes + lengthBytes > this.#file.current.length) throw new Error(`${this.path} ends before`);
    if (this.#isBad(positionBytes, lengthBytes)) throw this.#mediumError();
    this.#file.current.copy(target, targetOffset, positionBytes, positionBytes + lengthBytes);
  }

  tryReadSync(target: Buffer, targetOffset: number, lengthBytes: number, positionBytes: number): boolean {
    this.#check();
    if (this.#random.chance(this.#faults.absence) || this.#isBad(positionBytes, lengthBytes)) {
      // What the target holds then is undefined.
      target.fill(0xee, targetOffset, targetOffset + lengthBytes);
      return false;
    }
    this.readSync(target, targetOffset, lengthBytes, positionBytes);
    return true;
  }

  async bring(positionBytes: number, lengthBytes: number): Promise<void> {
    await later(this.#random);
    if (!this.#isBad(positionBytes, lengthBytes)) return;
    this.#process.failedBring();
    throw this.#mediumError();
  }

  #isBad(positionBytes: number, lengthBytes: number): boolean {
    return this.#faults.isSpoilt && this.#file.isBad(positionBytes, lengthBytes);
  }

  #mediumError(): Error {
    return Object.assign(new Error(`${this.path}: a sector can't be read`), { code: "EIO" });
  }

  async write(
    source: Buffer,
    sourceOffset: number,
    lengthBytes: number,
    positionBytes: number,
  ): Promise<void> {
    this.writeSync(source, sourceOffset, lengthBytes, positionBytes);
  }

  writeSync(source: Buffer, sourceOffset: number, lengthBytes: number, positionBytes: number): void {
    this.#check();
    const bytes = Buffer.from(source.subarray(sourceOffset, sourceOffset + lengthBytes));
    if (this.#isFull(positionBytes + lengthBytes)) {
      const fitting = this.#random.below(lengthBytes / SECTOR_BYTES + 1) * SECTOR_BYTES;
      if (fitting > 0) this.#file.write(positionBytes, bytes.subarray(0, fitting));
      throw Object.assign(new Error(`${this.path}: no space left`), { code: "ENOSPC" });
    }
    this.#process.change(() => this.#file.write(positionBytes, bytes));
  }

  zeroSync(positionBytes: number, lengthBytes: number): void {
    this.writeSync(Buffer.alloc(lengthBytes), 0, lengthBytes, positionBytes);
  }

  holeBytes(): number {
    return 0;
  }

  trimSync(positionBytes: number, lengthBytes: number): void {
    this.#check();
    const range = this.#file.current.subarray(positionBytes, positionBytes + lengthBytes);
    if (range.some((byte) => byte !== 0)) throw new Error(`${this.path}: data is given back`);
    this.#process.change(() => this.#file.write(positionBytes, Buffer.alloc(lengthBytes)));
  }

  #isFull(endBytes: number): boolean {
    const { fullness, full, preallocated } = this.#faults;
    if (full === this.path) return true;
    if (fullness === 0 || !this.#random.chance(fullness)) return false;
    return !preallocated.some((place) => place.path === this.path && endBytes <= place.endBytes);
  }

  get #isStalled(): boolean {
    return this.#faults.stalled === this.path && this.#process.life() === this.#life;
  }

  sync(): Promise<void> {
    return this.#syncs.run();
  }

  async #sync(): Promise<void> {
    if (this.#failure !== undefined) throw this.#failure;
    this.#check();
    const last = this.#file.pending.at(-1);
    await later(this.#random);
    // Bounded: a life that has failed is left as it is, and must not go on for ever.
    for (let i = 0; i < STALLED_TURNS_MAX && this.#isStalled; i++) await later(this.#random);
    this.#check();
    // What was written after the call is not covered; another sync may have settled a part meanwhile.
    if (this.#random.chance(this.#faults.failingSyncs)) {
      this.#file.failSync(last === undefined ? 0 : this.#file.pending.indexOf(last) + 1, this.#random);
      this.#failure = new SyncError(`${this.path}: the sync has failed`);
      throw this.#failure;
    }
    if (last !== undefined) this.#file.settle(this.#file.pending.indexOf(last) + 1);
    this.#file.entryDurable = true;
  }

  close(): void {}

  #check(): void {
    if (this.#process.life() !== this.#life) throw new DeadHandleError(`${this.path}: the process is dead`);
    if (this.#file.plugged !== this.#plugged) {
      throw Object.assign(new Error(`${this.path}: no such device`), { code: "ENODEV" });
    }
  }
}

/** A few turns of the event loop: long enough for others to come between, and to be overtaken by them. */
async function later(random: SeededRandom): Promise<void> {
  for (let i = random.below(5) + 1; i > 0; i--) await new Promise((resolve) => setImmediate(resolve));
}
