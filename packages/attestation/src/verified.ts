/**
 * What a verifier returns is checked before it counts: a verifier that answers `true`, `1`, `{}` or
 * someone else's evidence has not verified anything (cczoo.md D14: +1 for "mismatch" was taken for
 * success).
 */
import { AttestationError } from "./errors.ts";
import {
  type Claim,
  type EvidenceType,
  type Finding,
  type Relaxation,
  tcbStatuses,
  type VerifiedEvidence,
} from "./evidence.ts";

/**
 * A frozen copy of a verifier's answer.
 * @throws AttestationError `not-genuine` if it does not have its form, is of another type of
 * evidence, or holds a finding that failed.
 */
export function requireVerified(type: EvidenceType, value: unknown): VerifiedEvidence {
  const answer = recordOf("answer", value);
  if (answer["type"] !== type) fail("type", `${type}`);
  const tcb = recordOf("tcb", answer["tcb"]);
  const status =
    tcbStatuses.find((known) => known === tcb["status"]) ?? fail("tcb.status", "a state");
  const findings = arrayOf("findings", answer["findings"]).map(findingOf);
  if (findings.some(({ ok }) => !ok)) {
    throw new AttestationError("not-genuine", "The verifier has failed findings.", { findings });
  }
  const issuedAt = answer["issuedAt"];
  return Object.freeze({
    type,
    claims: claimsOf(recordOf("claims", answer["claims"])),
    measurements: mapped("measurements", answer["measurements"], bytesOf),
    svn: mapped("svn", answer["svn"], (name, svn) =>
      Number.isSafeInteger(svn) && (svn as number) >= 0 ? (svn as number) : fail(name, "an SVN"),
    ),
    tcb: Object.freeze({
      status,
      advisories: arrayOf("tcb.advisories", tcb["advisories"]).map((advisory) =>
        textOf("tcb.advisories", advisory),
      ),
    }),
    relaxations: Object.freeze(arrayOf("relaxations", answer["relaxations"]).map(relaxationOf)),
    attributes: mapped("attributes", answer["attributes"], (name, value) =>
      typeof value === "boolean" ? value : fail(name, "a boolean"),
    ),
    debug: typeof answer["debug"] === "boolean" ? answer["debug"] : fail("debug", "a boolean"),
    reportData: bytesOf("reportData", answer["reportData"]),
    issuedAt: issuedAt === undefined ? undefined : timeOf("issuedAt", issuedAt),
    notAfter: timeOf("notAfter", answer["notAfter"]),
    isolation: member("isolation", answer["isolation"], ["tee", "none", "simulated"] as const),
    binding: member("binding", answer["binding"], [
      "session",
      "key-only",
      "launch-secret",
    ] as const),
    root: textOf("root", answer["root"]),
    findings: Object.freeze(findings),
  });
}

function fail(field: string, expected: string): never {
  throw new AttestationError("not-genuine", "The verifier gave no usable answer.", {
    findings: [
      { rule: "genuine", ok: false, expected: `${field}: ${expected}`, actual: "something else" },
    ],
  });
}

function recordOf(field: string, value: unknown): Readonly<Record<string, unknown>> {
  if (typeof value !== "object" || value === null || Array.isArray(value)) fail(field, "an object");
  return value as Readonly<Record<string, unknown>>;
}

function arrayOf(field: string, value: unknown): readonly unknown[] {
  return Array.isArray(value) ? value : fail(field, "an array");
}

function textOf(field: string, value: unknown): string {
  return typeof value === "string" ? value : fail(field, "text");
}

function bytesOf(field: string, value: unknown): Uint8Array {
  return value instanceof Uint8Array ? new Uint8Array(value) : fail(field, "bytes");
}

/** Milliseconds since the epoch that a `Date` can show. */
function timeOf(field: string, value: unknown): number {
  const ok = typeof value === "number" && Number.isFinite(value) && Math.abs(value) <= 8.64e15;
  return ok ? value : fail(field, "a time");
}

function member<Value extends string>(
  field: string,
  value: unknown,
  values: readonly Value[],
): Value {
  return values.find((known) => known === value) ?? fail(field, values.join(" or "));
}

function mapped<Value>(
  field: string,
  value: unknown,
  convert: (field: string, value: unknown) => Value,
): Readonly<Record<string, Value>> {
  const entries = Object.entries(recordOf(field, value)).map(([name, item]) => [
    name,
    convert(`${field}.${name}`, item),
  ]);
  return Object.freeze(Object.fromEntries(entries)) as Readonly<Record<string, Value>>;
}

function findingOf(value: unknown): Finding {
  const finding = recordOf("findings", value);
  const source = finding["source"];
  return {
    rule: textOf("findings.rule", finding["rule"]),
    // Exactly true: a truthy answer is not a passed rule.
    ok: finding["ok"] === true,
    expected: textOf("findings.expected", finding["expected"]),
    actual: textOf("findings.actual", finding["actual"]),
    ...(typeof source === "string" ? { source } : {}),
  };
}

function relaxationOf(value: unknown): Relaxation {
  const relaxation = recordOf("relaxations", value);
  const source = relaxation["source"];
  return {
    name: textOf("relaxations.name", relaxation["name"]),
    expected: textOf("relaxations.expected", relaxation["expected"]),
    actual: textOf("relaxations.actual", relaxation["actual"]),
    ...(typeof source === "string" ? { source } : {}),
  };
}

/** Claims are for people and logs; they must be plain JSON, and stay as they were. */
function claimsOf(claims: Readonly<Record<string, unknown>>): Readonly<Record<string, Claim>> {
  return recordOf("claims", frozenCopy(claims)) as Readonly<Record<string, Claim>>;
}

function frozenCopy(value: unknown): Claim {
  if (value === null || typeof value === "string" || typeof value === "boolean") return value;
  if (typeof value === "number" && Number.isFinite(value)) return value;
  if (Array.isArray(value)) return Object.freeze(value.map(frozenCopy));
  const plain = typeof value === "object" && Object.getPrototypeOf(value) === Object.prototype;
  if (!plain) return fail("claims", "plain JSON");
  // `fromEntries` defines its own properties: a claim named __proto__ stays a claim.
  const entries = Object.entries(value)
    .filter(([, item]) => item !== undefined)
    .map(([name, item]) => [name, frozenCopy(item)] as const);
  return Object.freeze(Object.fromEntries(entries));
}
