/**
 * Checks requests against the constraints of the service models: one table-driven validator for all operations.
 *
 * Members that a model does not know are passed over, as AWS does. Types are checked where the request is decoded.
 */
import dlmModel from "../model/dlm.json" with { type: "json" };
import ebsModel from "../model/ebs.json" with { type: "json" };
import ec2Model from "../model/ec2.json" with { type: "json" };
import sluicegateModel from "../model/sluicegate.json" with { type: "json" };
import storageGatewayModel from "../model/storage-gateway.json" with { type: "json" };

/** Where a member of a REST request or answer stands, when not in the JSON body; `name` is the one it has there. */
interface Place {
  readonly in: "uri" | "querystring" | "header" | "payload";
  readonly name?: string;
}

export interface Shape {
  readonly type: string;
  readonly min?: number;
  readonly max?: number;
  readonly pattern?: string;
  readonly enum?: readonly string[];
  readonly required?: readonly string[];
  readonly members?: Readonly<Record<string, string>>;
  readonly member?: string;
  readonly key?: string;
  readonly value?: string;
  readonly places?: Readonly<Record<string, Place>>;
  readonly timestampFormat?: string;
}

/** The constraints of one service. */
export interface ServiceModel {
  readonly operations: Readonly<Record<string, string | null>>;
  /** Of a REST service: method, path and status of each operation, and the shape of its answer. */
  readonly rest?: Readonly<
    Record<
      string,
      {
        readonly method: string;
        readonly uri: string;
        readonly status: number;
        readonly output: string | null;
      }
    >
  >;
  readonly shapes: Readonly<Record<string, Shape>>;
}

export const STORAGE_GATEWAY_MODEL: ServiceModel = storageGatewayModel as ServiceModel;
export const SLUICEGATE_MODEL: ServiceModel = sluicegateModel as ServiceModel;
export const EC2_MODEL: ServiceModel = ec2Model as ServiceModel;
export const DLM_MODEL: ServiceModel = dlmModel as ServiceModel;
export const EBS_MODEL: ServiceModel = ebsModel as ServiceModel;

/** What is said of a member that has to be there and is not. */
export const MISSING = "Member must not be null";

const ERRORS_MAX = 20;
const DEPTH_MAX = 16;
const patterns = new Map<string, RegExp>();

/** A constraint that a member breaks. */
export interface Broken {
  /** The member, as AWS names it in messages: `tags.1.member.key`. */
  readonly path: string;
  /** Such as `Member must have value less than or equal to 23`. */
  readonly constraint: string;
  /** Not for messages of services whose requests may hold secrets. */
  readonly value: unknown;
}

/** The constraints that the input of an operation breaks. */
export function broken(model: ServiceModel, operation: string, input: unknown): Broken[] {
  const errors: Broken[] = [];
  const shape = model.operations[operation];
  if (shape !== undefined && shape !== null) check(model, shape, input, "", errors, 0);
  return errors;
}

/** What is wrong with the input of an operation, in AWS's words, which are the same for most services. */
export function validate(model: ServiceModel, operation: string, input: unknown): string[] {
  return broken(model, operation, input).map(brokenMessage);
}

export function brokenMessage({ path, constraint }: Broken): string {
  return `Value at '${path}' failed to satisfy constraint: ${constraint}`;
}

/** The member as the model spells it, and list items by their numbers: `TagSpecifications.1.Tags`. */
export function memberOf({ path }: Broken): string {
  return path
    .split(".")
    .filter((part) => part !== "member")
    .map((part) => part.charAt(0).toUpperCase() + part.slice(1))
    .join(".");
}

/** The value with the members that the model knows, and no nulls. */
export function known(model: ServiceModel, shapeName: string, value: unknown): unknown {
  const shape: Shape | undefined = model.shapes[shapeName];
  if (value === undefined || value === null) return undefined;
  if (shape?.type === "list" && Array.isArray(value))
    return value.map((item) => known(model, shape.member ?? "", item));
  if (shape?.type !== "structure") return value;
  const members: Record<string, unknown> = {};
  for (const [name, member] of Object.entries(shape.members ?? {})) {
    const found = known(model, member, (value as Record<string, unknown>)[name]);
    if (found !== undefined) members[name] = found;
  }
  return members;
}

/** The message of a ValidationException. */
export function validationMessage(errors: readonly string[]): string {
  const noun = errors.length === 1 ? "error" : "errors";
  return `${errors.length} validation ${noun} detected: ${errors.join("; ")}`;
}

/** A model's pattern as a regular expression over the whole text. Throws for one that can't be one. */
export function compilePattern(pattern: string): RegExp {
  let compiled = patterns.get(pattern);
  if (compiled === undefined) {
    const source = pattern
      .replaceAll("\\A", "^")
      .replaceAll("\\z", "$")
      .replaceAll("\\Z", "$")
      .replaceAll("\\p{all}", "\\s\\S");
    compiled = regExp(`^(?:${source})$`);
    patterns.set(pattern, compiled);
  }
  return compiled;
}

/** The models are written for Java: a needless backslash is an error where JavaScript reads Unicode. */
function regExp(source: string): RegExp {
  try {
    return new RegExp(source, "u");
  } catch {
    // Without the u flag the backslash is harmless; such patterns name no Unicode classes.
    return new RegExp(source);
  }
}

function check(
  model: ServiceModel,
  shapeName: string,
  value: unknown,
  path: string,
  errors: Broken[],
  depth: number,
): void {
  const shape = model.shapes[shapeName];
  if (shape === undefined || value === undefined || value === null) return;
  if (errors.length >= ERRORS_MAX || depth > DEPTH_MAX) return;
  if (shape.type === "structure") checkStructure(model, shape, value, path, errors, depth);
  else if (shape.type === "list" && Array.isArray(value)) {
    checkSize(shape, value.length, value, path, errors);
    for (const [i, item] of value.entries()) {
      if (shape.member !== undefined)
        check(model, shape.member, item, `${path}.${i + 1}.member`, errors, depth + 1);
    }
  } else if (shape.type === "map" && typeof value === "object") {
    checkSize(shape, Object.keys(value).length, value, path, errors);
    for (const [key, item] of Object.entries(value)) {
      if (shape.key !== undefined) check(model, shape.key, key, `${path}.key`, errors, depth + 1);
      if (shape.value !== undefined)
        check(model, shape.value, item, `${path}.${key}.member`, errors, depth + 1);
    }
  } else if (typeof value === "string") checkText(shape, value, path, errors);
  else if (typeof value === "number") checkRange(shape, value, path, errors);
}

function checkStructure(
  model: ServiceModel,
  shape: Shape,
  value: unknown,
  path: string,
  errors: Broken[],
  depth: number,
): void {
  const members = value as Record<string, unknown>;
  for (const name of shape.required ?? []) {
    if (members[name] !== undefined && members[name] !== null) continue;
    report(errors, undefined, join(path, name), MISSING);
  }
  for (const [name, member] of Object.entries(shape.members ?? {})) {
    check(model, member, members[name], join(path, name), errors, depth + 1);
  }
}

function checkText(shape: Shape, value: string, path: string, errors: Broken[]): void {
  const length = [...value].length;
  if (shape.min !== undefined && length < shape.min) {
    report(errors, value, path, `Member must have length greater than or equal to ${shape.min}`);
  }
  if (shape.max !== undefined && length > shape.max) {
    report(errors, value, path, `Member must have length less than or equal to ${shape.max}`);
  }
  if (shape.pattern !== undefined && !compilePattern(shape.pattern).test(value)) {
    report(errors, value, path, `Member must satisfy regular expression pattern: ${shape.pattern}`);
  }
  if (shape.enum !== undefined && !shape.enum.includes(value)) {
    report(errors, value, path, `Member must satisfy enum value set: [${shape.enum.join(", ")}]`);
  }
}

function checkRange(shape: Shape, value: number, path: string, errors: Broken[]): void {
  if (shape.min !== undefined && value < shape.min) {
    report(errors, value, path, `Member must have value greater than or equal to ${shape.min}`);
  }
  if (shape.max !== undefined && value > shape.max) {
    report(errors, value, path, `Member must have value less than or equal to ${shape.max}`);
  }
}

function checkSize(shape: Shape, size: number, value: unknown, path: string, errors: Broken[]): void {
  if (shape.min !== undefined && size < shape.min) {
    report(errors, value, path, `Member must have length greater than or equal to ${shape.min}`);
  }
  if (shape.max !== undefined && size > shape.max) {
    report(errors, value, path, `Member must have length less than or equal to ${shape.max}`);
  }
}

function report(errors: Broken[], value: unknown, path: string, constraint: string): void {
  errors.push({ path, constraint, value });
}

/** AWS names members with a small first letter, an acronym in front as a whole (`volumeARN`, `kMSKey`). */
function join(path: string, name: string): string {
  const lower = name.charAt(0).toLowerCase() + name.slice(1);
  return path === "" ? lower : `${path}.${lower}`;
}
