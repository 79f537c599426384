/** Login Request and Login Response (RFC 7143, 11.12 and 11.13). */
import { AT, BHS_BYTES, RESPONSE } from "../bhs.ts";

export const STAGE = { security: 0, operational: 1, fullFeature: 3 } as const;

export interface LoginRequest {
  readonly immediate: boolean;
  readonly transit: boolean;
  readonly moreKeys: boolean;
  readonly currentStage: number;
  readonly nextStage: number;
  readonly versionMax: number;
  readonly versionMin: number;
  /** The 6 bytes of the initiator's session id. */
  readonly isid: Buffer;
  readonly tsih: number;
  readonly initiatorTaskTag: number;
  readonly cid: number;
  readonly cmdSN: number;
  readonly expStatSN: number;
}

const TRANSIT = 0x80;
const CONTINUE = 0x40;

export function decodeLoginRequest(bhs: Buffer): LoginRequest {
  const flags = bhs.readUInt8(1);
  return {
    immediate: (bhs.readUInt8(0) & 0x40) !== 0,
    transit: (flags & TRANSIT) !== 0,
    moreKeys: (flags & CONTINUE) !== 0,
    currentStage: (flags >> 2) & 0x03,
    nextStage: flags & 0x03,
    versionMax: bhs.readUInt8(2),
    versionMin: bhs.readUInt8(3),
    isid: Buffer.from(bhs.subarray(8, 14)),
    tsih: bhs.readUInt16BE(14),
    initiatorTaskTag: bhs.readUInt32BE(AT.initiatorTaskTag),
    cid: bhs.readUInt16BE(20),
    cmdSN: bhs.readUInt32BE(AT.cmdSN),
    expStatSN: bhs.readUInt32BE(AT.expStatSN),
  };
}

export interface LoginResponse {
  readonly transit: boolean;
  readonly moreKeys: boolean;
  readonly currentStage: number;
  readonly nextStage: number;
  readonly isid: Buffer;
  readonly tsih: number;
  readonly initiatorTaskTag: number;
  readonly statSN: number;
  readonly expCmdSN: number;
  readonly maxCmdSN: number;
  readonly status: number;
  readonly dataBytes: number;
}

/** Status class and detail (11.13.5). */
export const LOGIN_STATUS = {
  success: 0x0000,
  targetMovedTemporarily: 0x0101,
  initiatorError: 0x0200,
  authenticationFailure: 0x0201,
  forbidden: 0x0202,
  notFound: 0x0203,
  tooManyConnections: 0x0206,
  missingParameter: 0x0207,
  sessionTypeNotSupported: 0x0209,
  sessionDoesNotExist: 0x020a,
  invalidDuringLogin: 0x020b,
  serviceUnavailable: 0x0301,
  outOfResources: 0x0302,
  unsupportedVersion: 0x0205,
} as const;

export function encodeLoginResponse(response: LoginResponse): Buffer {
  const bhs = Buffer.alloc(BHS_BYTES);
  bhs[0] = RESPONSE.login;
  bhs[1] =
    (response.transit ? TRANSIT : 0) |
    (response.moreKeys ? CONTINUE : 0) |
    (response.currentStage << 2) |
    response.nextStage;
  bhs.writeUIntBE(response.dataBytes, 5, 3);
  response.isid.copy(bhs, 8, 0, 6);
  bhs.writeUInt16BE(response.tsih, 14);
  bhs.writeUInt32BE(response.initiatorTaskTag, AT.initiatorTaskTag);
  bhs.writeUInt32BE(response.statSN, AT.statSN);
  bhs.writeUInt32BE(response.expCmdSN, AT.expCmdSN);
  bhs.writeUInt32BE(response.maxCmdSN, AT.maxCmdSN);
  bhs.writeUInt16BE(response.status, 36);
  return bhs;
}
