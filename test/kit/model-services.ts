/** The services by their models: how an operation is sent to each, whatever its input, and what each says of bad input. */
import { strict as assert } from "node:assert";
import { dlmOperations } from "../../src/api/dlm/index.ts";
import { ebsOperations } from "../../src/api/ebs/index.ts";
import { ec2Operations } from "../../src/api/ec2/index.ts";
import { sluicegateOperations } from "../../src/api/sluicegate/index.ts";
import { storageGatewayOperations } from "../../src/api/storage-gateway/index.ts";
import {
  DLM_MODEL,
  EBS_MODEL,
  EC2_MODEL,
  type ServiceModel,
  SLUICEGATE_MODEL,
  STORAGE_GATEWAY_MODEL,
} from "../../src/api/wire/validator.ts";
import type { RawAnswer, RawRequest } from "../clients/signed-request.ts";
import type { Violation } from "./model-cases.ts";
import { queryRequest, restRequest } from "./wire-requests.ts";

export interface ModelService {
  readonly name: string;
  readonly model: ServiceModel;
  readonly operations: readonly { readonly name: string }[];
  /** The request; undefined where the protocol can't say the input. */
  request(operation: string, input: unknown): Promise<RawRequest | undefined>;
  /** Whether the protocol tells this from good input: in a form everything is text. */
  shows(violation: Violation, operation: string): boolean;
  /** Holds the answer to what AWS answers for the violation. */
  check(violation: Violation, answer: RawAnswer): void;
  /** An error's code. Throws where the body is none of an error. */
  codeOf(answer: RawAnswer): string;
}

/** Of the reasons of the EBS direct API, those that name a member. */
const EBS_REASONS: Readonly<Record<string, string>> = {
  SnapshotId: "INVALID_SNAPSHOT_ID",
  FirstSnapshotId: "INVALID_SNAPSHOT_ID",
  SecondSnapshotId: "INVALID_SNAPSHOT_ID",
  ParentSnapshotId: "INVALID_SNAPSHOT_ID",
  BlockToken: "INVALID_BLOCK_TOKEN",
  NextToken: "INVALID_PAGE_TOKEN",
  BlockIndex: "INVALID_BLOCK",
  DataLength: "INVALID_BLOCK",
  VolumeSize: "INVALID_VOLUME_SIZE",
  KmsKeyArn: "INVALID_CUSTOMER_KEY",
  Tags: "INVALID_TAG",
};
const NOT_TEXT = ["integer", "long", "double", "boolean", "timestamp"];

function json(
  name: string,
  prefix: string,
  model: ServiceModel,
  operations: ModelService["operations"],
): ModelService {
  return {
    ...{ name, model, operations },
    async request(operation, input) {
      const body = typeof input === "string" ? input : JSON.stringify(input);
      const target = `${prefix}.${operation}`;
      return { headers: { "content-type": "application/x-amz-json-1.1", "x-amz-target": target }, body };
    },
    shows: () => true,
    check(violation, { status, text }) {
      const body = JSON.parse(text);
      const type = violation.kind === "type" ? "SerializationException" : "ValidationException";
      assert.deepEqual([status, body.__type, body.errorDetails], [400, type, undefined], text);
      assert(body.message.includes(sentence(violation)), text);
    },
    codeOf: ({ text }) => JSON.parse(text).__type,
  };
}

function rest(name: string, model: ServiceModel, operations: ModelService["operations"], type: string) {
  const service: ModelService = {
    ...{ name, model, operations },
    request: async (operation, input) => restRequest({ service: name, model }, operation, input),
    shows({ title: what, kind, shapeType, member }, operation) {
      const place = model.shapes[model.operations[operation] ?? ""]?.places?.[member];
      // A query has no empty lists.
      if (place?.in === "querystring" && shapeType === "list" && what.endsWith("too few")) return false;
      // A text in a path, a query or a header is a text; a body that is bytes is always there.
      if (kind === "type" && place !== undefined) return ["integer", "long"].includes(shapeType);
      return place?.in !== "payload";
    },
    check(violation, answer) {
      assert.deepEqual([answer.status, service.codeOf(answer)], [400, type], answer.text);
      const body = JSON.parse(answer.text);
      if (violation.kind !== "type") assert(body.Message.includes(sentence(violation)), answer.text);
      if (name === "dlm") {
        const isMissing = violation.kind === "missing";
        assert.equal(body.RequiredParameters?.length, isMissing ? 1 : undefined, answer.text);
        return;
      }
      // What can't be read as JSON of the right types is told of before its members are looked at.
      const isRead = violation.kind !== "type" || body.Reason !== "INVALID_PARAMETER_VALUE";
      if (isRead)
        assert.equal(body.Reason, EBS_REASONS[violation.member] ?? "INVALID_PARAMETER_VALUE", answer.text);
    },
    codeOf: ({ headers, text }) => {
      assert.equal(typeof JSON.parse(text).Message, "string");
      return headers.get("x-amzn-errortype") ?? "";
    },
  };
  return service;
}

const ec2: ModelService = {
  ...{ name: "ec2", model: EC2_MODEL, operations: ec2Operations },
  request: (operation, input) => queryRequest(operation, input),
  shows: ({ kind, shapeType }) => kind !== "type" || NOT_TEXT.includes(shapeType),
  check({ kind, member, constraint }, answer) {
    const code = kind === "missing" ? "MissingParameter" : "InvalidParameterValue";
    assert.deepEqual([answer.status, ec2.codeOf(answer)], [400, code], answer.text);
    const message = /<Message>([\s\S]*)<\/Message>/.exec(answer.text)?.[1] ?? "";
    if (kind === "missing") assert.match(message, /^The request must contain the parameter \w/);
    // A form names some lists in the singular.
    else assert(message.includes(member.replace(/s$/, "")), `${member}: ${message}`);
    if (kind === "constraint") assert(message.includes(constraint), `${constraint}: ${message}`);
  },
  codeOf({ text }) {
    assert.match(text, /^<\?xml[\s\S]*<Response><Errors><Error><Code>[\s\S]*<RequestID>[\w-]+<\/RequestID>/);
    return /<Code>([\w.]+)<\/Code>/.exec(text)?.[1] ?? "";
  },
};

function sentence({ path, constraint }: Violation): string {
  return constraint === "" ? "" : `Value at '${path}' failed to satisfy constraint: ${constraint}`;
}

export const MODEL_SERVICES: readonly ModelService[] = [
  json("storagegateway", "StorageGateway_20130630", STORAGE_GATEWAY_MODEL, storageGatewayOperations),
  json("sluicegate", "Sluicegate_20261101", SLUICEGATE_MODEL, sluicegateOperations),
  ec2,
  rest("ebs", EBS_MODEL, ebsOperations, "ValidationException"),
  rest("dlm", DLM_MODEL, dlmOperations, "InvalidRequestException"),
];

/** The violations of an operation that its service can be shown, each with its request. */
export async function shownViolations(
  service: ModelService,
  operation: string,
  all: readonly Violation[],
): Promise<{ violation: Violation; request: RawRequest }[]> {
  const shown: { violation: Violation; request: RawRequest }[] = [];
  for (const violation of all) {
    if (!service.shows(violation, operation)) continue;
    const request = await service.request(operation, violation.input);
    if (request !== undefined) shown.push({ violation, request });
  }
  return shown;
}
