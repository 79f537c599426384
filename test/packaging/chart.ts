/**
 * Renders the chart without Helm: the constructs of Go's templates and Sprig that it uses, and no others. What it does
 * not know is an error, so that the chart does not come to use more than is tested.
 */
import { strict as assert } from "node:assert";
import { stringify } from "yaml";

/** The objects `.Values`, `.Release` and `.Chart` of a rendering. */
export type Scope = Readonly<Record<string, unknown>>;

/** The text that Helm would make of the template. Throws for a construct that it does not know. */
export function render(template: string, scope: Scope): string {
  const whole = template.replaceAll(
    /[ \t]*\n?[ \t]*\{\{- with (\S+) \}\}([\s\S]*?)\n?[ \t]*\{\{- end \}\}/g,
    (_, path: string, body: string) => {
      const value = valueAt(path, scope);
      return value === undefined || value === ""
        ? ""
        : render(body.replaceAll("{{ . }}", String(value)), scope);
    },
  );
  return whole.replaceAll(
    /([ \t]*\n?[ \t]*)\{\{(-?) (.+?) \}\}/g,
    (_, blank: string, dash: string, text: string) => {
      const [first = "", ...pipes] = text.split(" | ");
      const [word = "", ...rest] = first.split(" ");
      let value =
        word === "toYaml" ? stringify(valueAt(rest[0] ?? "", scope)).trimEnd() : valueAt(first, scope);
      for (const pipe of pipes) value = piped(pipe, value, scope);
      return `${dash === "-" ? "" : blank}${String(value)}`;
    },
  );
}

function piped(pipe: string, value: unknown, scope: Scope): unknown {
  const [name, argument = ""] = pipe.split(" ");
  if (name === "quote") return JSON.stringify(String(value));
  if (name === "default") return value === undefined || value === "" ? valueAt(argument, scope) : value;
  if (name === "nindent") {
    const blank = " ".repeat(Number(argument));
    return `\n${blank}${String(value).replaceAll("\n", `\n${blank}`)}`;
  }
  throw new Error(`the chart's test does not know "${pipe}"`);
}

function valueAt(path: string, scope: Scope): unknown {
  assert.match(path, /^\.[A-Za-z.]+$/, `the chart's test does not know "${path}"`);
  let value: unknown = scope;
  for (const name of path.slice(1).split(".")) {
    assert(typeof value === "object" && value !== null && name in value, `there is no ${path}`);
    value = (value as Scope)[name];
  }
  return value;
}
