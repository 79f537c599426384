/**
 * The login phase of one connection (RFC 7143, 6.3 and 13): from the first Login Request to full feature phase.
 *
 * No socket and no clock in here: requests go in, responses come out. What an initiator has to prove is in
 * authentication.ts, how the operational keys are settled in iscsi/negotiation.ts.
 */
import { defaultParameters, negotiate, type SessionParameters } from "../iscsi/negotiation.ts";
import {
  decodeLoginRequest,
  encodeLoginResponse,
  LOGIN_STATUS,
  type LoginRequest,
  STAGE,
} from "../iscsi/pdu/login.ts";
import { ProtocolError } from "../iscsi/protocol-error.ts";
import { decodeText, encodeText, TEXT_BYTES_MAX } from "../iscsi/text-keys.ts";
import type { Random } from "../platform/random.ts";
import { Authentication, AuthenticationFailure } from "./authentication.ts";
import { admission, type ChapCredential, type TargetDirectory, type TargetEntry } from "./directory.ts";
import type { Portal } from "./discovery.ts";

/** What a successful login has found out. */
export interface LoggedIn {
  readonly initiatorName: string;
  readonly isid: Buffer;
  /** The connection's id within the session. */
  readonly cid: number;
  /** The target, or undefined for a discovery session. */
  readonly entry: TargetEntry | undefined;
  /** What the initiator has proved itself with, if the target asks for a proof. */
  readonly credential: ChapCredential | undefined;
  readonly parameters: SessionParameters;
  readonly tsih: number;
  readonly expCmdSN: number;
  readonly statSN: number;
}

export interface LoginStep {
  /** Header and data of the response. */
  readonly header: Buffer;
  readonly data: Buffer;
  /** Set with the last response of a login that succeeded. */
  readonly done?: LoggedIn;
  /** The response says no, or whom to ask instead, for this reason: the connection ends with it. */
  readonly refusal?: LoginRefusal;
}

/** Why a login was refused, as far as it had come. Holds no secret. */
export interface LoginRefusal {
  readonly status: number;
  readonly reason: string;
  readonly initiatorName: string;
  readonly targetName: string;
}

/** What a login asks of the target it is for. */
export interface LoginHost {
  readonly directory: TargetDirectory;
  readonly random: Random;
  /** A session handle that no session has. */
  newTsih(): number;
  /** Whether that initiator port has a session of that handle. */
  hasSession(tsih: number, initiatorName: string, isid: Buffer): boolean;
  /** Whether a session of this initiator may be opened now, or stands already and would be replaced. */
  hasRoom(entry: TargetEntry | undefined, initiatorName: string, isid: Buffer): boolean;
  /** Where whoever has come to the target by this portal is to go instead, `HOST:PORT`, or undefined. */
  redirectFor?(targetName: string, reached: Portal): string | undefined;
}

const PROTOCOL_VERSION = 0;
const ROUNDS_MAX = 64;
const NAME_BYTES_MAX = 223;
/** No spaces and nothing that would do something to whoever reads it in a log (RFC 7143, 4.2.7.2). */
const NAME = /^[^\s\p{C}]+$/u;
const COMMAND_WINDOW = 32;
/** What a login PDU may carry: the MaxRecvDataSegmentLength before any is declared (RFC 7143, 13.12). */
export const LOGIN_DATA_BYTES_MAX = 8192;
/** Said again by some initiators with every request; all other keys are said once (RFC 7143, 6.3). */
const REPEATABLE = new Set(["InitiatorName", "InitiatorAlias", "TargetName", "SessionType"]);

class LoginRefused extends Error {
  readonly status: number;
  constructor(status: number, reason: string) {
    super(reason);
    this.status = status;
  }
}

/** The target is to be reached by another portal now (RFC 7143, 11.13.5). */
class LoginRedirected extends LoginRefused {
  readonly address: string;
  constructor(address: string) {
    super(LOGIN_STATUS.targetMovedTemporarily, `sent to ${address}`);
    this.address = address;
  }
}

export class Login {
  readonly #host: LoginHost;
  /** The portal that the initiator has come by. */
  readonly #reached: Portal | undefined;
  readonly #parameters = defaultParameters();
  #text = Buffer.alloc(0);
  /** Answers that did not fit into one response. */
  #unsent: Buffer = Buffer.alloc(0);
  #rounds = 0;
  #statSN = 0;
  #stage: number | undefined;
  #declared = false;
  #initiatorName = "";
  #targetName = "";
  /** The first request: what identifies the connection stays as it was said there. */
  #first: LoginRequest | undefined;
  #entry: TargetEntry | undefined;
  #credential: ChapCredential | undefined;
  #authentication: Authentication | undefined;
  readonly #said = new Map<string, string>();

  constructor(host: LoginHost, reached?: Portal) {
    this.#host = host;
    this.#reached = reached;
  }

  /** Answers one Login Request. */
  step(bhs: Buffer, data: Buffer): LoginStep {
    const request = decodeLoginRequest(bhs);
    this.#rounds += 1;
    try {
      if (this.#rounds > ROUNDS_MAX) throw new ProtocolError("a login of too many rounds");
      return this.#answer(request, data);
    } catch (error) {
      if (error instanceof LoginRedirected) {
        // Without the portal group tag that the key has elsewhere (RFC 7143, 13.8).
        const text = encodeText([["TargetAddress", error.address]]);
        return this.#refuse(request, error.status, error.message, text);
      }
      if (error instanceof LoginRefused) return this.#refuse(request, error.status, error.message);
      if (error instanceof AuthenticationFailure) return this.#refuse(request, error.status, error.message);
      if (error instanceof ProtocolError)
        return this.#refuse(request, LOGIN_STATUS.initiatorError, error.message);
      throw error;
    }
  }

  /**
   * Answers what is no Login Request in the middle of a login (RFC 7143, 6.3); undefined where none has begun: then the
   * connection can only be dropped.
   */
  interrupted(): LoginStep | undefined {
    const first = this.#first;
    if (first === undefined) return undefined;
    return this.#refuse(first, LOGIN_STATUS.invalidDuringLogin, "a PDU that is no login request");
  }

  /** Answers a Login Request whose data is more than one may carry: it is not waited for. */
  tooLong(bhs: Buffer): LoginStep {
    const reason = "a login request of too much data";
    return this.#refuse(decodeLoginRequest(bhs), LOGIN_STATUS.initiatorError, reason);
  }

  #answer(request: LoginRequest, data: Buffer): LoginStep {
    this.#checkStage(request);
    if (this.#unsent.length > 0) return this.#sendRest(request, data);
    if (this.#text.length + data.length > TEXT_BYTES_MAX) throw new ProtocolError("too much login text");
    this.#text = Buffer.concat([this.#text, data]);
    if (request.moreKeys) return this.#respond(request, Buffer.alloc(0), false);
    const offers = decodeText(this.#text);
    this.#text = Buffer.alloc(0);
    this.#checkRepeats(offers);

    const answers: [string, string][] = [];
    if (this.#authentication === undefined) answers.push(...this.#introduce(request, offers));
    const authentication = this.#authentication;
    if (authentication === undefined) throw new Error("the initiator was not introduced");
    if (request.currentStage === STAGE.security) {
      answers.push(...authentication.step(new Map(offers)));
    } else if (!authentication.isDone) {
      throw new AuthenticationFailure("the target wants CHAP, and the initiator has left it out");
    } else answers.push(...authentication.late(new Map(offers)));
    const operational = request.currentStage === STAGE.operational;
    const others = offers.filter(([key]) => !Authentication.owns(key));
    answers.push(...negotiate(others, this.#parameters, operational && !this.#declared));
    if (operational) this.#declared = true;
    // Whoever wants to go on before it has proved itself is kept in the stage.
    const mayGoOn = request.transit && authentication.isDone;
    return this.#respond(request, encodeText(answers), mayGoOn);
  }

  #checkStage(request: LoginRequest): void {
    const { currentStage, nextStage, transit } = request;
    if (request.versionMin > PROTOCOL_VERSION) {
      throw new LoginRefused(LOGIN_STATUS.unsupportedVersion, `protocol version ${request.versionMin}`);
    }
    if (currentStage !== STAGE.security && currentStage !== STAGE.operational) {
      throw new LoginRefused(LOGIN_STATUS.initiatorError, `a login in stage ${currentStage}`);
    }
    if (this.#stage !== undefined && currentStage !== this.#stage) {
      throw new LoginRefused(LOGIN_STATUS.invalidDuringLogin, "a login request of another stage");
    }
    const forward = nextStage === STAGE.operational || nextStage === STAGE.fullFeature;
    if (transit && (!forward || nextStage <= currentStage)) {
      throw new LoginRefused(LOGIN_STATUS.initiatorError, `from stage ${currentStage} to ${nextStage}`);
    }
    if (transit && request.moreKeys) {
      throw new LoginRefused(LOGIN_STATUS.initiatorError, "a login request with both T and C");
    }
    const first = this.#first ?? request;
    if (!request.isid.equals(first.isid) || request.tsih !== first.tsih || request.cid !== first.cid) {
      throw new LoginRefused(LOGIN_STATUS.initiatorError, "the ISID, the TSIH or the CID has changed");
    }
    this.#first = first;
    this.#stage = currentStage;
  }

  #checkRepeats(offers: readonly [string, string][]): void {
    for (const [key, value] of offers) {
      const before = this.#said.get(key);
      const isRepeat = before !== undefined && !(REPEATABLE.has(key) && before === value);
      if (isRepeat) throw new LoginRefused(LOGIN_STATUS.initiatorError, `${key} was said twice`);
      this.#said.set(key, value);
    }
    if (this.#said.size > SAID_MAX) throw new ProtocolError("too many login keys");
  }

  /** The first request says who calls and whom. */
  #introduce(request: LoginRequest, offers: readonly [string, string][]): [string, string][] {
    const said = new Map(offers);
    const initiatorName = said.get("InitiatorName") ?? "";
    if (initiatorName === "" || Buffer.byteLength(initiatorName) > NAME_BYTES_MAX) {
      throw new LoginRefused(LOGIN_STATUS.missingParameter, "no InitiatorName");
    }
    if (!NAME.test(initiatorName)) {
      throw new LoginRefused(LOGIN_STATUS.initiatorError, "an InitiatorName that is no iSCSI name");
    }
    this.#initiatorName = initiatorName;
    const type = said.get("SessionType") ?? "Normal";
    if (type !== "Discovery" && type !== "Normal") {
      throw new LoginRefused(LOGIN_STATUS.sessionTypeNotSupported, "a SessionType that there is not");
    }
    this.#checkTsih(request);
    if (type === "Discovery") {
      this.#authentication = new Authentication(undefined, this.#host.random);
      return [];
    }
    const targetName = said.get("TargetName");
    if (targetName === undefined) throw new LoginRefused(LOGIN_STATUS.missingParameter, "no TargetName");
    if (Buffer.byteLength(targetName) > NAME_BYTES_MAX || !NAME.test(targetName)) {
      throw new LoginRefused(LOGIN_STATUS.notFound, "there is no such target");
    }
    this.#targetName = targetName;
    this.#entry = this.#host.directory.find(targetName);
    if (this.#entry === undefined) {
      const reason = this.#host.directory.unavailable?.(targetName);
      if (reason !== undefined) throw new LoginRefused(LOGIN_STATUS.serviceUnavailable, reason);
      throw new LoginRefused(LOGIN_STATUS.notFound, "there is no such target");
    }
    const elsewhere = this.#reached && this.#host.redirectFor?.(this.#entry.targetName, this.#reached);
    if (elsewhere !== undefined) throw new LoginRedirected(elsewhere);
    const { isAdmitted, credential } = admission(this.#entry, initiatorName);
    this.#credential = credential;
    const isOpen = isAdmitted && credential === undefined;
    const claim = isOpen ? undefined : { initiatorName, targetName: this.#entry.targetName, credential };
    this.#authentication = new Authentication(claim, this.#host.random);
    return [["TargetPortalGroupTag", "1"]];
  }

  /** MaxConnections is 1: no second connection joins a session (and none takes one over at recovery level 0). */
  #checkTsih({ tsih, isid }: LoginRequest): void {
    if (tsih === 0) return;
    if (this.#host.hasSession(tsih, this.#initiatorName, isid)) {
      throw new LoginRefused(LOGIN_STATUS.tooManyConnections, "a session has one connection here");
    }
    throw new LoginRefused(LOGIN_STATUS.sessionDoesNotExist, `there is no session ${tsih}`);
  }

  /** While logging in, the target may have gone, or may want another proof now. */
  #checkStillThere(isid: Buffer): void {
    const entry = this.#entry;
    if (entry !== undefined) {
      const now = this.#host.directory.find(entry.targetName);
      if (now?.device !== entry.device) throw new LoginRefused(LOGIN_STATUS.notFound, "the target has gone");
      if (!isStillAdmitted(now, this.#initiatorName, this.#credential)) {
        throw new AuthenticationFailure("the credentials have changed meanwhile");
      }
    }
    if (!this.#host.hasRoom(entry, this.#initiatorName, isid)) {
      throw new LoginRefused(LOGIN_STATUS.outOfResources, "too many sessions");
    }
  }

  /** The initiator asks for the rest of a long answer with requests that say nothing. */
  #sendRest(request: LoginRequest, data: Buffer): LoginStep {
    if (data.length > 0) throw new ProtocolError("text in the middle of an answer");
    const mayGoOn = request.transit && this.#authentication?.isDone === true;
    return this.#respond(request, this.#unsent, mayGoOn);
  }

  #respond(request: LoginRequest, text: Buffer, transit: boolean): LoginStep {
    const data = text.subarray(0, LOGIN_DATA_BYTES_MAX);
    this.#unsent = text.subarray(data.length);
    const moreKeys = this.#unsent.length > 0;
    const goesOn = transit && !moreKeys;
    const done = goesOn && request.nextStage === STAGE.fullFeature;
    if (done) this.#checkStillThere(request.isid);
    const tsih = done ? this.#host.newTsih() : 0;
    const header = this.#header(
      request,
      LOGIN_STATUS.success,
      { transit: goesOn, moreKeys, tsih },
      data.length,
    );
    if (goesOn) this.#stage = request.nextStage;
    if (!done) return { header, data };
    return {
      header,
      data,
      done: {
        initiatorName: this.#initiatorName,
        isid: request.isid,
        cid: request.cid,
        entry: this.#entry,
        credential: this.#credential,
        parameters: this.#parameters,
        tsih,
        expCmdSN: request.immediate ? request.cmdSN : (request.cmdSN + 1) >>> 0,
        statSN: this.#statSN,
      },
    };
  }

  #refuse(request: LoginRequest, status: number, reason: string, data: Buffer = Buffer.alloc(0)): LoginStep {
    const refusal = { status, reason, initiatorName: this.#initiatorName, targetName: this.#targetName };
    const flags = { transit: false, moreKeys: false, tsih: 0 };
    return { header: this.#header(request, status, flags, data.length), data, refusal };
  }

  #header(
    request: LoginRequest,
    status: number,
    { transit, moreKeys, tsih }: { transit: boolean; moreKeys: boolean; tsih: number },
    dataBytes: number,
  ): Buffer {
    const header = encodeLoginResponse({
      transit,
      moreKeys,
      currentStage: request.currentStage,
      nextStage: transit ? request.nextStage : 0,
      isid: request.isid,
      tsih: tsih === 0 ? request.tsih : tsih,
      initiatorTaskTag: request.initiatorTaskTag,
      statSN: this.#statSN,
      expCmdSN: request.cmdSN,
      maxCmdSN: (request.cmdSN + COMMAND_WINDOW - 1) >>> 0,
      status,
      dataBytes,
    });
    this.#statSN = (this.#statSN + 1) >>> 0;
    return header;
  }
}

/** Keys of a whole login; one text has fewer. */
const SAID_MAX = 256;

/** Whether what an initiator has proved is what the target wants of it now. */
export function isStillAdmitted(
  entry: TargetEntry,
  initiatorName: string,
  proved: ChapCredential | undefined,
): boolean {
  const { isAdmitted, credential } = admission(entry, initiatorName);
  if (credential === undefined) return isAdmitted;
  return (
    proved?.secretToAuthenticateInitiator === credential.secretToAuthenticateInitiator &&
    proved.secretToAuthenticateTarget === credential.secretToAuthenticateTarget
  );
}
