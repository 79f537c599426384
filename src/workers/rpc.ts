/**
 * Calls between threads: a method name and its arguments one way, a result or an error the other.
 *
 * Errors keep their message, name, `kind` and `code`, which is all that the other side decides by.
 */
import type { MessagePort, Worker } from "node:worker_threads";

type Channel = MessagePort | Worker | Pick<MessagePort, "on" | "postMessage">;
export type RpcHandlers = Readonly<Record<string, (...args: never[]) => unknown>>;

interface CallMessage {
  readonly call: number;
  readonly method: string;
  readonly args: readonly unknown[];
}

interface ReplyMessage {
  readonly reply: number;
  readonly value?: unknown;
  readonly error?: RemoteErrorFields;
}

interface TellMessage {
  readonly tell: string;
  readonly args: readonly unknown[];
}

type Message = CallMessage | ReplyMessage | TellMessage;

interface RemoteErrorFields {
  readonly name: string;
  readonly message: string;
  readonly kind?: unknown;
  readonly code?: unknown;
}

/** An error of the other thread. */
export class RemoteError extends Error {
  override readonly name: string;
  readonly kind: unknown;
  readonly code: unknown;

  constructor(fields: RemoteErrorFields) {
    super(fields.message);
    this.name = fields.name;
    this.kind = fields.kind;
    this.code = fields.code;
  }
}

export class Rpc {
  readonly #channel: Channel;
  readonly #handlers: RpcHandlers;
  readonly #waiting = new Map<number, { resolve(value: unknown): void; reject(error: Error): void }>();
  #lastCall = 0;
  #broken: Error | undefined;

  constructor(channel: Channel, handlers: RpcHandlers) {
    this.#channel = channel;
    this.#handlers = handlers;
    channel.on("message", (message: Message) => this.#receive(message));
  }

  /** Calls a method of the other side. */
  call<T>(method: string, ...args: unknown[]): Promise<T> {
    if (this.#broken !== undefined) return Promise.reject(this.#broken);
    this.#lastCall += 1;
    const id = this.#lastCall;
    return new Promise<T>((resolve, reject) => {
      this.#waiting.set(id, { resolve: resolve as (value: unknown) => void, reject });
      this.#channel.postMessage({ call: id, method, args } satisfies CallMessage);
    });
  }

  /** Tells the other side something that wants no answer. */
  tell(method: string, ...args: unknown[]): void {
    if (this.#broken === undefined) this.#channel.postMessage({ tell: method, args } satisfies TellMessage);
  }

  /** The other side is gone: every call fails, now and later. */
  break(reason: Error): void {
    this.#broken ??= reason;
    for (const { reject } of this.#waiting.values()) reject(this.#broken);
    this.#waiting.clear();
  }

  #receive(message: Message): void {
    if ("call" in message) {
      void this.#answer(message);
    } else if ("reply" in message) {
      const waiting = this.#waiting.get(message.reply);
      this.#waiting.delete(message.reply);
      if (message.error !== undefined) waiting?.reject(new RemoteError(message.error));
      else waiting?.resolve(message.value);
    } else {
      this.#handlers[message.tell]?.(...(message.args as never[]));
    }
  }

  async #answer({ call, method, args }: CallMessage): Promise<void> {
    try {
      const handler = this.#handlers[method];
      if (handler === undefined) throw new Error(`no method ${method}`);
      const value: unknown = await handler(...(args as never[]));
      this.#channel.postMessage({ reply: call, value } satisfies ReplyMessage, transferOf(value));
    } catch (error) {
      this.#channel.postMessage({ reply: call, error: fieldsOf(error) } satisfies ReplyMessage);
    }
  }
}

function fieldsOf(error: unknown): RemoteErrorFields {
  if (!(error instanceof Error)) return { name: "Error", message: String(error) };
  const { kind, code } = error as { kind?: unknown; code?: unknown };
  const plain = (value: unknown) => (typeof value === "string" ? value : undefined);
  return { name: error.name, message: error.message, kind: plain(kind), code: plain(code) };
}

/** A buffer that owns its memory moves to the other thread; anything else is copied. */
function transferOf(value: unknown): ArrayBuffer[] {
  if (!(value instanceof Uint8Array) || !(value.buffer instanceof ArrayBuffer)) return [];
  return value.byteLength === value.buffer.byteLength ? [value.buffer] : [];
}
