// Takes the constraints out of an AWS service model (botocore's service-2.json): names, types, lengths, ranges,
// patterns, enums and required members, without a word of documentation.
//
//   node scripts/extract-model.js PATH/service-2.json > src/api/model/NAME.json
import { readFileSync } from "node:fs";

const model = JSON.parse(readFileSync(process.argv[2], "utf8"));
const shapes = {};

function take(name) {
  if (shapes[name] !== undefined) return;
  const shape = model.shapes[name];
  const out = { type: shape.type };
  shapes[name] = out;
  for (const key of ["min", "max", "pattern", "enum", "required"]) {
    if (shape[key] !== undefined) out[key] = shape[key];
  }
  const member = (value) => {
    take(value.shape);
    return value.shape;
  };
  if (shape.type === "structure") {
    out.members = Object.fromEntries(
      Object.entries(shape.members).map(([key, value]) => [key, member(value)]),
    );
  }
  if (shape.type === "list") out.member = member(shape.member);
  if (shape.type === "map") {
    out.key = member(shape.key);
    out.value = member(shape.value);
  }
}

const operations = {};
for (const [name, operation] of Object.entries(model.operations)) {
  operations[name] = operation.input?.shape ?? null;
  if (operation.input !== undefined) take(operation.input.shape);
}
const sorted = Object.fromEntries(Object.entries(shapes).sort(([a], [b]) => (a < b ? -1 : 1)));
process.stdout.write(`${JSON.stringify({ operations, shapes: sorted }, undefined, 1)}\n`);
