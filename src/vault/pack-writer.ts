/**
 * Puts records into packs and packs into the bucket: each content once, several packs on their way at a time.
 *
 * A record counts as stored for others (the index) only when its pack is durable; until then it is known to this
 * writer alone, so that nobody builds on what a crash would take away.
 */
import type { ObjectStore } from "../objects/object-store.ts";
import type { Permits } from "../platform/permits.ts";
import type { Random } from "../platform/random.ts";
import type { ChunkIndex } from "./chunk-index.ts";
import type { KeyRing, NameDomain } from "./key-ring.ts";
import { packKey } from "./keys.ts";
import { PackBuilder, RECORD_KIND } from "./pack.ts";
import { fromStoreError } from "./vault-error.ts";

export const PACK_BYTES = 16 * 1024 * 1024;
/** The last record, and the directory, come on top of it. */
const PACK_SLACK_BYTES = 512 * 1024;
/** Small records could otherwise make a pack with a directory as large as itself. */
const RECORDS_MAX = 8192;
/** Packs of one upload that are being sent, or wait for it: with the one being filled, what it holds in memory. */
const PACKS_IN_FLIGHT_MAX = 4;

export class PackWriter {
  readonly #store: ObjectStore;
  readonly #index: ChunkIndex;
  readonly #keys: KeyRing;
  readonly #vaultId: Buffer;
  readonly #random: Random;
  readonly #sendPermits: Permits;
  readonly #packBytes: number;
  readonly #mayUpload: (bytes: number) => Promise<void>;
  readonly #onReference: (packId: string) => void;
  readonly #pending = new Set<string>();
  readonly #sending = new Set<Promise<void>>();
  #builder: PackBuilder | undefined;
  #failure: unknown;
  #uploadedBytes = 0;

  constructor(parts: {
    store: ObjectStore;
    index: ChunkIndex;
    keys: KeyRing;
    vaultId: Buffer;
    random: Random;
    /** Shared by all uploads of a vault: how many packs are sent at a time. */
    sendPermits: Permits;
    /** A pack is sent when it has so many bytes. */
    packBytes: number;
    /** Resolves when so many bytes may be sent. */
    mayUpload: (bytes: number) => Promise<void>;
    /** Told of every pack that is written, before it is, or that something is built on. */
    onReference: (packId: string) => void;
  }) {
    this.#onReference = parts.onReference;
    this.#mayUpload = parts.mayUpload;
    this.#packBytes = parts.packBytes;
    this.#store = parts.store;
    this.#index = parts.index;
    this.#keys = parts.keys;
    this.#vaultId = parts.vaultId;
    this.#random = parts.random;
    this.#sendPermits = parts.sendPermits;
  }

  /** Bytes of the packs that are in the bucket. */
  get uploadedBytes(): number {
    return this.#uploadedBytes;
  }

  /** Whether the vault, or this upload, has a record of that name, and it may be built on. */
  has(name: Buffer): boolean {
    if (this.#pending.has(name.toString("latin1"))) return true;
    const packId = this.#index.findUsable(name);
    if (packId !== undefined) this.#onReference(packId);
    return packId !== undefined;
  }

  /** The name of a block with that content. */
  nameOfBlock(content: Buffer): Buffer {
    return this.#keys.nameOf("block", content);
  }

  /**
   * Stores the content unless the vault has it; answers its name, which is given where it is known already. Resolves
   * when there is room for more.
   */
  async store(
    domain: NameDomain,
    content: Buffer,
    name = this.#keys.nameOf(domain, content),
  ): Promise<Buffer> {
    if (!this.has(name)) await this.#add(domain, content, name);
    return name;
  }

  /** Stores a record once more, in a new pack: the one that it is in is to go. */
  async copy(domain: NameDomain, content: Buffer, name: Buffer): Promise<void> {
    if (!this.#pending.has(name.toString("latin1"))) await this.#add(domain, content, name);
  }

  async #add(domain: NameDomain, content: Buffer, name: Buffer): Promise<void> {
    const key = name.toString("latin1");
    if (this.#builder === undefined) {
      this.#builder = new PackBuilder(
        this.#keys,
        this.#vaultId,
        this.#random.bytes(16),
        this.#packBytes + PACK_SLACK_BYTES,
      );
      this.#onReference(this.#builder.packId);
    }
    this.#builder.add(RECORD_KIND[domain], name, content);
    this.#pending.add(key);
    if (this.#builder.sizeBytes >= this.#packBytes || this.#builder.entries.length >= RECORDS_MAX)
      await this.#send();
  }

  /** Sends what is left and waits until every pack is durable. */
  async finish(): Promise<void> {
    if (this.#builder !== undefined) await this.#send();
    await Promise.all(this.#sending);
    if (this.#failure !== undefined) throw this.#failure;
  }

  /** Waits for packs on their way, without caring how they end. */
  async abandon(): Promise<void> {
    await Promise.allSettled(this.#sending);
  }

  async #send(): Promise<void> {
    const builder = this.#builder;
    this.#builder = undefined;
    if (builder === undefined) return;
    // Whoever waits for his turn under a limit holds no permit: others, without one, go on.
    const sending: Promise<void> = this.#mayUpload(builder.sizeBytes)
      .then(() => this.#sendPermits.run(() => this.#put(builder)))
      .catch((error: unknown) => {
        this.#failure ??= error;
      })
      .finally(() => this.#sending.delete(sending));
    this.#sending.add(sending);
    while (this.#sending.size >= PACKS_IN_FLIGHT_MAX) await Promise.race(this.#sending);
    if (this.#failure !== undefined) throw this.#failure;
  }

  async #put(builder: PackBuilder): Promise<void> {
    const body = builder.finish();
    try {
      // The id is random and ours alone, so a plain PUT can replace nothing, and one sent twice is the same bytes.
      await this.#store.put(packKey(builder.packId), body);
    } catch (error) {
      throw fromStoreError(error, `writing pack ${builder.packId}`);
    }
    this.#index.addPack(builder.packId, builder.entries, false);
    for (const entry of builder.entries) this.#pending.delete(entry.name.toString("latin1"));
    this.#uploadedBytes += body.length;
  }
}
