/**
 * A session in full feature phase: PDUs in the order of their CmdSN, each handed to whom it is for, and what the session
 * itself answers: pings, texts, logouts. Its SCSI commands are in commands.ts.
 */
import { AT, opcodeOf, REQUEST, TAG_NONE } from "../iscsi/bhs.ts";
import { negotiate } from "../iscsi/negotiation.ts";
import { REJECT_REASON } from "../iscsi/pdu/responses.ts";
import { encodeText } from "../iscsi/text-keys.ts";
import type { LogicalUnit } from "../scsi/logical-unit.ts";
import { Nexus } from "../scsi/nexus.ts";
import { SENSE } from "../scsi/sense.ts";
import { Commands } from "./commands.ts";
import type { Connection } from "./connection.ts";
import type { DataBuffers } from "./data-buffers.ts";
import type { ChapCredential, TargetDirectory, TargetEntry } from "./directory.ts";
import { type Portal, sendTargetsText } from "./discovery.ts";
import type { TargetLimits } from "./limits.ts";
import type { LoggedIn } from "./login.ts";
import { Responder, SEGMENT_BYTES_MAX } from "./responder.ts";
import { type ManagedSession, TaskManagement } from "./task-management.ts";
import { TextExchange } from "./text-exchange.ts";

export interface SessionHost {
  readonly directory: TargetDirectory;
  readonly limits: TargetLimits;
  readonly buffers: DataBuffers;
  /** What discovery shows to whoever has come by this portal. */
  portalsFor(reached: Portal): readonly string[];
  /** Other sessions on the same target: a LUN or target reset reaches them too. */
  sessionsOf(entry: TargetEntry): Iterable<Session>;
  /** The target's LUN 0: one for all of its sessions. */
  unitOf(entry: TargetEntry): LogicalUnit;
}

const LOGOUT_REASON = { session: 0, connection: 1, recovery: 2 };
const LOGOUT_RESPONSE = { closed: 0, noSuchConnection: 1, recoveryNotSupported: 2 };
/** What carries a CmdSN (RFC 7143, 4.2.2.1). */
const NUMBERED: ReadonlySet<number> = new Set([
  REQUEST.nopOut,
  REQUEST.scsiCommand,
  REQUEST.taskManagement,
  REQUEST.text,
  REQUEST.logout,
]);
/** Why other PDUs are rejected; unknown ones are not supported. */
const UNNUMBERED_REASON: Readonly<Record<number, number>> = {
  [REQUEST.snack]: REJECT_REASON.snack,
  [REQUEST.login]: REJECT_REASON.protocolError,
};
export class Session implements ManagedSession {
  readonly initiatorName: string;
  readonly isid: Buffer;
  readonly tsih: number;
  readonly entry: TargetEntry | undefined;
  /** What the initiator has proved itself with, if it had to. */
  readonly credential: ChapCredential | undefined;
  readonly connection: Connection;
  readonly #host: SessionHost;
  readonly #parameters: LoggedIn["parameters"];
  /** LUN 0 of the target, unless this is a discovery session; and this session to it. */
  readonly #unit: LogicalUnit | undefined;
  readonly #nexus: Nexus;
  readonly #responder: Responder;
  /** Undefined in discovery sessions. */
  readonly #commands: Commands | undefined;
  readonly #text: TextExchange;
  readonly #management: TaskManagement | undefined;
  readonly #cid: number;

  constructor(connection: Connection, loggedIn: LoggedIn, host: SessionHost, after: readonly Session[]) {
    const { entry, parameters } = loggedIn;
    const { limits, buffers } = host;
    this.connection = connection;
    this.initiatorName = loggedIn.initiatorName;
    this.isid = loggedIn.isid;
    this.tsih = loggedIn.tsih;
    this.#cid = loggedIn.cid;
    this.entry = entry;
    this.credential = loggedIn.credential;
    this.#host = host;
    this.#parameters = parameters;
    this.#nexus = new Nexus(loggedIn.initiatorName, loggedIn.isid, () => this.abortTasks());
    const taskCount = () => this.#commands?.count ?? 0;
    const { transmitter } = connection;
    const responder = new Responder(transmitter, parameters, loggedIn, limits.tasksPerSessionMax, taskCount);
    this.#responder = responder;
    this.#text = new TextExchange((keys) => this.#answerText(keys));
    if (entry === undefined) return;
    const unit = host.unitOf(entry);
    unit.attach(this.#nexus);
    this.#unit = unit;
    this.#commands = new Commands(
      connection,
      responder,
      parameters,
      limits,
      buffers,
      unit,
      this.#nexus,
      after,
    );
    this.#management = new TaskManagement(this, () => host.sessionsOf(entry), unit);
  }

  /** Whether commands of this session still touch the device. */
  get isBusy(): boolean {
    return this.#commands?.isBusy === true;
  }

  onPdu(bhs: Buffer, data: Buffer): void {
    const opcode = opcodeOf(bhs);
    if (opcode === REQUEST.dataOut) {
      this.#commands?.dataOut(bhs, data);
      return;
    }
    if (!NUMBERED.has(opcode)) {
      // A request that nobody knows may have used up a number all the same.
      if (!(opcode in UNNUMBERED_REASON)) this.#responder.inOrder(bhs);
      this.#responder.reject(bhs, UNNUMBERED_REASON[opcode] ?? REJECT_REASON.commandNotSupported);
      return;
    }
    if (!this.#responder.inOrder(bhs)) return;
    // The reserved tag names no task that could be answered; a NOP-Out with it wants no answer (RFC 7143, 11.2.1.8).
    if (opcode !== REQUEST.nopOut && bhs.readUInt32BE(AT.initiatorTaskTag) === TAG_NONE) {
      this.#responder.reject(bhs, REJECT_REASON.invalidPduField);
      return;
    }
    switch (opcode) {
      case REQUEST.scsiCommand:
        if (this.#commands === undefined) this.#responder.reject(bhs, REJECT_REASON.protocolError);
        else this.#commands.command(bhs, data);
        break;
      case REQUEST.nopOut:
        // An answer to our own ping: that it came is all there is to know.
        if (bhs.readUInt32BE(AT.initiatorTaskTag) !== TAG_NONE) this.#responder.pong(bhs, data);
        break;
      case REQUEST.text:
        this.#textRequest(bhs, data);
        break;
      case REQUEST.logout:
        this.#logout(bhs);
        break;
      case REQUEST.taskManagement:
        this.#taskManagement(bhs);
        break;
    }
  }

  /** The data of a PDU has not kept its digest (RFC 7143, 7.7): the PDU is rejected, its command ends. */
  onDataDigestError(bhs: Buffer): void {
    this.#responder.reject(bhs, REJECT_REASON.dataDigestError);
    const opcode = opcodeOf(bhs);
    if (opcode === REQUEST.dataOut) {
      this.#commands?.damagedDataOut(bhs);
      return;
    }
    // The header was whole: its number is used up.
    if (!NUMBERED.has(opcode) || !this.#responder.inOrder(bhs)) return;
    if (opcode === REQUEST.scsiCommand) this.#commands?.damaged(bhs);
  }

  /** The data segment of a Data-Out PDU goes straight to its place, if it is the one that is due. */
  collectInto(bhs: Buffer, lengthBytes: number): Buffer | undefined {
    return this.#commands?.collectInto(bhs, lengthBytes);
  }

  onCollected(bhs: Buffer, isRight: boolean): void {
    if (this.#commands?.onCollected(bhs, isRight) === false) this.onDataDigestError(bhs);
  }

  /** The peer has taken all that was sent. */
  onDrained(): void {
    this.#commands?.onDrained();
  }

  /** How often this was asked while the data of the same write did not come. */
  countStalls(): number {
    return this.#commands?.countStalls() ?? 0;
  }

  /** Asks the initiator whether it is there. */
  ping(): void {
    this.#responder.ping();
  }

  /** Asks the initiator to log out, as before a shutdown. */
  requestLogout(): void {
    this.connection.later(() => this.#responder.requestLogout());
  }

  attendCleared(): void {
    if ((this.#commands?.count ?? 0) > 0) this.#nexus.attend(SENSE.commandsClearedByAnotherInitiator);
  }

  /** I_T nexus loss: the initiator has gone, or is being sent away. */
  leave(): void {
    this.#unit?.detach(this.#nexus);
  }

  /** The connection is gone: what was collected is dropped, what is running ends unheard. */
  close(): void {
    this.leave();
    this.#commands?.close();
  }

  /** Resolves when no command of this session touches the device any more. */
  async settled(): Promise<void> {
    await this.#commands?.settled();
  }

  async abortTasks(): Promise<void> {
    await this.#commands?.abortAll();
  }

  async abortTask(tag: number): Promise<boolean> {
    return (await this.#commands?.abort(tag)) === true;
  }

  #textRequest(bhs: Buffer, data: Buffer): void {
    const most = Math.min(this.#parameters.maxRecvDataSegmentLength, SEGMENT_BYTES_MAX);
    const part = this.#text.step(bhs, data, most);
    if (typeof part === "number") this.#responder.reject(bhs, part);
    else this.#responder.text(bhs, part);
  }

  /** SendTargets, and what the initiator takes in one data segment from now on (RFC 7143, 13.12). */
  #answerText(keys: readonly [string, string][]): Buffer {
    const isLength = ([key]: readonly [string, string]) => key === "MaxRecvDataSegmentLength";
    const settled = negotiate(keys.filter(isLength), this.#parameters, false);
    const others = keys.filter((pair) => !isLength(pair));
    const portals = this.#host.portalsFor(this.connection);
    const found = sendTargetsText(others, this.#host.directory, this.entry, portals);
    // A list of thousands costs what it is long, however little of it goes out at once.
    this.connection.spend(found.length);
    return Buffer.concat([encodeText(settled), found]);
  }

  #logout(bhs: Buffer): void {
    const reason = bhs.readUInt8(1) & 0x7f;
    if (reason > LOGOUT_REASON.recovery) {
      this.#responder.reject(bhs, REJECT_REASON.invalidPduField);
      return;
    }
    let response = LOGOUT_RESPONSE.closed;
    if (reason === LOGOUT_REASON.recovery) response = LOGOUT_RESPONSE.recoveryNotSupported;
    else if (reason === LOGOUT_REASON.connection && bhs.readUInt16BE(20) !== this.#cid) {
      response = LOGOUT_RESPONSE.noSuchConnection;
    }
    this.#responder.logout(bhs, response);
    if (response === LOGOUT_RESPONSE.closed) this.connection.end();
  }

  #taskManagement(bhs: Buffer): void {
    const { entry } = this;
    if (entry === undefined || this.#management === undefined) {
      this.#responder.reject(bhs, REJECT_REASON.protocolError);
      return;
    }
    this.#management.request(bhs, (header, response, isColdReset) => {
      this.connection.later(() => this.#responder.taskManagement(header, response));
      if (!isColdReset) return;
      for (const session of [...this.#host.sessionsOf(entry)]) session.connection.end();
    });
  }
}
