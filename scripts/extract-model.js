// Takes the constraints out of an AWS service model (botocore's service-2.json): names, types, lengths, ranges,
// patterns, enums and required members, without a word of documentation. Of a REST service also where each member
// stands in a request and in an answer.
//
//   node scripts/extract-model.js PATH/service-2.json > src/api/model/NAME.json
import { readFileSync } from "node:fs";

const model = JSON.parse(readFileSync(process.argv[2], "utf8"));
const isRest = model.metadata.protocol.startsWith("rest-");
const shapes = {};

function take(name) {
  if (shapes[name] !== undefined) return;
  const shape = model.shapes[name];
  const out = { type: shape.type };
  shapes[name] = out;
  for (const key of ["min", "max", "pattern", "enum", "required"]) {
    if (shape[key] !== undefined) out[key] = shape[key];
  }
  if (isRest && shape.timestampFormat !== undefined) out.timestampFormat = shape.timestampFormat;
  const member = (value) => {
    take(value.shape);
    return value.shape;
  };
  if (shape.type === "structure") {
    out.members = Object.fromEntries(
      Object.entries(shape.members).map(([key, value]) => [key, member(value)]),
    );
    if (isRest) takePlaces(shape, out);
  }
  if (shape.type === "list") out.member = member(shape.member);
  if (shape.type === "map") {
    out.key = member(shape.key);
    out.value = member(shape.value);
  }
}

/** Members that are not in the JSON body: "uri", "querystring" or "header" and the name there, or "payload". */
function takePlaces(shape, out) {
  const places = Object.entries(shape.members)
    .filter(([, value]) => value.location !== undefined)
    .map(([key, value]) => [key, { in: value.location, name: value.locationName }]);
  if (shape.payload !== undefined) places.push([shape.payload, { in: "payload" }]);
  if (places.length > 0) out.places = Object.fromEntries(places);
}

const operations = {};
const rest = {};
for (const [name, { http, input, output }] of Object.entries(model.operations)) {
  operations[name] = input?.shape ?? null;
  if (input !== undefined) take(input.shape);
  if (!isRest) continue;
  if (output !== undefined) take(output.shape);
  rest[name] = {
    method: http.method,
    uri: http.requestUri,
    status: http.responseCode ?? 200,
    output: output?.shape ?? null,
  };
}
const sorted = Object.fromEntries(Object.entries(shapes).sort(([a], [b]) => (a < b ? -1 : 1)));
const result = { operations, ...(isRest && { rest }), shapes: sorted };
process.stdout.write(`${JSON.stringify(result, undefined, 1)}\n`);
