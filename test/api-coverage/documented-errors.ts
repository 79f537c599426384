/**
 * The error codes that the services document (test/fixtures/documented-errors.json: those of the models' enumerations and
 * error lists; for Storage Gateway with the operations in scope for which its guide names them), and for each that no test
 * provokes the reason why.
 */
import { readFileSync } from "node:fs";

/** By service, by code: the operations for which it is documented, as far as that is said. */
export type DocumentedErrors = Readonly<Record<string, Readonly<Record<string, readonly string[]>>>>;

export function documentedErrors(): DocumentedErrors {
  const url = new URL("../fixtures/documented-errors.json", import.meta.url);
  return JSON.parse(readFileSync(url, "utf8")) as DocumentedErrors;
}

const TAPES = "of tape and file gateways, which are not built";
const ONE_PROCESS = "gateway and service are one process here: there is nothing between them that could fail";
const NO_KMS = "there is no KMS: what leaves the machine is encrypted under the vault's key";
const NO_QUEUE = "requests are not limited in their rate";
const TOO_MANY =
  "requests are not limited in their rate; too many blocks at once are refused without a reason";

/** Why a documented code is answered by nothing here. */
export const NOT_PROVOKED: Readonly<Record<string, Readonly<Record<string, string>>>> = {
  storagegateway: {
    AuthenticationFailure: TAPES,
    Blocked: TAPES,
    CannotExportSnapshot: "every completed snapshot can be made a volume of",
    ChapCredentialNotFound: "DeleteChapCredentials documents InitiatorNotFound for it",
    DuplicateCertificateInfo: "gateways have no certificates of their own",
    DuplicateSchedule: "UpdateSnapshotSchedule replaces the schedule that a volume has",
    EndpointNotFound: "gateways have no endpoints of their own",
    GatewayInternalError: `${ONE_PROCESS}; InternalError is answered`,
    GatewayProxyNetworkConnectionBusy: ONE_PROCESS,
    IAMNotSupported: TAPES,
    InvalidEndpoint: "gateways have no endpoints of their own",
    InvalidGateway: "GatewayNotFound is answered",
    InvalidSchedule:
      "what AWS's API can say of a schedule is good; the cron expressions of this gateway's own API are refused with it",
    JoinDomainInProgress: TAPES,
    LocalStorageLimitExceeded: "cache and upload buffer may be of any size",
    LunAlreadyAllocated: "every target has one LUN, 0",
    LunInvalid: "every target has one LUN, 0",
    MaximumContentLengthExceeded: "a request that is too long is refused before it is read (HTTP 413)",
    MaximumTapeCartridgeCountExceeded: TAPES,
    NetworkConfigurationChanged:
      "any address by which initiators reach the gateway is taken: it may be behind another",
    NotImplemented: "NotSupported is answered",
    OperationAborted: "operations are carried out whole, or not at all",
    OutdatedGateway: "gateway and service are one program, of one version",
    ParametersNotImplemented: "NotSupported is answered",
    RequestTimeout: "what could not be done in time is an InternalError",
    StagingAreaFull: "a full upload buffer slows its writers, and refuses nothing",
    StorageFailure:
      "answered where a volume's disk fails while it is made or attached; no test makes one fail at that moment",
    TapeCartridgeNotFound: TAPES,
    UnauthorizedOperation: "AccessDeniedException is answered, as for all of AWS's JSON services",
    VolumeAlreadyExists: "ids of volumes are made here; a target's name that is taken is TargetAlreadyExists",
    SnapshotInProgressException: "the same as SnapshotInProgress, which is answered",
  },
  ec2: {
    ConcurrentSnapshotLimitExceeded: "snapshots of a volume queue, however many they are",
    "InvalidSnapshot.InUse":
      "a snapshot can be deleted while volumes still read from it: they keep what they need",
    RequestLimitExceeded: NO_QUEUE,
    SnapshotLimitExceeded: "there may be any number of snapshots",
  },
  ebs: {
    "AccessDeniedException (DEPENDENCY_ACCESS_DENIED)": NO_KMS,
    "RequestThrottledException (ACCOUNT_THROTTLED)": TOO_MANY,
    "RequestThrottledException (DEPENDENCY_REQUEST_THROTTLED)": NO_KMS,
    "RequestThrottledException (RESOURCE_LEVEL_THROTTLE)": TOO_MANY,
    "ResourceNotFoundException (DEPENDENCY_RESOURCE_NOT_FOUND)": NO_KMS,
    "ResourceNotFoundException (GRANT_NOT_FOUND)": NO_KMS,
    "ResourceNotFoundException (IMAGE_NOT_FOUND)": "there are no images",
    "ServiceQuotaExceededException (DEPENDENCY_SERVICE_QUOTA_EXCEEDED)":
      "answered where the gateway's disk is full; provoked in unit tests only",
    "ValidationException (CONFLICTING_BLOCK_UPDATE)":
      "puts of one block at the same time come one after the other, and the last one stands",
    "ValidationException (INVALID_CONTENT_ENCODING)": "blocks are taken as they are",
    "ValidationException (INVALID_DEPENDENCY_REQUEST)": NO_KMS,
    "ValidationException (INVALID_GRANT_TOKEN)": NO_KMS,
    "ValidationException (INVALID_IMAGE_ID)": "there are no images",
    "ValidationException (WRITE_REQUEST_TIMEOUT)":
      "a block whose bytes stop coming is given up by HTTP's own limit",
  },
  dlm: {
    InternalServerException: "an internal error, which no request brings about",
  },
};
