/** One connection: its socket, its way in and its way out, and whoever is in charge of it: login, then session. */
import type { Socket } from "node:net";
import { opcodeOf, REQUEST } from "../iscsi/bhs.ts";
import { RECV_DATA_SEGMENT_BYTES } from "../iscsi/negotiation.ts";
import { ProtocolError } from "../iscsi/protocol-error.ts";
import type { Clock } from "../platform/clock.ts";
import type { TargetLimits } from "./limits.ts";
import { LOGIN_DATA_BYTES_MAX, type LoggedIn, Login, type LoginHost, type LoginRefusal } from "./login.ts";
import { type PduHandler, PduReceiver } from "./receiver.ts";
import type { Session } from "./session.ts";
import { Transmitter } from "./transmitter.ts";

/** What a connection needs of the target it belongs to. */
export interface ConnectionHost extends LoginHost {
  readonly clock: Clock;
  readonly limits: TargetLimits;
  /** The connection has logged in: make its session. */
  openSession(connection: Connection, loggedIn: LoggedIn): Session;
  /** The connection is gone. */
  closed(connection: Connection): void;
  /** A login was refused by the book. */
  refused(connection: Connection, refusal: LoginRefusal): void;
  /** A peer broke the protocol, or its connection failed. */
  dropped(connection: Connection, reason: string): void;
}

export class Connection implements PduHandler {
  readonly localAddress: string;
  readonly localPort: number;
  readonly remoteAddress: string;
  readonly transmitter: Transmitter;
  readonly #socket: Socket;
  readonly #host: ConnectionHost;
  readonly #receiver: PduReceiver;
  readonly #login: Login;
  #session: Session | undefined;
  #ended = false;
  #heard = true;
  #asked = false;
  #cancelTimer: () => void;

  constructor(socket: Socket, host: ConnectionHost) {
    this.#socket = socket;
    this.#host = host;
    this.localAddress = socket.localAddress ?? "127.0.0.1";
    this.localPort = socket.localPort ?? 0;
    this.remoteAddress = socket.remoteAddress ?? "";
    this.transmitter = new Transmitter(socket, () => this.#sent());
    this.#receiver = new PduReceiver(this);
    this.#receiver.dataSegmentBytesMax = LOGIN_DATA_BYTES_MAX;
    this.#login = new Login(host);
    this.#cancelTimer = host.clock.after(host.limits.loginTimeoutMs, () => this.drop("no login in time"));
    socket.on("error", (error) => this.#host.dropped(this, error.message));
    socket.on("end", () => this.end());
    socket.on("close", () => this.#closed());
  }

  get session(): Session | undefined {
    return this.#session;
  }

  /** Bytes from the socket; the buffer is lent. */
  receive(chunk: Buffer): void {
    if (this.#ended) return;
    this.#heard = true;
    this.#guarded(() => this.#receiver.push(chunk));
  }

  onPdu(bhs: Buffer, data: Buffer): void {
    if (this.#ended) return;
    if (this.#session !== undefined) this.#session.onPdu(bhs, data);
    else this.#logIn(bhs, data);
  }

  collectInto(bhs: Buffer, lengthBytes: number): Buffer | undefined {
    return this.#session?.collectInto(bhs, lengthBytes);
  }

  onCollected(bhs: Buffer, isRight: boolean): void {
    if (!this.#ended) this.#session?.onCollected(bhs, isRight);
  }

  onDataDigestError(bhs: Buffer): void {
    if (!this.#ended) this.#session?.onDataDigestError(bhs);
  }

  wantsMore(): boolean {
    if (this.transmitter.backlogBytes <= this.#host.limits.backlogBytesMax) return true;
    // The peer does not read: neither do we, until it has.
    this.#socket.pause();
    return false;
  }

  /** Sends what is built and ends the connection in order. */
  end(): void {
    if (this.#ended) return;
    this.transmitter.flush();
    this.#ended = true;
    this.#session?.leave();
    this.#socket.end();
    // A peer that never closes its side must not keep the socket.
    this.#cancelTimer();
    this.#cancelTimer = this.#host.clock.after(this.#host.limits.loginTimeoutMs, () =>
      this.#socket.destroy(),
    );
  }

  /** Ends the connection at once. */
  drop(reason: string): void {
    if (this.#socket.destroyed) return;
    this.#ended = true;
    this.#session?.leave();
    this.#host.dropped(this, reason);
    this.#socket.destroy();
  }

  /** Runs code that sends answers outside of `receive`, and sends them. */
  later(action: () => void): void {
    if (this.#ended) return;
    this.#guarded(action);
  }

  #guarded(action: () => void): void {
    try {
      action();
      this.transmitter.flush();
    } catch (error) {
      // A fault of our own must not take the other sessions with it (invariant 10): it ends this connection, by name.
      const reason = error instanceof Error ? error.message : String(error);
      this.transmitter.flush();
      this.drop(error instanceof ProtocolError ? reason : `internal error: ${reason}`);
    }
  }

  #logIn(bhs: Buffer, data: Buffer): void {
    if (opcodeOf(bhs) !== REQUEST.login) throw new ProtocolError("not a login request");
    const step = this.#login.step(bhs, data);
    const at = this.transmitter.reserve(step.data.length);
    step.header.copy(this.transmitter.slab, at);
    step.data.copy(this.transmitter.slab, this.transmitter.dataOffset(at));
    this.transmitter.commit(at, step.data.length);
    if (step.refusal !== undefined) {
      this.#host.refused(this, step.refusal);
      this.end();
      return;
    }
    if (step.done === undefined) return;
    // The last login response goes out without digests, everything after it with those agreed.
    this.transmitter.flush();
    this.transmitter.headerDigest = step.done.parameters.headerDigest;
    this.transmitter.dataDigest = step.done.parameters.dataDigest;
    this.#receiver.dataSegmentBytesMax = RECV_DATA_SEGMENT_BYTES;
    this.#receiver.headerDigest = step.done.parameters.headerDigest;
    this.#receiver.dataDigest = step.done.parameters.dataDigest;
    this.#session = this.#host.openSession(this, step.done);
    this.#cancelTimer();
    this.#watch();
  }

  /** Asks a silent peer whether it is there, and drops one that does not answer. */
  #watch(): void {
    this.#cancelTimer = this.#host.clock.after(this.#host.limits.pingAfterMs, () => {
      if (this.#ended) return;
      if (this.#heard) this.#asked = false;
      else if (this.#asked) {
        this.drop("the initiator does not answer");
        return;
      } else {
        this.#asked = true;
        this.later(() => this.#session?.ping());
      }
      this.#heard = false;
      this.#watch();
    });
  }

  #sent(): void {
    // One that reads slowly is there all the same.
    this.#heard = true;
    if (this.#ended || this.transmitter.backlogBytes > 0) return;
    this.#session?.onDrained();
    if (!this.#socket.isPaused()) return;
    this.#guarded(() => this.#receiver.resume());
    if (this.transmitter.backlogBytes <= this.#host.limits.backlogBytesMax) this.#socket.resume();
  }

  #closed(): void {
    this.#ended = true;
    this.#cancelTimer();
    this.#session?.close();
    this.#host.closed(this);
  }
}
