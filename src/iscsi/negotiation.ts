/**
 * The operational keys of a session and how each is settled (RFC 7143, 13): one table, one rule a key.
 */

/** What a login has settled. Lengths are bytes. */
export interface SessionParameters {
  headerDigest: boolean;
  dataDigest: boolean;
  initialR2T: boolean;
  immediateData: boolean;
  /** What the initiator takes in one data segment. */
  maxRecvDataSegmentLength: number;
  maxBurstLength: number;
  firstBurstLength: number;
  maxOutstandingR2T: number;
  maxConnections: number;
  errorRecoveryLevel: number;
  defaultTime2Wait: number;
  defaultTime2Retain: number;
}

/** What a data segment may hold on the way to us (our MaxRecvDataSegmentLength). */
export const RECV_DATA_SEGMENT_BYTES = 256 * 1024;
const BURST_BYTES_MAX = 16 * 1024 * 1024 - 1024;
const FIRST_BURST_BYTES = 256 * 1024;
/** RFC 7143 itself; 2 would be RFC 7144. */
const PROTOCOL_LEVEL = 1;
const TASK_REPORTING = "RFC3720";

/** The values before any negotiation (RFC 7143, 13). */
export function defaultParameters(): SessionParameters {
  return {
    headerDigest: false,
    dataDigest: false,
    initialR2T: true,
    immediateData: true,
    maxRecvDataSegmentLength: 8192,
    maxBurstLength: 262144,
    firstBurstLength: 65536,
    maxOutstandingR2T: 1,
    maxConnections: 1,
    errorRecoveryLevel: 0,
    defaultTime2Wait: 2,
    defaultTime2Retain: 20,
  };
}

type Rule = (value: string, parameters: SessionParameters) => string;
type NumberKey = {
  [K in keyof SessionParameters]: SessionParameters[K] extends number ? K : never;
}[keyof SessionParameters];
type BooleanKey = Exclude<keyof SessionParameters, NumberKey>;

const REJECT = "Reject";

function numeric(value: string, min: number, max: number): number | undefined {
  if (!/^(0[xX][0-9a-fA-F]{1,8}|[0-9]{1,10})$/.test(value)) return undefined;
  const number = Number(value);
  return number >= min && number <= max ? number : undefined;
}

function lower(key: NumberKey, min: number, max: number, ours: number): Rule {
  return (value, parameters) => {
    const theirs = numeric(value, min, max);
    if (theirs === undefined) return REJECT;
    parameters[key] = Math.min(theirs, ours);
    return String(parameters[key]);
  };
}

function higher(key: NumberKey, min: number, max: number, ours: number): Rule {
  return (value, parameters) => {
    const theirs = numeric(value, min, max);
    if (theirs === undefined) return REJECT;
    parameters[key] = Math.max(theirs, ours);
    return String(parameters[key]);
  };
}

function logical(key: BooleanKey, combine: (theirs: boolean) => boolean): Rule {
  return (value, parameters) => {
    if (value !== "Yes" && value !== "No") return REJECT;
    parameters[key] = combine(value === "Yes");
    return parameters[key] ? "Yes" : "No";
  };
}

function digest(key: "headerDigest" | "dataDigest"): Rule {
  return (value, parameters) => {
    const choice = value.split(",").find((name) => name === "None" || name === "CRC32C");
    if (choice === undefined) return REJECT;
    parameters[key] = choice === "CRC32C";
    return choice;
  };
}

/** Settled beforehand, whichever of the two the initiator wants. */
function settled(outcome: "Yes" | "No"): Rule {
  return (value) => (value === "Yes" || value === "No" ? outcome : REJECT);
}

/** Declared by each side for itself: we say ours, once, beside the answers. */
const DECLARED = "MaxRecvDataSegmentLength";

const RULES: Readonly<Record<string, Rule>> = {
  HeaderDigest: digest("headerDigest"),
  DataDigest: digest("dataDigest"),
  MaxConnections: lower("maxConnections", 1, 65535, 1),
  InitialR2T: logical("initialR2T", (theirs) => theirs),
  ImmediateData: logical("immediateData", (theirs) => theirs),
  MaxBurstLength: lower("maxBurstLength", 512, 16777215, BURST_BYTES_MAX),
  FirstBurstLength: lower("firstBurstLength", 512, 16777215, FIRST_BURST_BYTES),
  DefaultTime2Wait: higher("defaultTime2Wait", 0, 3600, 2),
  DefaultTime2Retain: lower("defaultTime2Retain", 0, 3600, 0),
  MaxOutstandingR2T: lower("maxOutstandingR2T", 1, 65535, 1),
  ErrorRecoveryLevel: lower("errorRecoveryLevel", 0, 2, 0),
  DataPDUInOrder: settled("Yes"),
  DataSequenceInOrder: settled("Yes"),
  // Withdrawn from the standard and still sent by old initiators; none of them may be called unknown (13.23).
  OFMarker: settled("No"),
  IFMarker: settled("No"),
  OFMarkInt: () => REJECT,
  IFMarkInt: () => REJECT,
  iSCSIProtocolLevel: (value) => {
    const theirs = numeric(value, 0, 31);
    return theirs === undefined ? REJECT : String(Math.min(theirs, PROTOCOL_LEVEL));
  },
  TaskReporting: (value) => (value.split(",").includes(TASK_REPORTING) ? TASK_REPORTING : REJECT),
  // For targets to say, or not before full feature phase.
  TargetAlias: () => REJECT,
  TargetAddress: () => REJECT,
  TargetPortalGroupTag: () => REJECT,
  SendTargets: () => REJECT,
};

/** Keys that name things and want no answer. */
const NAMING = new Set(["InitiatorName", "InitiatorAlias", "TargetName", "SessionType"]);

/** Whether the standard knows the key: where it has no place it is answered Reject, and never NotUnderstood (6.2). */
export function isKnownKey(key: string): boolean {
  return key === DECLARED || NAMING.has(key) || Object.hasOwn(RULES, key);
}

/**
 * Settles the initiator's offers one after the other; answers what the target says. `declare`: this is the first
 * exchange of the stage, in which the target states its own segment length.
 */
export function negotiate(
  offers: readonly (readonly [string, string])[],
  parameters: SessionParameters,
  declare: boolean,
): [string, string][] {
  const answers: [string, string][] = [];
  for (const [key, value] of offers) {
    if (NAMING.has(key)) continue;
    if (key === DECLARED) {
      const length = numeric(value, 512, 16777215);
      if (length === undefined) answers.push([key, REJECT]);
      else parameters.maxRecvDataSegmentLength = length;
      continue;
    }
    const rule = Object.hasOwn(RULES, key) ? RULES[key] : undefined;
    answers.push([key, rule === undefined ? "NotUnderstood" : rule(value, parameters)]);
  }
  // A key stands once in a text: where theirs was refused just now, they have to do without ours.
  if (declare && !answers.some(([key]) => key === DECLARED))
    answers.push([DECLARED, String(RECV_DATA_SEGMENT_BYTES)]);
  // FirstBurstLength must not exceed MaxBurstLength (13.14), in whichever order they were said.
  if (parameters.firstBurstLength > parameters.maxBurstLength) {
    parameters.firstBurstLength = parameters.maxBurstLength;
    const answer = answers.find(([key, value]) => key === "FirstBurstLength" && value !== REJECT);
    if (answer !== undefined) answer[1] = String(parameters.firstBurstLength);
  }
  return answers;
}
