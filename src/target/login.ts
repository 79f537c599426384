/**
 * The login phase of one connection (RFC 7143, 6.3 and 13): from the first Login Request to full feature phase.
 *
 * No socket and no clock in here: requests go in, responses come out. Where initiators have to prove who they are
 * (CHAP), that belongs into the security stage below; until then only `AuthMethod=None` is spoken.
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
import { admission, type ChapCredential, type TargetDirectory, type TargetEntry } from "./directory.ts";

/** What a successful login has found out. */
export interface LoggedIn {
  readonly initiatorName: string;
  readonly isid: Buffer;
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
  /** The response says no: the connection ends with it. */
  readonly failed: boolean;
}

const PROTOCOL_VERSION = 0;
const ROUNDS_MAX = 32;
const NAME_BYTES_MAX = 223;
const COMMAND_WINDOW = 32;

class LoginRefused extends Error {
  readonly status: number;
  constructor(status: number) {
    super(`login refused with ${status.toString(16)}`);
    this.status = status;
  }
}

export class Login {
  readonly #directory: TargetDirectory;
  readonly #newTsih: () => number;
  readonly #parameters = defaultParameters();
  #text = Buffer.alloc(0);
  #rounds = 0;
  #statSN = 0;
  #stage: number | undefined;
  #declared = false;
  #initiatorName = "";
  #entry: TargetEntry | undefined;
  #introduced = false;

  constructor(directory: TargetDirectory, newTsih: () => number) {
    this.#directory = directory;
    this.#newTsih = newTsih;
  }

  /** Answers one Login Request. Throws a ProtocolError where the connection can only be dropped. */
  step(bhs: Buffer, data: Buffer): LoginStep {
    const request = decodeLoginRequest(bhs);
    this.#rounds += 1;
    if (this.#rounds > ROUNDS_MAX) throw new ProtocolError("a login of too many rounds");
    try {
      return this.#answer(request, data);
    } catch (error) {
      if (error instanceof LoginRefused) return this.#refuse(request, error.status);
      if (error instanceof ProtocolError) return this.#refuse(request, LOGIN_STATUS.initiatorError);
      throw error;
    }
  }

  #answer(request: LoginRequest, data: Buffer): LoginStep {
    this.#checkStage(request);
    if (this.#text.length + data.length > TEXT_BYTES_MAX) throw new ProtocolError("too much login text");
    this.#text = Buffer.concat([this.#text, data]);
    if (request.moreKeys) return this.#respond(request, [], false);
    const offers = decodeText(this.#text);
    this.#text = Buffer.alloc(0);

    const answers: [string, string][] = [];
    if (!this.#introduced) answers.push(...this.#introduce(request, offers));
    if (request.currentStage === STAGE.security) answers.push(...this.#secure(offers));
    const operational = request.currentStage === STAGE.operational;
    answers.push(...negotiate(offers, this.#parameters, operational && !this.#declared));
    if (operational) this.#declared = true;
    return this.#respond(request, answers, request.transit);
  }

  #checkStage(request: LoginRequest): void {
    const { currentStage, nextStage, transit } = request;
    if (request.versionMin > PROTOCOL_VERSION) throw new LoginRefused(LOGIN_STATUS.unsupportedVersion);
    if (currentStage !== STAGE.security && currentStage !== STAGE.operational) {
      throw new LoginRefused(LOGIN_STATUS.initiatorError);
    }
    if (this.#stage !== undefined && currentStage !== this.#stage) {
      throw new LoginRefused(LOGIN_STATUS.invalidDuringLogin);
    }
    const forward = nextStage === STAGE.operational || nextStage === STAGE.fullFeature;
    if (transit && (!forward || nextStage <= currentStage))
      throw new LoginRefused(LOGIN_STATUS.initiatorError);
    this.#stage = currentStage;
  }

  /** The first request says who calls and whom. */
  #introduce(request: LoginRequest, offers: readonly [string, string][]): [string, string][] {
    const said = new Map(offers);
    const initiatorName = said.get("InitiatorName") ?? "";
    if (initiatorName === "" || Buffer.byteLength(initiatorName) > NAME_BYTES_MAX) {
      throw new LoginRefused(LOGIN_STATUS.missingParameter);
    }
    // MaxConnections is 1: no second connection joins a session.
    if (request.tsih !== 0) throw new LoginRefused(LOGIN_STATUS.sessionDoesNotExist);
    this.#initiatorName = initiatorName;
    this.#introduced = true;
    const type = said.get("SessionType") ?? "Normal";
    if (type === "Discovery") return [];
    if (type !== "Normal") throw new LoginRefused(LOGIN_STATUS.sessionTypeNotSupported);
    const targetName = said.get("TargetName");
    if (targetName === undefined) throw new LoginRefused(LOGIN_STATUS.missingParameter);
    this.#entry = this.#directory.find(targetName);
    if (this.#entry === undefined) throw new LoginRefused(LOGIN_STATUS.notFound);
    const { isAdmitted, credential } = admission(this.#entry, initiatorName);
    if (!isAdmitted || credential !== undefined) throw new LoginRefused(LOGIN_STATUS.authenticationFailure);
    return [["TargetPortalGroupTag", "1"]];
  }

  #secure(offers: readonly [string, string][]): [string, string][] {
    const methods = offers.find(([key]) => key === "AuthMethod")?.[1].split(",");
    if (methods === undefined) return [];
    if (!methods.includes("None")) throw new LoginRefused(LOGIN_STATUS.authenticationFailure);
    return [["AuthMethod", "None"]];
  }

  #respond(request: LoginRequest, answers: readonly [string, string][], transit: boolean): LoginStep {
    const data = encodeText(answers);
    const done = transit && request.nextStage === STAGE.fullFeature;
    const tsih = done ? this.#newTsih() : 0;
    const header = this.#header(request, LOGIN_STATUS.success, transit, tsih, data.length);
    if (transit) this.#stage = request.nextStage;
    if (!done) return { header, data, failed: false };
    return {
      header,
      data,
      failed: false,
      done: {
        initiatorName: this.#initiatorName,
        isid: request.isid,
        entry: this.#entry,
        credential: undefined,
        parameters: this.#parameters,
        tsih,
        expCmdSN: request.immediate ? request.cmdSN : (request.cmdSN + 1) >>> 0,
        statSN: this.#statSN,
      },
    };
  }

  #refuse(request: LoginRequest, status: number): LoginStep {
    return { header: this.#header(request, status, false, 0, 0), data: Buffer.alloc(0), failed: true };
  }

  #header(request: LoginRequest, status: number, transit: boolean, tsih: number, dataBytes: number): Buffer {
    const header = encodeLoginResponse({
      transit,
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
