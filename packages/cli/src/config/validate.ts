/** Plain values against TypeBox schemas, interpreted (`Value`): no code is generated at run time. */
import type { Static, TSchema } from "@sinclair/typebox";
import { Value, type ValueError, ValueErrorType } from "@sinclair/typebox/value";
import type { FieldPath, Problem } from "./yaml.ts";

/** Problems that are collected; a document of a million wrong fields is not worth listing. */
const maxProblems = 100;

/** The value with its type, or every problem, in the order of the document. */
export type Validated<T> =
  | { readonly ok: true; readonly value: T }
  | { readonly ok: false; readonly problems: readonly Problem[] };

export function validate<T extends TSchema>(schema: T, value: unknown): Validated<Static<T>> {
  if (Value.Check(schema, value)) return { ok: true, value };
  const problems = new Map<string, Problem>();
  for (const error of Value.Errors(schema, value)) {
    // A missing field is reported twice, as missing and as undefined of the wrong type.
    if (!problems.has(error.path)) {
      problems.set(error.path, { path: pathOf(value, error.path), message: explain(error) });
    }
    if (problems.size >= maxProblems) break;
  }
  return { ok: false, problems: [...problems.values()] };
}

/** From a JSON pointer (RFC 6901); whether `0` is an index is known from the value only. */
export function pathOf(root: unknown, pointer: string): FieldPath {
  const path: (string | number)[] = [];
  let current: unknown = root;
  for (const raw of pointer.split("/").slice(1)) {
    const part = raw.replaceAll("~1", "/").replaceAll("~0", "~");
    if (Array.isArray(current)) {
      path.push(Number(part));
      current = current[Number(part)];
    } else {
      path.push(part);
      current =
        typeof current === "object" && current !== null && Object.hasOwn(current, part)
          ? (current as Record<string, unknown>)[part]
          : undefined;
    }
  }
  return path;
}

function explain(error: ValueError): string {
  const { schema, value } = error;
  const { minItems, maxItems, maxLength, minimum, maximum, title, pattern } = schema;
  switch (error.type) {
    case ValueErrorType.ObjectRequiredProperty:
      return "is required";
    case ValueErrorType.ObjectAdditionalProperties:
      return "is not a known field";
    case ValueErrorType.ArrayMinItems:
      return `needs at least ${minItems} entries`;
    case ValueErrorType.ArrayMaxItems:
      return `has more than ${maxItems} entries`;
    case ValueErrorType.ArrayUniqueItems:
      return "has the same entry twice";
    case ValueErrorType.StringMinLength:
      return "must not be empty";
    case ValueErrorType.StringMaxLength:
      return `is longer than ${maxLength} characters`;
    case ValueErrorType.StringPattern:
      return `must be ${title ?? `text of the form ${pattern}`}`;
    case ValueErrorType.NumberMinimum:
    case ValueErrorType.IntegerMinimum:
      return `must be at least ${minimum}, is ${shown(value)}`;
    case ValueErrorType.NumberMaximum:
    case ValueErrorType.IntegerMaximum:
      return `must be at most ${maximum}, is ${shown(value)}`;
    case ValueErrorType.Union:
    case ValueErrorType.Literal:
      return `must be ${choices(schema)}, is ${shown(value)}`;
    default:
      return `must be ${kind(schema)}, is ${shown(value)}`;
  }
}

function choices(schema: TSchema): string {
  const { anyOf } = schema;
  const options = (anyOf as readonly TSchema[] | undefined) ?? [schema];
  const values = options.map(({ const: value, ...option }) =>
    value === undefined ? kind(option as TSchema) : String(value),
  );
  return values.length === 1 ? (values[0] as string) : `one of ${values.join(", ")}`;
}

const kinds: Readonly<Record<string, string>> = {
  string: "text",
  integer: "a whole number",
  number: "a number",
  boolean: "true or false",
  array: "a list",
  object: "a mapping",
};

function kind(schema: TSchema): string {
  const { type } = schema as { readonly type?: unknown };
  return (typeof type === "string" ? kinds[type] : undefined) ?? "of another type";
}

/** Short, and without content that could be private: text only if it looks like a keyword. */
function shown(value: unknown): string {
  if (value === null) return "empty";
  if (typeof value === "string") return /^[\w.:-]{1,40}$/.test(value) ? value : "other text";
  if (typeof value === "number" || typeof value === "boolean") return String(value);
  if (Array.isArray(value)) return "a list";
  return value === undefined ? "absent" : "a mapping";
}
