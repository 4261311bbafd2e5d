/** What both parties must agree on, compared field by field before any item moves. */
import { createHash } from "node:crypto";
import { labels, lengthPrefixed } from "@vivarium/core";
import { PsiError } from "./errors.ts";
import { psiLimits } from "./limits.ts";

export type PsiRole = "receiver" | "sender";

/** One key column as both parties name it. */
export interface PsiKeyColumn {
  readonly name: string;
  /** Canonical names of the normalisers with their versions, from left to right. */
  readonly normalise: readonly string[];
}

/** The same shape as `describeKeys` of `@vivarium/tables` gives. */
export interface PsiKeys {
  /** Name and version of the encoding of a key to bytes. */
  readonly encoding: string;
  readonly columns: readonly PsiKeyColumn[];
}

export type PsiProtocol = "ecdh" | "attested";

export type PsiMode = "intersection" | "cardinality" | "labels" | "sum";

export interface PsiConfig {
  /**
   * What keeps the sets apart: `ecdh` (default), cryptography; `attested`, the TEE of the peer alone,
   * for many times the speed.
   */
  readonly protocol?: PsiProtocol;
  /**
   * What is learned: which items are common, or only how many; or of common items what the sender attached
   * to them: its labels, or the sum of its numbers.
   */
  readonly mode: PsiMode;
  /** Who learns it. */
  readonly resultTo: "receiver" | "both";
  readonly keys: PsiKeys;
  /** Distinct items either side may bring at most, 1 to 100,000,000. */
  readonly maxItems: number;
  /** Distinct items either side must bring at least: a set of one item is a question about it. */
  readonly minItems: number;
  /** Of mode `labels`: names of the columns, as both parties call them, and most bytes of a label. */
  readonly labels?: { readonly columns: readonly string[]; readonly maxBytes: number };
  /**
   * Of mode `sum`: name of the column, decimals of its numbers (0 to 9), and the least number of common
   * items with which there is a result.
   */
  readonly sum?: {
    readonly column: string;
    readonly decimals: number;
    readonly minMatches: number;
  };
}

/** Field paths and values, in a fixed order: the canonical form of a configuration. */
export type ConfigFields = readonly (readonly [path: string, value: string])[];

/** @throws PsiError `invalid-argument` naming the field. */
export function configFields(config: PsiConfig): ConfigFields {
  const protocol = protocolOf(config);
  requireOneOf("protocol", protocol, ["ecdh", "attested"]);
  requireOneOf("mode", config.mode, ["intersection", "cardinality", "labels", "sum"]);
  requireOneOf("resultTo", config.resultTo, ["receiver", "both"]);
  requireCount("maxItems", config.maxItems, 1, psiLimits.maxItems);
  requireCount("minItems", config.minItems, 0, config.maxItems);
  requireName("keys.encoding", config.keys.encoding);
  requireCount("keys.columns", config.keys.columns.length, 1, psiLimits.maxKeyColumns);
  const fields: [string, string][] = [
    ["protocol", protocol],
    ["mode", config.mode],
    ["resultTo", config.resultTo],
    ["maxItems", String(config.maxItems)],
    ["minItems", String(config.minItems)],
    ["keys.encoding", config.keys.encoding],
    ["keys.columns", String(config.keys.columns.length)],
  ];
  for (const [i, column] of config.keys.columns.entries()) {
    const path = `keys.columns[${i}]`;
    requireName(`${path}.name`, column.name);
    requireCount(`${path}.normalise`, column.normalise.length, 0, psiLimits.maxKeyColumns);
    for (const name of column.normalise) requireName(`${path}.normalise`, name);
    fields.push([`${path}.name`, column.name]);
    fields.push([`${path}.normalise`, column.normalise.join(" → ") || "none"]);
  }
  fields.push(...payloadFields(config));
  return fields;
}

/** Modes with payloads are the receiver's alone, and by the curve. */
function payloadFields(config: PsiConfig): [string, string][] {
  const { mode, labels, sum } = config;
  if ((labels !== undefined) !== (mode === "labels") || (sum !== undefined) !== (mode === "sum")) {
    throw new PsiError(
      "invalid-argument",
      "Mode labels needs labels, mode sum needs sum, others neither.",
    );
  }
  if (labels === undefined && sum === undefined) return [];
  requireOneOf("resultTo", config.resultTo, ["receiver"]);
  requireOneOf("protocol", protocolOf(config), ["ecdh"]);
  if (labels !== undefined) {
    requireCount("labels.columns", labels.columns.length, 1, psiLimits.maxLabelColumns);
    for (const name of labels.columns) requireName("labels.columns", name);
    requireCount("labels.maxBytes", labels.maxBytes, 1, psiLimits.maxLabelBytes);
    return [
      ["labels.columns", JSON.stringify(labels.columns)],
      ["labels.maxBytes", String(labels.maxBytes)],
    ];
  }
  const { column, decimals, minMatches } = sum as NonNullable<PsiConfig["sum"]>;
  requireName("sum.column", column);
  requireCount("sum.decimals", decimals, 0, psiLimits.maxDecimals);
  requireCount("sum.minMatches", minMatches, 1, psiLimits.maxItems);
  return [
    ["sum.column", column],
    ["sum.decimals", String(decimals)],
    ["sum.minMatches", String(minMatches)],
  ];
}

/** True in the modes in which the sender attaches something to its items. */
export function hasPayload({ mode }: Pick<PsiConfig, "mode">): boolean {
  return mode === "labels" || mode === "sum";
}

export function protocolOf(config: PsiConfig): PsiProtocol {
  return config.protocol ?? "ecdh";
}

/** SHA-256 of the canonical form. */
export function configDigest(config: PsiConfig): Uint8Array<ArrayBuffer> {
  const parts = configFields(config).flat();
  const framed = lengthPrefixed(labels.config, "psi", ...parts);
  return new Uint8Array(createHash("sha256").update(framed).digest());
}

/** @throws PsiError `config-mismatch` that names every field that differs, with both values. */
export function requireSameConfig(own: ConfigFields, peer: ConfigFields): void {
  const ours = new Map(own);
  const theirs = new Map(peer);
  const differences: string[] = [];
  for (const path of new Set([...ours.keys(), ...theirs.keys()])) {
    const [mine, other] = [ours.get(path), theirs.get(path)];
    if (mine !== other) {
      differences.push(`${shown(path)}: ${shown(mine)} here, ${shown(other)} at the peer`);
    }
  }
  if (differences.length > 0 || own.length !== peer.length) {
    throw new PsiError("config-mismatch", `The configurations differ. ${differences.join("; ")}.`);
  }
}

/** A peer's text, bounded and without control characters, so that it cannot forge log lines. */
function shown(text: string | undefined): string {
  return text === undefined ? "absent" : JSON.stringify(text.slice(0, 100));
}

function requireOneOf(field: string, value: string, allowed: readonly string[]): void {
  if (!allowed.includes(value)) {
    throw new PsiError("invalid-argument", `${field} must be one of ${allowed.join(", ")}.`);
  }
}

function requireCount(field: string, value: number, min: number, max: number): void {
  if (!Number.isSafeInteger(value) || value < min || value > max) {
    throw new PsiError("invalid-argument", `${field} must be ${min} to ${max}.`);
  }
}

function requireName(field: string, value: string): void {
  // One text per value: "→" and spaces join normalisers above.
  if (value.length === 0 || value.length > psiLimits.maxNameChars || value.includes("→")) {
    throw new PsiError("invalid-argument", `${field} must have 1 to 256 characters, without "→".`);
  }
}
