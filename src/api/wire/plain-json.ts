/**
 * This gateway's own operations, for what AWS's API has no words for: JSON like AWS JSON 1.1, with `Sluicegate_20261101`
 * in the target header. Times are seconds since the Unix epoch, as there.
 */
import { Operations } from "../access.ts";
import type { OperationTable, RequestContext } from "../operation.ts";
import { checkTypes, parseObject, type WireAnswer, WireError } from "./json11.ts";
import { known, SLUICEGATE_MODEL, validate, validationMessage } from "./validator.ts";

const TARGET = /^Sluicegate_20261101\.(\w+)$/;
const CONTENT_TYPE = "application/x-amz-json-1.1";

export class PlainJsonProtocol<Services> {
  readonly #operations: Operations<Services>;
  readonly #services: Services;

  constructor(operations: OperationTable<Services>, services: Services) {
    this.#operations = new Operations(operations, "sluicegate");
    this.#services = services;
  }

  /** Whether a target header means one of these operations. */
  static isMeant(target: string): boolean {
    return TARGET.test(target);
  }

  /** Carries out one request whose signature was checked. Rejects only with what `answerJsonError` takes. */
  async answer(target: string, body: Buffer, context: RequestContext): Promise<WireAnswer> {
    const name = TARGET.exec(target)?.[1] ?? "";
    const operation = this.#operations.find(name, context);
    if (operation === undefined)
      throw new WireError("UnknownOperationException", "The operation is not known.");
    const sent = parseObject(body);
    checkTypes(SLUICEGATE_MODEL, name, sent);
    const input = known(SLUICEGATE_MODEL, SLUICEGATE_MODEL.operations[name] ?? "", sent);
    const errors = validate(SLUICEGATE_MODEL, name, input);
    if (errors.length > 0) throw new WireError("ValidationException", validationMessage(errors));
    const output: unknown = await operation.handle(this.#services, input, context);
    return {
      status: 200,
      headers: { "content-type": CONTENT_TYPE, "x-amzn-requestid": context.requestId },
      body: JSON.stringify(output),
    };
  }
}
