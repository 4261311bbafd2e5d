/** Configuration of `psi run`: one YAML file per party. */
import { dirname, relative, resolve } from "node:path";
import type { EvidenceSource } from "../evidence/source.ts";
import { type Endpoint, parseEndpoint } from "./endpoint.ts";
import { type PsiDocument, psiSchema } from "./psi-schema.ts";
import { validate } from "./validate.ts";
import { loadYaml, type Problem, problemsError, type YamlSource } from "./yaml.ts";

/** A configuration that has passed every check; paths are absolute. */
export interface PsiConfig {
  readonly role: "receiver" | "sender";
  readonly identity: string | undefined;
  readonly policy: string;
  /** This side waits for the peer, or goes to it. */
  readonly network:
    | { readonly listen: Endpoint; readonly connect?: never }
    | { readonly connect: Endpoint; readonly listen?: never };
  /** How this side proves itself. */
  readonly evidence: EvidenceSource;
  readonly tpm: string | undefined;
  /** Files that the peer's evidence is verified with. */
  readonly collateral: readonly string[];
  readonly input: PsiDocument["input"];
  readonly output: PsiDocument["output"] | undefined;
  readonly protocol: "ecdh" | "attested";
  readonly mode: PsiDocument["mode"];
  readonly labels: PsiDocument["labels"];
  readonly sum: PsiDocument["sum"];
  readonly resultTo: "receiver" | "both";
  /** Undefined: no agreement beyond the protocol's own limits. */
  readonly minItems: number | undefined;
  readonly maxItems: number | undefined;
  readonly receipt: string;
  /** Absolute. */
  readonly checkpoint: { readonly directory: string; readonly key: string } | undefined;
  readonly timeoutMs: number;
  readonly metrics: Endpoint | undefined;
}

const defaultTimeoutSeconds = 3_600;

/** @throws CliError `invalid-config`, listing every problem with file, line, column and field. */
export async function loadPsiConfig(path: string): Promise<PsiConfig> {
  return psiConfig(await loadYaml(path, "configuration"), dirname(path));
}

/** @param directory absolute; relative paths in the document start there. */
export function psiConfig(source: YamlSource, directory: string): PsiConfig {
  const checked = validate(psiSchema, source.value);
  if (!checked.ok) throw problemsError(source, checked.problems);
  const document = checked.value;
  const problems: Problem[] = [];
  const endpoint = (field: "listen" | "connect" | "metrics"): Endpoint | undefined => {
    const written = document[field];
    const parsed = written === undefined ? undefined : parseEndpoint(written, field !== "connect");
    if (typeof parsed === "string") problems.push({ path: [field], message: parsed });
    return typeof parsed === "object" ? parsed : undefined;
  };
  const listen = endpoint("listen");
  const connect = endpoint("connect");
  const metrics = endpoint("metrics");
  const path = (written: string): string => resolve(directory, written);
  problems.push(...crossCheck(document, path));
  if (problems.length > 0) throw problemsError(source, problems);
  return {
    role: document.role,
    identity: document.identity,
    policy: path(document.policy),
    network: listen === undefined ? { connect: connect as Endpoint } : { listen },
    evidence: document.evidence,
    tpm: document.tpm,
    collateral: (document.collateral ?? []).map(path),
    input: { ...document.input, path: path(document.input.path) },
    output:
      document.output === undefined
        ? undefined
        : { ...document.output, path: path(document.output.path) },
    protocol: document.protocol ?? "ecdh",
    mode: document.mode,
    labels: document.labels,
    sum: document.sum,
    resultTo: document.resultTo,
    minItems: document.minItems,
    maxItems: document.maxItems,
    receipt: path(document.receipt),
    checkpoint:
      document.checkpoint === undefined
        ? undefined
        : {
            directory: path(document.checkpoint.directory),
            key: path(document.checkpoint.key),
          },
    timeoutMs: 1000 * (document.timeoutSeconds ?? defaultTimeoutSeconds),
    metrics,
  };
}

function crossCheck(document: PsiDocument, path: (written: string) => string): readonly Problem[] {
  const problems: Problem[] = [];
  const problem = (field: Problem["path"], message: string) =>
    problems.push({ path: field, message });

  if (document.listen === undefined && document.connect === undefined) {
    problem(["listen"], "is required, or connect: one side listens, the other connects");
  }
  if (document.listen !== undefined && document.connect !== undefined) {
    problem(["connect"], "cannot be given together with listen");
  }
  const learns = document.role === "receiver" || document.resultTo === "both";
  const writes = learns && (document.mode === "intersection" || document.mode === "labels");
  if (writes && document.output === undefined) {
    problem(["output"], "is required: this party learns the intersection");
  }
  if (!writes && document.output !== undefined) {
    problem(
      ["output"],
      learns
        ? `must be absent: in mode ${document.mode} there are no rows to write`
        : "must be absent: the result goes to the receiver only",
    );
  }
  for (const mode of ["labels", "sum"] as const) {
    const given = document[mode] !== undefined;
    if (document.mode === mode && !given) problem([mode], `is required in mode ${mode}`);
    if (document.mode !== mode && given) problem([mode], `has a meaning in mode ${mode} only`);
  }
  if (document.mode === "labels" || document.mode === "sum") {
    if (document.resultTo !== "receiver") {
      problem(["resultTo"], `must be receiver in mode ${document.mode}`);
    }
    if (document.protocol === "attested") {
      problem(["protocol"], `must be ecdh in mode ${document.mode}`);
    }
    if (document.checkpoint !== undefined) {
      problem(["checkpoint"], `has no meaning in mode ${document.mode}: such a run begins anew`);
    }
  }
  if (document.checkpoint !== undefined) {
    const { directory, key } = document.checkpoint;
    // A key beside what it seals seals nothing.
    if (!relative(path(directory), path(key)).startsWith("..")) {
      problem(["checkpoint", "key"], "must not lie in the directory of the checkpoint");
    }
    if (document.protocol === "attested") {
      problem(["checkpoint"], "has no meaning for protocol attested: such a run begins anew");
    }
  }
  const { format, delimiter } = document.input;
  if (delimiter !== undefined && (format === "parquet" || format === "jsonl")) {
    problem(["input", "delimiter"], `has no meaning for ${format}`);
  }
  if (document.input.header !== undefined && (format === "parquet" || format === "jsonl")) {
    problem(["input", "header"], `has no meaning for ${format}`);
  }
  const { minItems = 0, maxItems = minItems } = document;
  if (minItems > maxItems) problem(["minItems"], `is more than maxItems, ${maxItems}`);
  document.input.keys.forEach((item, i) => {
    if (item.as !== undefined && item.as.length !== item.columns.length) {
      problem(["input", "keys", i, "as"], "must have one name for each of columns");
    }
    const isPhone = item.normalise.includes("e164");
    const field = ["input", "keys", i, "region"] as const;
    if (isPhone && item.region === undefined) problem(field, "is required for e164");
    if (!isPhone && item.region !== undefined) problem(field, "has no meaning without e164");
  });

  // Writing over an input would destroy a party's data at the end of a run.
  const used = new Map<string, string>([
    [path(document.input.path), "input.path"],
    [path(document.policy), "policy"],
  ]);
  const written: [Problem["path"], string][] = [[["receipt"], document.receipt]];
  if (document.output !== undefined) written.push([["output", "path"], document.output.path]);
  for (const [field, file] of written) {
    const other = used.get(path(file));
    if (other !== undefined) problem(field, `is the same file as ${other}`);
    used.set(path(file), field.join("."));
  }
  return problems;
}
