/** Text requests in full feature phase: one exchange at a time, its request and its answer in parts (RFC 7143, 11.10). */
import { AT, isFinal, TAG_NONE } from "../iscsi/bhs.ts";
import { REJECT_REASON } from "../iscsi/pdu/responses.ts";
import { ProtocolError } from "../iscsi/protocol-error.ts";
import { decodeText, TEXT_BYTES_MAX } from "../iscsi/text-keys.ts";
import type { TextPart } from "./responder.ts";

const TEXT_CONTINUE = 0x40;
const TRANSFER_TAG = 1;
const EMPTY = Buffer.alloc(0);

export class TextExchange {
  readonly #answer: (keys: readonly [string, string][]) => Buffer;
  #in: Buffer = EMPTY;
  #rest: Buffer = EMPTY;
  #isOpen = false;

  /** `answer`: what the keys of a whole request are answered. */
  constructor(answer: (keys: readonly [string, string][]) => Buffer) {
    this.#answer = answer;
  }

  /**
   * Takes one request; answers the part that is due, of at most `partBytesMax`, or the reason for a Reject, which ends
   * the exchange.
   */
  step(bhs: Buffer, data: Buffer, partBytesMax: number): TextPart | number {
    const transferTag = bhs.readUInt32BE(AT.targetTransferTag);
    const isNew = transferTag === TAG_NONE;
    if (!isNew && !(transferTag === TRANSFER_TAG && this.#isOpen)) return REJECT_REASON.invalidPduField;
    const continues = (bhs.readUInt8(1) & TEXT_CONTINUE) !== 0;
    if (isNew) this.#end();
    // A request that goes on is not the last (RFC 7143, 11.10.2); and it goes on for so long.
    if ((continues && isFinal(bhs)) || this.#in.length + data.length > TEXT_BYTES_MAX) {
      this.#end();
      return REJECT_REASON.protocolError;
    }
    this.#in = this.#in.length === 0 ? Buffer.from(data) : Buffer.concat([this.#in, data]);
    if (!continues && this.#rest.length === 0) {
      try {
        this.#rest = this.#answer(saidOnce(decodeText(this.#in)));
      } catch (error) {
        if (!(error instanceof ProtocolError)) throw error;
        this.#end();
        return REJECT_REASON.protocolError;
      }
      this.#in = EMPTY;
    }
    const part = continues ? EMPTY : this.#rest.subarray(0, partBytesMax);
    this.#rest = this.#rest.subarray(part.length);
    const more = this.#rest.length > 0;
    const ends = !more && isFinal(bhs);
    this.#isOpen = !ends;
    return { data: part, ends, more, transferTag: ends ? TAG_NONE : TRANSFER_TAG };
  }

  /** What was said so far is forgotten. */
  #end(): void {
    this.#in = EMPTY;
    this.#rest = EMPTY;
    this.#isOpen = false;
  }
}

/** A key is said once in a text (RFC 7143, 6.2): what it asks for is not answered over and over. */
function saidOnce(keys: readonly [string, string][]): readonly [string, string][] {
  if (new Set(keys.map(([key]) => key)).size < keys.length) throw new ProtocolError("a text key said twice");
  return keys;
}
