/** From an unknown document to a {@link Policy}: everything wrong is named by its path, at once. */
import { Value } from "@sinclair/typebox/value";
import { type Crypto, labels, lengthPrefixed } from "@vivarium/core";
import { type CborValue, encodeCbor } from "./cbor.ts";
import { AttestationError } from "./errors.ts";
import type { Binding, EvidenceType, Isolation, Verifier } from "./evidence.ts";
import type { Policy, PolicyRecord } from "./policy.ts";
import { asPolicy, policySchema } from "./policy-schema.ts";

/** More than this many mistakes are not listed: the document is something else altogether. */
const maxProblems = 50;
const maxDepth = 8;
const maxNodes = 100_000;

/** Policies that this module has made: frozen, so that what was checked is what is applied. */
const parsed = new WeakSet<object>();

/**
 * Checks a document (from JSON, YAML or code) against the schema and the rules that a schema cannot
 * say. The result is a frozen copy.
 * @throws AttestationError `invalid-policy`, naming every bad field by its path.
 */
export function parsePolicy(document: unknown): Policy {
  if (typeof document === "object" && document !== null && parsed.has(document)) {
    return document as Policy;
  }
  const problems: string[] = [];
  const copy = plainCopy(document, "", 0, { nodes: 0 }, problems);
  if (problems.length === 0) problems.push(...schemaProblems(copy));
  if (problems.length === 0) problems.push(...contradictions(asPolicy(copy)));
  if (problems.length > 0) refuse(problems);
  const policy: Policy = deepFreeze(asPolicy(copy));
  parsed.add(policy);
  return policy;
}

/**
 * Holds a policy against the verifiers that will apply it: each record's type must have one, and
 * the record must pin enough of what that verifier measures.
 * @throws AttestationError `invalid-policy`, naming every bad field by its path.
 */
export function checkPolicy(policy: Policy, verifiers: readonly Verifier[]): void {
  const problems: string[] = [];
  for (const [path, record] of recordsOf(parsePolicy(policy))) {
    const verifier = verifiers.find(({ type }) => type === record.type);
    if (verifier === undefined) {
      problems.push(`${path}/type: no verifier for ${record.type} is registered`);
      continue;
    }
    if (verifier.needsRoot && record.root === undefined) {
      problems.push(`${path}/root: required for ${record.type}: name the trust anchor`);
    }
    const pinned = (name: string): boolean => Object.hasOwn(record.measurements, name);
    if (!verifier.pins.some((names) => names.length > 0 && names.every(pinned))) {
      const wanted = verifier.pins.map((names) => names.join(" and ")).join(", or ");
      problems.push(`${path}/measurements: ${record.type} needs at least ${wanted}`);
    }
  }
  if (problems.length > 0) refuse(problems);
}

/**
 * SHA-256 over the canonical form. Lists in which order means nothing (identities, allowed values,
 * TCB states) are sorted first, so that equal policies have equal digests.
 */
export async function policyDigest(
  crypto: Crypto,
  policy: Policy,
): Promise<Uint8Array<ArrayBuffer>> {
  const frozen = parsePolicy(policy);
  let framed = canonicalForms.get(frozen);
  if (framed === undefined) {
    framed = lengthPrefixed(labels.policy, encodeCbor(canonicalForm(frozen)));
    canonicalForms.set(frozen, framed);
  }
  return await crypto.digest("SHA-256", framed);
}

/** Of parsed policies, which are frozen: every handshake asks for the digest of the same one. */
const canonicalForms = new WeakMap<Policy, Uint8Array>();

/** Every record with its path in the document. */
export function* recordsOf(policy: Policy): Generator<readonly [string, PolicyRecord]> {
  for (const [role, { accept }] of Object.entries(policy.roles)) {
    for (const [index, record] of accept.entries()) {
      yield [`/roles/${role}/accept/${index}`, record];
    }
  }
}

function refuse(problems: readonly string[]): never {
  const shown = problems.slice(0, maxProblems);
  if (problems.length > shown.length) shown.push(`and ${problems.length - shown.length} more`);
  throw new AttestationError("invalid-policy", `The policy is refused:\n  ${shown.join("\n  ")}`, {
    findings: shown.map((problem) => ({
      rule: "policy.form",
      ok: false,
      expected: "a valid policy",
      actual: problem,
    })),
  });
}

/**
 * Data only: an accessor could give the checker one value and the appraiser another, and a class
 * instance or a prototype could lend a field that the document does not have.
 */
function plainCopy(
  value: unknown,
  path: string,
  depth: number,
  count: { nodes: number },
  problems: string[],
): unknown {
  if (++count.nodes > maxNodes || depth > maxDepth) {
    if (problems.length === 0) problems.push(`${path || "/"}: too large or nested too deeply`);
    return undefined;
  }
  if (value === null || ["string", "number", "boolean"].includes(typeof value)) return value;
  if (Array.isArray(value)) {
    return Array.from(value, (item: unknown, index) =>
      plainCopy(item, `${path}/${index}`, depth + 1, count, problems),
    );
  }
  const prototype: unknown = typeof value === "object" ? Object.getPrototypeOf(value) : undefined;
  if (prototype !== Object.prototype && prototype !== null) {
    problems.push(`${path || "/"}: expected plain data, got ${typeof value}`);
    return undefined;
  }
  const copy: Record<string, unknown> = {};
  const fields = Object.getOwnPropertyDescriptors(value as object);
  for (const [key, field] of Object.entries(fields)) {
    const at = `${path}/${key.slice(0, 64)}`;
    if (key === "__proto__") problems.push(`${at}: unknown field`);
    else if (!("value" in field)) problems.push(`${at}: expected data, got an accessor`);
    else copy[key] = plainCopy(field.value, at, depth + 1, count, problems);
  }
  return copy;
}

/** TypeBox's interpreter, never its compiler: workers run without code generation from strings. */
function schemaProblems(copy: unknown): string[] {
  const problems = new Map<string, string>();
  for (const error of Value.Errors(policySchema, copy)) {
    const path = error.path || "/";
    // One line a field: a missing one is reported again for its type.
    if (!problems.has(path)) problems.set(path, `${path}: ${reason(error)}`);
    if (problems.size > maxProblems) break;
  }
  return [...problems.values()];
}

function reason(error: {
  readonly message: string;
  readonly schema: object;
  value: unknown;
}): string {
  const { description } = error.schema as { readonly description?: string };
  const got =
    typeof error.value === "string"
      ? `, got text of ${error.value.length} characters`
      : typeof error.value === "number" || typeof error.value === "boolean"
        ? `, got ${error.value}`
        : "";
  return `${error.message}${got}${description === undefined ? "" : ` (${description})`}`;
}

type Nature = readonly [Isolation, readonly [Binding, ...Binding[]]];

/** The strongest binding stands first. */
export function natureOf(type: EvidenceType): Nature {
  return natures[type];
}

/** What separates a trust domain of each type from its host, and what its evidence can bind. */
const natures: Readonly<Record<EvidenceType, Nature>> = {
  sgx: ["tee", ["session", "key-only"]],
  tdx: ["tee", ["session", "key-only"]],
  snp: ["tee", ["session", "key-only"]],
  sev: ["tee", ["launch-secret"]],
  "sev-es": ["tee", ["launch-secret"]],
  csv: ["tee", ["session", "key-only"]],
  cca: ["tee", ["session", "key-only"]],
  tpm: ["none", ["session", "key-only"]],
  "az-snp-vtpm": ["tee", ["session", "key-only"]],
  "az-tdx-vtpm": ["tee", ["session", "key-only"]],
  nitro: ["tee", ["session", "key-only"]],
  simulated: ["simulated", ["session", "key-only"]],
};

/** A record that no evidence can satisfy is a mistake, best reported before the peer connects. */
function contradictions(policy: Policy): string[] {
  const problems: string[] = [];
  for (const [path, record] of recordsOf(policy)) {
    const [isolation, bindings] = natures[record.type];
    if (record.isolation !== isolation) {
      problems.push(
        `${path}/isolation: ${record.type} is "${isolation}", not "${record.isolation}"`,
      );
    }
    if (!bindings.includes(record.binding)) {
      problems.push(`${path}/binding: ${record.type} binds ${bindings.join(" or ")}`);
    }
  }
  return problems;
}

function deepFreeze<T>(value: T): T {
  if (typeof value === "object" && value !== null) {
    for (const item of Object.values(value)) deepFreeze(item);
    Object.freeze(value);
  }
  return value;
}

const sorted = (values: readonly string[]): readonly string[] => [...values].sort();

function mapOf(entries: Readonly<Record<string, CborValue>>): ReadonlyMap<string, CborValue> {
  return new Map(Object.entries(entries));
}

function canonicalForm(policy: Policy): CborValue {
  const roles = Object.entries(policy.roles).map(([name, role]): [string, CborValue] => [
    name,
    mapOf({ identities: sorted(role.identities), accept: role.accept.map(canonicalRecord) }),
  ]);
  return mapOf({ version: policy.version, name: policy.name, roles: new Map(roles) });
}

function canonicalRecord(record: PolicyRecord): CborValue {
  const measurements = Object.entries(record.measurements).map(
    ([name, values]): [string, CborValue] => [name, sorted(values)],
  );
  return mapOf({
    type: record.type,
    isolation: record.isolation,
    binding: record.binding,
    ...(record.root === undefined ? {} : { root: record.root }),
    measurements: new Map(measurements),
    minimumSvn: mapOf(record.minimumSvn),
    tcb: sorted(record.tcb),
    ...(record.allow === undefined ? {} : { allow: sorted(record.allow) }),
    ...(record.require === undefined ? {} : { require: mapOf(record.require) }),
    debug: record.debug,
    maxAgeSeconds: record.maxAgeSeconds,
  });
}
