/** JSON of the protocol: bounded, and in the one form that is hashed. */
import { fromUtf8 } from "@vivarium/core";
import { BrokerError } from "../errors.ts";

export type JsonObject = { readonly [name: string]: unknown };

const maxDepth = 16;

/** @throws BrokerError `malformed` unless it is one object, nested at most 16 deep. */
export function parseObject(bytes: Uint8Array): JsonObject {
  let value: unknown;
  try {
    const text = fromUtf8(bytes);
    requireDepth(text);
    value = JSON.parse(text);
  } catch (cause) {
    throw new BrokerError("malformed", "The request is not JSON.", { cause });
  }
  if (!isObject(value)) throw new BrokerError("malformed", "The request is not a JSON object.");
  return value;
}

/** Before parsing: a parser that recurses must not be led too deep. */
function requireDepth(text: string): void {
  let depth = 0;
  let quoted = false;
  for (let i = 0; i < text.length; i++) {
    const character = text[i];
    if (quoted) {
      if (character === "\\") i++;
      else if (character === '"') quoted = false;
    } else if (character === '"') quoted = true;
    else if (character === "{" || character === "[") {
      if (++depth > maxDepth) throw new BrokerError("limit-exceeded", "The JSON is too deep.");
    } else if (character === "}" || character === "]") depth--;
  }
}

export function isObject(value: unknown): value is JsonObject {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}

/**
 * Keys sorted, no white space: what CoCo's attestation service hashes of runtime data. @throws BrokerError
 * `malformed` for numbers, of which two writers may have two forms.
 */
export function canonicalJson(value: unknown): string {
  if (typeof value === "string" || typeof value === "boolean" || value === null) {
    return JSON.stringify(value);
  }
  if (Array.isArray(value)) return `[${value.map(canonicalJson).join(",")}]`;
  if (!isObject(value)) throw new BrokerError("malformed", "Runtime data holds text and objects.");
  const fields = Object.keys(value)
    .sort()
    .map((key) => `${JSON.stringify(key)}:${canonicalJson(value[key])}`);
  return `{${fields.join(",")}}`;
}
