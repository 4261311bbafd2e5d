/** YAML files whose errors name file, line, column and field. */
import { isMap, isScalar, LineCounter, type Node, type Pair, parseDocument } from "yaml";
import { CliError } from "../errors/error.ts";
import { fileLimits, readText } from "../files.ts";

/** A place in a document, from its root: `["input", "keys", 0, "columns"]`. */
export type FieldPath = readonly (string | number)[];

/** What is wrong with one field. */
export interface Problem {
  readonly path: FieldPath;
  /** `must be one of receiver, sender`; no field name, no full stop. */
  readonly message: string;
}

export interface YamlSource {
  /** As the user wrote it, for messages. */
  readonly file: string;
  /** Plain JSON values. */
  readonly value: unknown;
  /** `file:line:column` of a field, or of the nearest parent that is there. */
  locate(path: FieldPath): string;
}

/** `invalid-config` for the user's own files, `invalid-file` for another party's. */
export type DocumentError = "invalid-config" | "invalid-file";

/** Problems that one message lists; the rest are counted. */
const maxListed = 5;

/**
 * @param what names the kind of file in messages.
 * @throws CliError `invalid-config` with line and column of the first syntax error.
 */
export async function loadYaml(
  path: string,
  what: string,
  options: { readonly code?: DocumentError; readonly maxBytes?: number } = {},
): Promise<YamlSource> {
  const text = await readText(path, what, options.maxBytes ?? fileLimits.config);
  return parseYaml(text, path, options.code);
}

/** @throws CliError of the given code. */
export function parseYaml(
  text: string,
  file: string,
  code: DocumentError = "invalid-config",
): YamlSource {
  const lineCounter = new LineCounter();
  const document = parseDocument(text, {
    lineCounter,
    prettyErrors: false,
    uniqueKeys: true,
    stringKeys: true,
    version: "1.2",
  });
  const at = (offset: number): string => {
    const { line, col } = lineCounter.linePos(offset);
    return `${file}:${Math.max(1, line)}:${Math.max(1, col)}`;
  };
  // Warnings are unknown tags and directives: a reader that ignores them reads another document.
  const problem = document.errors[0] ?? document.warnings[0];
  if (problem !== undefined) {
    throw new CliError(code, `${at(problem.pos[0])}: ${clean(problem.message)}`, {
      cause: problem,
    });
  }
  let value: unknown;
  try {
    // No aliases: nine lines of them can stand for a billion values.
    value = document.toJS({ maxAliasCount: 0 });
  } catch (cause) {
    throw hasAliases(file, code, cause);
  }
  return {
    file,
    value,
    locate: (path) => at(offsetOf(document.contents, path)),
  };
}

/** One error for all problems of a document. */
export function problemsError(
  source: YamlSource,
  problems: readonly Problem[],
  code: DocumentError = "invalid-config",
): CliError {
  const lines = problems
    .slice(0, maxListed)
    .map((problem) => `${source.locate(problem.path)}: ${describe(problem)}`);
  const rest = problems.length - lines.length;
  const more = rest > 0 ? `; and ${rest} more` : "";
  return new CliError(code, `${lines.join("; ")}${more}.`);
}

/** `input.keys[0].columns: must not be empty`. */
export function describe(problem: Problem): string {
  const field = fieldName(problem.path);
  return field === "" ? `the document ${problem.message}` : `${field}: ${problem.message}`;
}

/** `input.keys[0].columns`; empty for the root. */
export function fieldName(path: FieldPath): string {
  let name = "";
  for (const part of path) {
    if (typeof part === "number") name += `[${part}]`;
    else name += name === "" ? part : `.${part}`;
  }
  return name;
}

/** Start of the key (it is what the user looks for) or item; of the last parent that exists. */
function offsetOf(root: unknown, path: FieldPath): number {
  let node = root;
  let offset = (root as Node | null)?.range?.[0] ?? 0;
  for (const part of path) {
    if (isMap(node)) {
      const pair: Pair | undefined = node.items.find(
        (item) => isScalar(item.key) && String(item.key.value) === String(part),
      );
      if (pair === undefined) return offset;
      offset = (pair.key as Node).range?.[0] ?? offset;
      node = pair.value;
    } else {
      const items = (node as { items?: unknown[] } | null)?.items;
      const item = typeof part === "number" ? items?.[part] : undefined;
      if (item === undefined) return offset;
      offset = (item as Node).range?.[0] ?? offset;
      node = item;
    }
  }
  return offset;
}

function hasAliases(file: string, code: DocumentError, cause: unknown): CliError {
  return new CliError(code, `${file}: aliases (*name) are not allowed.`, { cause });
}

function clean(message: string): string {
  const line = message.split("\n")[0] as string;
  return /[.!?]$/.test(line) ? line : `${line}.`;
}
