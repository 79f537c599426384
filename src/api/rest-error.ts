/** An error of a REST service: its type goes into a header, the rest into a JSON body. */
export class RestError extends Error {
  override readonly name = "RestError";
  /** Such as `ValidationException`. */
  readonly type: string;
  readonly httpStatus: number;
  /** Members of the error's shape beside its message, such as `Reason`. */
  readonly fields: Readonly<Record<string, unknown>>;

  constructor(
    type: string,
    httpStatus: number,
    message: string,
    fields: Readonly<Record<string, unknown>> = {},
  ) {
    super(message);
    this.type = type;
    this.httpStatus = httpStatus;
    this.fields = fields;
  }
}
