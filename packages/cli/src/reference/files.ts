/** Files of reference values, and where their values came from. */
import { AttestationError } from "@vivarium/attestation";
import {
  encodeReferences,
  parseReferences,
  type ReferenceRecord,
  type ReferenceSource,
  referenceLimits,
} from "@vivarium/attestation/reference";
import { fromUtf8, toHex } from "@vivarium/core";
import { nodeCrypto } from "@vivarium/core/node";
import type { Context } from "../command.ts";
import { CliError } from "../errors/error.ts";
import { readBounded, writeNew } from "../files.ts";

/** @throws CliError for a file that is no reference set. */
export async function readReferences(path: string): Promise<readonly ReferenceRecord[]> {
  const bytes = await readBounded(path, "reference set", referenceLimits.bytes);
  try {
    return parseReferences(bytes).references;
  } catch (cause) {
    if (!(cause instanceof AttestationError)) throw cause;
    throw new CliError("invalid-file", `The file ${path}: ${cause.message}`, { cause });
  }
}

export async function sourceOf(name: string, bytes: Uint8Array): Promise<ReferenceSource> {
  const sha256 = toHex(await nodeCrypto().digest("SHA-256", bytes));
  return { name: name.slice(0, 200), sha256 };
}

/** ISO 8601, UTC. */
export function instant(ms: number): string {
  return new Date(ms).toISOString();
}

/** Writes the set if there is a file to write it to. @returns its absolute path, or null. */
export async function writeReferences(
  context: Context,
  output: string | undefined,
  references: readonly ReferenceRecord[],
): Promise<string | null> {
  if (output === undefined) return null;
  const path = context.path(output);
  await writeNew(path, "reference set", fromUtf8(encodeReferences(references)));
  return path;
}

/** What a set is written under. @throws CliError `usage` for a file without a name of its content. */
export function nameFor(options: { readonly name?: string; readonly output?: string }): string {
  if (options.name === undefined && options.output !== undefined) {
    throw new CliError("usage", "--output needs --name: what the values are of.");
  }
  return nameOf(options.name ?? "unnamed");
}

/** @throws CliError `usage`. */
export function nameOf(text: string): string {
  if (text.length === 0 || text.length > 200) {
    throw new CliError("usage", "--name must have 1 to 200 characters.");
  }
  return text;
}

export function measurementLines(measurements: ReferenceRecord["measurements"]): readonly string[] {
  return Object.entries(measurements).map(
    ([name, values]) => `  ${name.padEnd(14)} ${values.join(" or ")}`,
  );
}

/** Plain data; its type only lacks the index signature of JSON. */
export function recordJson(record: ReferenceRecord): Readonly<Record<string, never>> {
  return JSON.parse(JSON.stringify(record)) as Readonly<Record<string, never>>;
}
