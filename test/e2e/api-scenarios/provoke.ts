import { strict as assert } from "node:assert";
import { GATEWAY_ERRORS, type GatewayErrorCode } from "../../../src/gateway/errors.ts";
import type { CoverageRecorder } from "../../api-coverage/recorder.ts";
import type { GatewayProcess } from "../../clients/gateway.ts";
import { callJson } from "../../clients/signed-request.ts";

const CLASSES: Partial<Record<GatewayErrorCode, readonly [status: number, type: string]>> = {
  InternalError: [500, "InternalServerError"],
  ServiceUnavailable: [503, "ServiceUnavailableError"],
};

/** Sends a request of the Storage Gateway API as it is, and holds the answer to the error's class, status, code and text. */
export async function provokeGatewayError(
  gateway: GatewayProcess,
  coverage: CoverageRecorder,
  [operation, input, code]: readonly [operation: string, input: object, code: GatewayErrorCode],
): Promise<void> {
  const target = `StorageGateway_20130630.${operation}`;
  const { status, body } = await callJson(gateway.botoSettings(), target, input);
  const where = `${operation} ${JSON.stringify(input)}: ${JSON.stringify(body)}`;
  const [expectedStatus, type] = CLASSES[code] ?? [400, "InvalidGatewayRequestException"];
  assert.deepEqual([status, body.__type, body.error], [expectedStatus, type, { errorCode: code }], where);
  assert(body.message.startsWith(GATEWAY_ERRORS[code]), where);
  assert.equal(body.errorDetails, undefined);
  coverage.note("storagegateway", operation, "errors", code);
}
