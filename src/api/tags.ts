/** The rules for tags that the service models leave to their documentation. */
import { GatewayError } from "../gateway/errors.ts";

/** Of a resource. */
export const TAGS_MAX = 50;
const KEY_LENGTH_MAX = 128;
const VALUE_LENGTH_MAX = 256;
const VISIBLE = /^[^\p{Cc}\p{Cs}\uFFFE\uFFFF]*$/u;
const CHARACTERS = /^[\p{L}\p{Z}\p{N}_.:/=+\-@]*$/u;

/** A tag as requests have it. */
export interface TagShape {
  readonly Key?: string | undefined;
  readonly Value?: string | undefined;
}

/**
 * The tags, checked: at most 50, each key once, keys of 1 to 128 and values of up to 256 characters, of letters,
 * spaces, numbers and `+ - = . _ : / @` (EC2 takes any that can be seen), no key beginning with `aws:`. Throws a GatewayError InvalidParameters.
 */
export function checkTags(
  tags: readonly TagShape[] | undefined,
  characters: "few" | "any" = "few",
): { key: string; value: string }[] {
  const checked = (tags ?? []).map(({ Key = "", Value = "" }) => ({ key: Key, value: Value }));
  if (checked.length > TAGS_MAX) throw invalid(`A resource has at most ${TAGS_MAX} tags.`);
  const keys = new Set<string>();
  for (const { key, value } of checked) {
    if (key === "" || key.length > KEY_LENGTH_MAX) throw invalid("A tag's key has 1 to 128 characters.");
    if (value.length > VALUE_LENGTH_MAX) throw invalid("A tag's value has at most 256 characters.");
    if (key.toLowerCase().startsWith("aws:")) throw invalid("Keys that begin with aws: are reserved.");
    if (characters === "any" && !(VISIBLE.test(key) && VISIBLE.test(value)))
      throw invalid("Tags have no control characters.");
    if (characters === "few" && !(CHARACTERS.test(key) && CHARACTERS.test(value))) {
      throw invalid("Tags are made of letters, spaces, numbers and + - = . _ : / @.");
    }
    if (keys.has(key)) throw invalid(`The tag key "${key}" is there twice.`);
    keys.add(key);
  }
  return checked;
}

function invalid(detail: string): GatewayError {
  return new GatewayError("InvalidParameters", detail);
}
