/** The iSCSI target: listens, owns the connections and sessions, and knows targets only by its directory. */
import { createServer, type Server, Socket } from "node:net";
import { LOGIN_STATUS } from "../iscsi/pdu/login.ts";
import { type Clock, delay } from "../platform/clock.ts";
import { type Random, systemRandom } from "../platform/random.ts";
import type { BlockDevice } from "../scsi/block-device.ts";
import { LogicalUnit } from "../scsi/logical-unit.ts";
import { SENSE } from "../scsi/sense.ts";
import { Connection, type ConnectionHost } from "./connection.ts";
import { DataBuffers } from "./data-buffers.ts";
import type { TargetDirectory, TargetEntry } from "./directory.ts";
import { isLoopback, isWildcard, type Portal, type PortalRedirect, portalText } from "./discovery.ts";
import { DEFAULT_TARGET_LIMITS, type TargetLimits } from "./limits.ts";
import { isStillAdmitted, type LoggedIn, type LoginRefusal } from "./login.ts";
import { tidy } from "./released-memory.ts";
import { Session, type SessionHost } from "./session.ts";

export interface TargetOptions {
  readonly directory: TargetDirectory;
  readonly clock: Clock;
  readonly random?: Random;
  readonly limits?: TargetLimits;
  /** What discovery shows as portals, `HOST:PORT` each; without any: the one reached, and the others listened at. */
  readonly advertised?: readonly string[];
  /** Who is sent from one portal to another at login; the first that fits counts. */
  readonly redirects?: readonly PortalRedirect[];
  /** What is worth a line in the log: dropped peers and the like. */
  readonly onEvent?: (event: TargetEvent) => void;
}

export interface TargetEvent {
  readonly type: "loggedIn" | "closed" | "dropped" | "refused" | "redirected";
  readonly remoteAddress: string;
  readonly initiatorName?: string;
  readonly targetName?: string;
  readonly reason?: string;
}

/** An initiator that is logged in to a target. */
export interface SessionInfo {
  readonly initiatorName: string;
  readonly address: string;
}

/** What is taken from one connection before the others have their turn; small enough to stay in a cache. */
const RECEIVE_BYTES = 256 * 1024;
const LOGOUT_GRACE_MS = 1_000;
const SETTLE_MS_MAX = 3_000;
const TSIH_MAX = 0xffff;
const TIDY_AFTER_MS = 5_000;

export class Target implements ConnectionHost, SessionHost {
  readonly clock: Clock;
  readonly limits: TargetLimits;
  readonly directory: TargetDirectory;
  readonly buffers: DataBuffers;
  readonly random: Random;
  readonly #onEvent: (event: TargetEvent) => void;
  readonly #servers: Server[] = [];
  readonly #advertised: readonly string[];
  readonly #redirects: readonly PortalRedirect[];
  readonly #connections = new Set<Connection>();
  /** Sessions without a connection whose last commands are not done. */
  readonly #lingering = new Set<Session>();
  /** All connections of the thread receive into one buffer: what is in it is consumed before the next read. */
  readonly #receiveBuffer = Buffer.allocUnsafeSlow(RECEIVE_BYTES);
  /** One logical unit for each device that somebody has asked for. */
  readonly #units = new WeakMap<BlockDevice, LogicalUnit>();
  #tsih = 0;
  #isTidyDue = false;
  /** Told when the last connection is gone. */
  #onEmpty: () => void = () => {};

  constructor(options: TargetOptions) {
    this.clock = options.clock;
    this.directory = options.directory;
    this.random = options.random ?? systemRandom;
    this.limits = options.limits ?? DEFAULT_TARGET_LIMITS;
    this.buffers = new DataBuffers(this.limits.totalBufferBytesMax, options.clock);
    this.#onEvent = options.onEvent ?? (() => {});
    this.#advertised = options.advertised ?? [];
    this.#redirects = options.redirects ?? [];
  }

  /** Listens at one more portal; answers the address in use (port 0 chooses a free one). */
  listen(host: string, port: number): Promise<{ host: string; port: number }> {
    const server = createServer({ pauseOnConnect: true, noDelay: true }, (socket) => this.#accept(socket));
    return new Promise((resolve, reject) => {
      server.once("error", reject);
      server.listen(port, host, () => {
        server.off("error", reject);
        // A connection that can't be accepted (no file descriptor left) costs no other.
        server.on("error", ({ message }) =>
          this.#onEvent({ type: "refused", remoteAddress: "", reason: message }),
        );
        this.#servers.push(server);
        const address = server.address();
        if (address === null || typeof address === "string") reject(new Error("no address"));
        else resolve({ host: address.address, port: address.port });
      });
    });
  }

  /** The portals that discovery shows to whoever has come by `reached`, that one first. */
  portalsFor(reached: Portal): readonly string[] {
    if (this.#advertised.length > 0) return this.#advertised;
    const own = portalText(reached);
    const others = this.#servers.flatMap((server) => {
      const address = server.address();
      if (address === null || typeof address === "string") return [];
      const portal = { localAddress: address.address, localPort: address.port };
      // What listens everywhere has no address of its own, and loopback is none for another machine.
      const isUsable =
        !isWildcard(portal.localAddress) &&
        isLoopback(portal.localAddress) === isLoopback(reached.localAddress);
      return isUsable ? [portalText(portal)] : [];
    });
    return [...new Set([own, ...others])];
  }

  redirectFor(targetName: string, reached: Portal): string | undefined {
    const own = portalText(reached);
    const rule = this.#redirects.find(
      (each) =>
        each.from === own &&
        (each.targetName === undefined || each.targetName.toLowerCase() === targetName.toLowerCase()),
    );
    return rule?.to;
  }

  /** Connections, logged in or not. */
  get connectionCount(): number {
    return this.#connections.size;
  }

  /** Bytes that wait for initiators to take them. */
  get backlogBytes(): number {
    let bytes = 0;
    for (const { transmitter } of this.#connections) bytes += transmitter.backlogBytes;
    return bytes;
  }

  /** Who is logged in to the target. */
  sessions(targetName: string): SessionInfo[] {
    return this.#sessionsNamed(targetName).map((session) => ({
      initiatorName: session.initiatorName,
      address: session.connection.remoteAddress,
    }));
  }

  /** Tells all initiators of the target that its size is another one now (CAPACITY DATA HAS CHANGED). */
  capacityChanged(targetName: string): void {
    const entry = this.directory.find(targetName);
    if (entry !== undefined) this.unitOf(entry).attendAll(SENSE.capacityDataHasChanged);
  }

  /** Ends the target's sessions that its credentials, as the directory has them now, would not let in again. */
  credentialsChanged(targetName: string): void {
    const entry = this.directory.find(targetName);
    for (const session of this.#sessionsNamed(targetName)) {
      if (entry !== undefined && isStillAdmitted(entry, session.initiatorName, session.credential)) continue;
      session.connection.drop("the initiator is not admitted any more");
    }
  }

  /** Ends the target's sessions; resolves when none of their commands touches the device any more. */
  async closeTarget(targetName: string): Promise<void> {
    const sessions = this.#sessionsNamed(targetName);
    for (const session of sessions) session.connection.drop("the target is being removed");
    await Promise.all(sessions.map((session) => session.settled()));
  }

  /** Asks all initiators to log out, then ends what is left. */
  async close(): Promise<void> {
    for (const server of this.#servers) server.close();
    const closed = new Promise<void>((resolve) => {
      this.#onEmpty = resolve;
      if (this.#connections.size === 0) resolve();
    });
    const sessions = [...this.#connections].flatMap(({ session }) =>
      session === undefined ? [] : [session],
    );
    for (const session of sessions) session.requestLogout();
    if (sessions.length > 0) await Promise.race([closed, delay(this.clock, LOGOUT_GRACE_MS)]);
    await Promise.race([
      Promise.all(sessions.map((session) => session.settled())),
      delay(this.clock, SETTLE_MS_MAX),
    ]);
    for (const connection of this.#connections) connection.drop("the target is shutting down");
    await closed;
  }

  newTsih(): number {
    // There are fewer sessions than handles.
    do this.#tsih = (this.#tsih % TSIH_MAX) + 1;
    while (this.#sessionOf(this.#tsih) !== undefined);
    return this.#tsih;
  }

  hasSession(tsih: number, initiatorName: string, isid: Buffer): boolean {
    const session = this.#sessionOf(tsih);
    return session?.initiatorName === initiatorName && session.isid.equals(isid);
  }

  #sessionOf(tsih: number): Session | undefined {
    for (const { session } of this.#connections) if (session?.tsih === tsih) return session;
    return undefined;
  }

  hasRoom(entry: TargetEntry | undefined, initiatorName: string, isid: Buffer): boolean {
    let sessionCount = 0;
    let discoveryCount = 0;
    for (const { session } of this.#connections) {
      if (session === undefined) continue;
      if (session.entry === undefined) discoveryCount += 1;
      else sessionCount += 1;
    }
    if (entry === undefined) return discoveryCount < this.limits.discoverySessionsMax;
    const sessions = [...this.sessionsOf(entry)];
    return (
      (sessions.length < this.limits.sessionsPerTargetMax && sessionCount < this.limits.sessionsMax) ||
      sessions.some((session) => session.initiatorName === initiatorName && session.isid.equals(isid))
    );
  }

  openSession(connection: Connection, loggedIn: LoggedIn): Session {
    const session = new Session(connection, loggedIn, this, this.#before(loggedIn));
    this.#onEvent({
      type: "loggedIn",
      remoteAddress: connection.remoteAddress,
      initiatorName: loggedIn.initiatorName,
      ...(loggedIn.entry && { targetName: loggedIn.entry.targetName }),
    });
    return session;
  }

  /** The target's LUN 0. Throws where its stored state is damaged. */
  unitOf(entry: TargetEntry): LogicalUnit {
    const known = this.#units.get(entry.device);
    if (known !== undefined) return known;
    const unit = new LogicalUnit({
      device: entry.device,
      identity: { ...entry.identity, targetName: entry.targetName },
      clock: this.clock,
      ...(entry.store && { store: entry.store }),
      ...(entry.journal && { journal: entry.journal }),
      ...(entry.isPoweredOnAgain === true && { isPoweredOnAgain: true }),
      unitsOf: (initiatorName) => this.#unitsOf(initiatorName),
    });
    this.#units.set(entry.device, unit);
    return unit;
  }

  /** The units that the initiator is logged in to. */
  *#unitsOf(initiatorName: string): Iterable<LogicalUnit> {
    for (const { session } of this.#connections) {
      if (session?.entry === undefined || session.initiatorName !== initiatorName) continue;
      yield this.unitOf(session.entry);
    }
  }

  *sessionsOf(entry: TargetEntry): Iterable<Session> {
    for (const { session } of this.#connections) {
      if (session?.entry?.targetName === entry.targetName) yield session;
    }
  }

  closed(connection: Connection): void {
    this.#connections.delete(connection);
    this.#tidyLater();
    if (this.#connections.size === 0) this.#onEmpty();
    const { session } = connection;
    if (session?.isBusy) {
      this.#lingering.add(session);
      void session.settled().then(() => this.#lingering.delete(session));
    }
    this.#onEvent({ type: "closed", remoteAddress: connection.remoteAddress });
  }

  /** What waited for peers that have gone is given back in a while. */
  #tidyLater(): void {
    if (this.#isTidyDue) return;
    this.#isTidyDue = true;
    this.clock.after(TIDY_AFTER_MS, () => {
      this.#isTidyDue = false;
      tidy();
    });
  }

  refused(connection: Connection, { status, reason, initiatorName, targetName }: LoginRefusal): void {
    const { remoteAddress } = connection;
    const type = status === LOGIN_STATUS.targetMovedTemporarily ? "redirected" : "refused";
    this.#onEvent({ type, remoteAddress, reason, initiatorName, targetName });
  }

  dropped(connection: Connection, reason: string): void {
    this.#onEvent({ type: "dropped", remoteAddress: connection.remoteAddress, reason });
  }

  #sessionsNamed(targetName: string): Session[] {
    const wanted = targetName.toLowerCase();
    return [...this.#connections].flatMap(({ session }) =>
      session?.entry?.targetName.toLowerCase() === wanted ? [session] : [],
    );
  }

  /**
   * A new login under the same name and ISID replaces the old session (RFC 7143, 6.3.5). Answers the sessions of this
   * initiator that have ended and may still have commands under way.
   */
  #before(loggedIn: LoggedIn): Session[] {
    if (loggedIn.entry === undefined) return [];
    const { targetName } = loggedIn.entry;
    const before = [...this.#lingering].filter(
      (session) =>
        session.initiatorName === loggedIn.initiatorName && session.entry?.targetName === targetName,
    );
    for (const session of this.sessionsOf(loggedIn.entry)) {
      if (session.initiatorName === loggedIn.initiatorName && session.isid.equals(loggedIn.isid)) {
        session.connection.drop("the session was reinstated");
        before.push(session);
      }
    }
    return before;
  }

  /** Whoever holds connections open without logging in does so at the cost of its own oldest ones. */
  #makeRoom(): void {
    const pending = [...this.#connections].filter(({ session }) => session === undefined);
    if (pending.length < this.limits.pendingConnectionsMax) return;
    pending[0]?.drop("too many connections that have not logged in");
  }

  #accept(accepted: Socket): void {
    this.#makeRoom();
    const receive = { connection: undefined as Connection | undefined };
    const socket = this.#withReceiveBuffer(
      accepted,
      (bytes) => receive.connection?.receive(bytes),
      () => receive.connection?.yield(),
    );
    socket.setNoDelay(true);
    const connection = new Connection(socket, this);
    receive.connection = connection;
    this.#connections.add(connection);
    socket.resume();
  }

  /**
   * The accepted connection as a socket that reads into our one buffer. Node offers that (`onread`) only to sockets
   * that it is told of when they are made, so the connection's handle moves to a new one. Where a future Node hides
   * the handle, the ordinary events do the same, with a buffer for each read.
   */
  #withReceiveBuffer(accepted: Socket, onBytes: (bytes: Buffer) => void, onFull: () => void): Socket {
    const source = accepted as Socket & { _handle?: unknown };
    const handle = source._handle;
    if (handle === undefined || handle === null) {
      accepted.on("data", onBytes);
      return accepted;
    }
    source._handle = null;
    // An empty shell now: without this the server would count it as a connection for ever.
    accepted.destroy();
    const onread = {
      buffer: this.#receiveBuffer,
      callback: (count: number, buffer: Uint8Array) => {
        onBytes(Buffer.from(buffer.buffer, buffer.byteOffset, count));
        // There is more, and libuv would go on with it at once.
        if (count === buffer.length) onFull();
        return true;
      },
    };
    const options: unknown = { handle, onread, allowHalfOpen: false, pauseOnCreate: true };
    return new Socket(options as ConstructorParameters<typeof Socket>[0]);
  }
}
