/** One connection: its socket, its way in and its way out, and whoever is in charge of it: login, then session. */
import type { Socket } from "node:net";
import { opcodeOf, REQUEST } from "../iscsi/bhs.ts";
import { RECV_DATA_SEGMENT_BYTES } from "../iscsi/negotiation.ts";
import { ProtocolError } from "../iscsi/protocol-error.ts";
import { type Clock, nextTurn } from "../platform/clock.ts";
import type { TargetLimits } from "./limits.ts";
import {
  LOGIN_DATA_BYTES_MAX,
  type LoggedIn,
  Login,
  type LoginHost,
  type LoginRefusal,
  type LoginStep,
} from "./login.ts";
import { type PduHandler, PduReceiver } from "./receiver.ts";
import type { Session } from "./session.ts";
import { Transmitter, totalBacklogBytes } from "./transmitter.ts";

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

/** A write that was looked at so often and had nothing new has been forgotten by its initiator. */
const STALLS_MAX = 2;
/** What a PDU costs beside its bytes, in bytes of an answer. */
const PDU_COST_BYTES = 1024;

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
  /** What was built for this connection when its turn began, and PDUs taken since. */
  #turnStartBytes = 0;
  #turnPdus = 0;
  #turnSpentBytes = 0;
  /** The rest of what has come waits for the next turn. */
  #isYielding = false;
  readonly #goOn = () => this.#nextTurn();
  /** Turns of commands that take several, one behind the other. */
  #turns: Promise<void> = Promise.resolve();

  constructor(socket: Socket, host: ConnectionHost) {
    this.#socket = socket;
    this.#host = host;
    this.localAddress = socket.localAddress ?? "127.0.0.1";
    this.localPort = socket.localPort ?? 0;
    this.remoteAddress = socket.remoteAddress ?? "";
    this.transmitter = new Transmitter(socket, () => this.#sent());
    this.#receiver = new PduReceiver(this);
    this.#receiver.dataSegmentBytesMax = LOGIN_DATA_BYTES_MAX;
    this.#login = new Login(host, this);
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
    this.#beginTurn();
    this.#guarded(() => this.#receiver.push(chunk));
  }

  /**
   * Leaves what the socket still has to the next turn of the event loop, so that a peer that sends without a pause does
   * not keep the others from theirs.
   */
  yield(): void {
    if (this.#isYielding || this.#ended) return;
    this.#isYielding = true;
    this.#socket.pause();
    setImmediate(this.#goOn);
  }

  /** Counts work of this turn that shows in no answer yet, as if so many bytes of answers had been built. */
  spend(bytes: number): void {
    this.#turnSpentBytes += bytes;
  }

  /** Whether enough was done for this connection until others have had their turn. */
  get isTurnOver(): boolean {
    const builtBytes = this.transmitter.builtBytes - this.#turnStartBytes;
    const spent = builtBytes + this.#turnSpentBytes + this.#turnPdus * PDU_COST_BYTES;
    return spent >= this.#host.limits.turnBytesMax;
  }

  /** Whether so much waits for the peer to take it that no more is done for it until it has. */
  get isBehind(): boolean {
    const { backlogBytesMax, totalBacklogBytesMax } = this.#host.limits;
    const { backlogBytes } = this.transmitter;
    return backlogBytes > (totalBacklogBytes() > totalBacklogBytesMax ? 0 : backlogBytesMax);
  }

  /** Resolves in a turn of its own: for what goes on for longer than one. */
  nextTurn(): Promise<void> {
    this.#turns = this.#turns.then(nextTurn).then(() => this.#beginTurn());
    return this.#turns;
  }

  onPdu(bhs: Buffer, data: Buffer): void {
    if (this.#ended) return;
    if (this.#session !== undefined) this.#session.onPdu(bhs, data);
    else this.#logIn(bhs, data);
  }

  onTooLong(bhs: Buffer): void {
    if (this.#ended || this.#session !== undefined || opcodeOf(bhs) !== REQUEST.login) return;
    this.#answerLogin(this.#login.tooLong(bhs));
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
    if (this.isBehind) {
      // The peer does not read: neither do we, until it has.
      this.#socket.pause();
      return false;
    }
    if (this.isTurnOver) {
      this.yield();
      return false;
    }
    this.#turnPdus += 1;
    return true;
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
      // Whoever was told so already hears the end of it, in order.
      if (this.#ended && error instanceof ProtocolError) return;
      // A fault of our own must not take the other sessions with it (invariant 10): it ends this connection, by name.
      const reason = error instanceof Error ? error.message : String(error);
      this.transmitter.flush();
      this.drop(error instanceof ProtocolError ? reason : `internal error: ${reason}`);
    }
  }

  #logIn(bhs: Buffer, data: Buffer): void {
    const isLogin = opcodeOf(bhs) === REQUEST.login;
    const step = isLogin ? this.#login.step(bhs, data) : this.#login.interrupted();
    if (step === undefined) throw new ProtocolError("not a login request");
    this.#answerLogin(step);
  }

  #answerLogin(step: LoginStep): void {
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
      // While the peer has answers to take nothing is taken from it: that is no stall of its making.
      if (!this.#socket.isPaused() && (this.#session?.countStalls() ?? 0) >= STALLS_MAX) {
        this.drop("the data of a write does not come");
        return;
      }
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
    if (this.#socket.isPaused() && !this.#isYielding) this.#goOnReceiving();
  }

  #beginTurn(): void {
    this.#turnStartBytes = this.transmitter.builtBytes;
    this.#turnPdus = 0;
    this.#turnSpentBytes = 0;
  }

  #nextTurn(): void {
    this.#isYielding = false;
    if (this.#ended) return;
    this.#beginTurn();
    this.#goOnReceiving();
  }

  /** Takes what was put off, and then what the socket has. */
  #goOnReceiving(): void {
    this.#guarded(() => this.#receiver.resume());
    if (this.#ended || this.#isYielding) return;
    if (!this.isBehind) this.#socket.resume();
  }

  #closed(): void {
    this.#ended = true;
    this.#cancelTimer();
    this.#session?.close();
    this.#host.closed(this);
  }
}
