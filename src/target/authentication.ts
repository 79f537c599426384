/**
 * The security stage of one login: what an initiator has to prove before it may go on (RFC 7143, 12 and 12.1).
 *
 * ```
 * I → T  AuthMethod=CHAP,None        T → I  AuthMethod=CHAP
 * I → T  CHAP_A=7,5                  T → I  CHAP_A=7 CHAP_I=… CHAP_C=…
 * I → T  CHAP_N CHAP_R               T → I  (admitted)
 *        CHAP_I CHAP_C               T → I  CHAP_N CHAP_R       where the initiator asks for the target's proof too
 * ```
 * An initiator that the target has no credential for is led through the same exchange and fails at its end: from outside
 * it can't be told which names are known.
 */
import {
  type ChapAlgorithm,
  chapResponse,
  chooseAlgorithm,
  decodeBinaryValue,
  encodeBinaryValue,
  isSameResponse,
} from "../iscsi/chap.ts";
import { LOGIN_STATUS } from "../iscsi/pdu/login.ts";
import type { Random } from "../platform/random.ts";
import type { ChapCredential } from "./directory.ts";

/**
 * The initiator has not proved what it has to, or what it says is not what is due: the standard wants the two told apart
 * by their status (RFC 7143, 12.1). The reason is for the log and holds no secret.
 */
export class AuthenticationFailure extends Error {
  override readonly name = "AuthenticationFailure";
  readonly status: number;
  constructor(reason: string, status: number = LOGIN_STATUS.authenticationFailure) {
    super(reason);
    this.status = status;
  }
}

function missing(key: string): AuthenticationFailure {
  return new AuthenticationFailure(`${key} is missing`, LOGIN_STATUS.missingParameter);
}

function malformed(reason: string): AuthenticationFailure {
  return new AuthenticationFailure(reason, LOGIN_STATUS.initiatorError);
}

type Keys = ReadonlyMap<string, string>;
type Answers = [key: string, value: string][];

/** Whom an initiator has to prove itself to, and as whom. */
export interface Claim {
  readonly initiatorName: string;
  readonly targetName: string;
  /** Undefined: the target admits others, but not this one. */
  readonly credential: ChapCredential | undefined;
}

export class Authentication {
  /** Undefined: the target asks for no proof. */
  readonly #claim: Claim | undefined;
  readonly #random: Random;
  #state: "method" | "algorithm" | "response" | "done" = "method";
  #algorithm: ChapAlgorithm | undefined;
  #identifier = 0;
  #challenge: Buffer = Buffer.alloc(0);

  constructor(claim: Claim | undefined, random: Random) {
    this.#claim = claim;
    this.#random = random;
  }

  /** Whether nothing more has to be proved. */
  get isDone(): boolean {
    return this.#claim === undefined || this.#state === "done";
  }

  /** The keys that belong here: no rule of the operational negotiation answers them. */
  static owns(key: string): boolean {
    return key === "AuthMethod" || key.startsWith("CHAP_");
  }

  /** Takes one whole text of the security stage; answers the target's keys. Throws an AuthenticationFailure. */
  step(keys: Keys): Answers {
    const method = keys.get("AuthMethod");
    if (method !== undefined) {
      const chosen = this.#chooseMethod(method.split(","));
      // Some do not wait for the method to be settled.
      return this.#state === "algorithm" && keys.has("CHAP_A")
        ? [...chosen, ...this.#challengeBy(keys)]
        : chosen;
    }
    if (this.#state === "algorithm") return this.#challengeBy(keys);
    if (this.#state === "response" && this.#claim !== undefined) return this.#check(keys, this.#claim);
    refuseChap(keys);
    // Nothing said: nothing answered, and no stage left.
    return [];
  }

  /** Takes what is said here of another stage's text: where nothing has to be proved, that is harmless. */
  late(keys: Keys): Answers {
    refuseChap(keys);
    const method = keys.get("AuthMethod");
    return method === undefined ? [] : this.#chooseMethod(method.split(","));
  }

  #chooseMethod(offered: readonly string[]): Answers {
    if (this.#state !== "method") throw new AuthenticationFailure("AuthMethod was said twice");
    const wanted = this.#claim === undefined ? "None" : "CHAP";
    if (!offered.includes(wanted)) {
      throw new AuthenticationFailure(
        this.#claim === undefined
          ? "the initiator insists on CHAP, and the target has no credentials"
          : "the target wants CHAP, and the initiator does not offer it",
      );
    }
    this.#state = this.#claim === undefined ? "done" : "algorithm";
    return [["AuthMethod", wanted]];
  }

  #challengeBy(keys: Keys): Answers {
    const list = keys.get("CHAP_A");
    if (list === undefined) throw missing("CHAP_A");
    const algorithm = chooseAlgorithm(list);
    if (algorithm === undefined) throw new AuthenticationFailure("no CHAP algorithm in common");
    this.#algorithm = algorithm;
    this.#identifier = this.#random.bytes(1).readUInt8(0);
    this.#challenge = this.#random.bytes(algorithm.bytes);
    this.#state = "response";
    return [
      ["CHAP_A", String(algorithm.number)],
      ["CHAP_I", String(this.#identifier)],
      ["CHAP_C", encodeBinaryValue(this.#challenge)],
    ];
  }

  #check(keys: Keys, claim: Claim): Answers {
    const algorithm = this.#algorithm;
    const name = keys.get("CHAP_N");
    const responseText = keys.get("CHAP_R");
    if (name === undefined) throw missing("CHAP_N");
    if (responseText === undefined) throw missing("CHAP_R");
    const response = decodeBinaryValue(responseText);
    if (algorithm === undefined || response === undefined) throw malformed("CHAP_R is no binary value");
    const { credential } = claim;
    // Without a credential the work is the same, with a secret that nobody has.
    const secret = credential?.secretToAuthenticateInitiator ?? this.#random.bytes(16).toString("hex");
    const expected = chapResponse(algorithm, this.#identifier, secret, this.#challenge);
    const isRight = isSameResponse(expected, response);
    if (credential === undefined) throw new AuthenticationFailure("the target has no credential for it");
    if (name.toLowerCase() !== claim.initiatorName.toLowerCase()) {
      throw new AuthenticationFailure("CHAP_N is not the initiator's name");
    }
    if (!isRight) throw new AuthenticationFailure("the secret is wrong");
    const answers = this.#answerChallenge(keys, claim, algorithm);
    this.#state = "done";
    return answers;
  }

  /** The other direction: only for one that has proved itself, and never for a challenge of our own. */
  #answerChallenge(keys: Keys, claim: Claim, algorithm: ChapAlgorithm): Answers {
    const identifierText = keys.get("CHAP_I");
    const challengeText = keys.get("CHAP_C");
    if (identifierText === undefined && challengeText === undefined) return [];
    if (identifierText === undefined) throw missing("CHAP_I");
    if (challengeText === undefined) throw missing("CHAP_C");
    const identifier = /^(0[xX][0-9a-fA-F]{1,2}|\d{1,3})$/.test(identifierText)
      ? Number(identifierText)
      : Number.NaN;
    const challenge = decodeBinaryValue(challengeText);
    if (challenge === undefined || !(identifier <= 255)) throw malformed("CHAP_I or CHAP_C is no value");
    if (challenge.equals(this.#challenge)) {
      throw new AuthenticationFailure("the initiator sent the target's challenge back");
    }
    const secret = claim.credential?.secretToAuthenticateTarget;
    if (secret === undefined) {
      throw new AuthenticationFailure("the initiator wants the target's proof, and it has no secret for it");
    }
    return [
      ["CHAP_N", claim.targetName],
      ["CHAP_R", encodeBinaryValue(chapResponse(algorithm, identifier, secret, challenge))],
    ];
  }
}

/** CHAP's keys where none is due. */
function refuseChap(keys: Keys): void {
  for (const key of keys.keys()) if (key.startsWith("CHAP_")) throw malformed(`${key} out of order`);
}
