/** What an EAR token says of one peer, by the names of draft-ietf-rats-ear and AR4SI. */
import { type Static, Type } from "@sinclair/typebox";
import { Value } from "@sinclair/typebox/value";
import { fromBase64Url, toBase64Url } from "@vivarium/core";
import { AttestationError } from "./errors.ts";
import {
  type Claim,
  type EvidenceType,
  evidenceTypes,
  type Finding,
  type Isolation,
  type TcbStatus,
  tcbStatuses,
} from "./evidence.ts";
import { keyAlgorithm, keyPoint, spkiOf } from "./keys.ts";
import type { AttestationResult } from "./result.ts";

/** `eat_profile` of our tokens; a tag URI (RFC 4151). */
export const earProfile = "tag:github.com,2026:vivarium/ear#1";

/** What {@link parseEarContent} gives: the peer's appraisal, and the key that must be shown. */
export interface EarContent {
  readonly tee: EvidenceType;
  readonly isolation: Isolation;
  readonly role: string;
  readonly identity: string;
  readonly claims: Readonly<Record<string, Claim>>;
  readonly measurements: Readonly<Record<string, string>>;
  readonly tcb: { readonly status: TcbStatus; readonly advisories: readonly string[] };
  readonly findings: readonly Finding[];
  readonly policyDigest: string;
  readonly evidenceDigest: string;
  readonly statementDigest: string;
  readonly expiresAt: number;
  /** Key of `cnf`, SPKI DER. */
  readonly confirmed: Uint8Array;
}

const closed = { additionalProperties: false } as const;
const digest = Type.String({ pattern: "^[0-9a-f]{64}$" });
const short = Type.String({ maxLength: 256 });

const submodule = Type.Object(
  {
    "ear.status": short,
    "ear.trustworthiness-vector": Type.Record(short, Type.Integer({ minimum: -128, maximum: 127 })),
    "ear.appraisal-policy-id": digest,
    "ear.veraison.annotated-evidence": Type.Record(Type.String({ maxLength: 64 }), Type.Unknown()),
    "ear.vivarium.result": Type.Object(
      {
        tee: Type.Union(evidenceTypes.map((type) => Type.Literal(type))),
        isolation: Type.Union([
          Type.Literal("tee"),
          Type.Literal("none"),
          Type.Literal("simulated"),
        ]),
        role: short,
        identity: short,
        measurements: Type.Record(short, Type.String({ pattern: "^(?:[0-9a-f]{2}){1,64}$" })),
        tcb: Type.Object(
          {
            status: Type.Union(tcbStatuses.map((status) => Type.Literal(status))),
            advisories: Type.Array(short, { maxItems: 64 }),
          },
          closed,
        ),
        findings: Type.Array(
          Type.Object(
            {
              rule: short,
              ok: Type.Literal(true),
              expected: Type.String({ maxLength: 20_000 }),
              actual: Type.String({ maxLength: 20_000 }),
              source: Type.Optional(short),
              record: Type.Optional(Type.Integer({ minimum: 0 })),
            },
            closed,
          ),
          { maxItems: 256 },
        ),
        evidenceDigest: digest,
        statementDigest: digest,
        expiresAt: Type.Number({ minimum: 0, maximum: 8.64e15 }),
      },
      closed,
    ),
  },
  closed,
);

const payloadSchema = Type.Object({
  eat_profile: Type.Literal(earProfile),
  "ear.verifier-id": Type.Object({ developer: short, build: short }, closed),
  cnf: Type.Object(
    {
      jwk: Type.Object({ kty: short, crv: short, x: short, y: Type.Optional(short) }, closed),
    },
    closed,
  ),
  submods: Type.Object({ cpu0: submodule }, closed),
});

/** The JWK of a public key. @throws AttestationError `malformed` for another kind of key. */
export function confirmationKey(spki: Uint8Array): Readonly<Record<string, string>> {
  const point = keyPoint(spki);
  const algorithm = keyAlgorithm(spki);
  if (algorithm === "EdDSA") return { kty: "OKP", crv: "Ed25519", x: toBase64Url(point) };
  const half = point.length / 2;
  return {
    kty: "EC",
    crv: algorithm === "ES256" ? "P-256" : "P-384",
    x: toBase64Url(point.subarray(0, half)),
    y: toBase64Url(point.subarray(half)),
  };
}

/** The submodule of a result. */
export function renderEarContent(result: AttestationResult): object {
  return {
    "ear.status": status(result),
    "ear.trustworthiness-vector": trustworthiness(result),
    "ear.appraisal-policy-id": result.policyDigest,
    "ear.veraison.annotated-evidence": result.claims,
    "ear.vivarium.result": {
      tee: result.tee,
      isolation: result.isolation,
      role: result.role,
      identity: result.identity,
      measurements: result.measurements,
      tcb: result.tcb,
      findings: result.findings,
      evidenceDigest: result.evidenceDigest,
      statementDigest: result.statementDigest,
      expiresAt: result.expiresAt,
    },
  };
}

/** @throws AttestationError `malformed`, naming the field. */
export function parseEarContent(payload: unknown): EarContent {
  const error = Value.Errors(payloadSchema, payload).First();
  if (error !== undefined) {
    throw new AttestationError(
      "malformed",
      `The token's ${error.path} is wrong: ${error.message}.`,
    );
  }
  const { cnf, submods } = payload as Static<typeof payloadSchema>;
  const inner = submods.cpu0["ear.vivarium.result"];
  return {
    ...inner,
    // The schema's unions are built from these very lists.
    tee: inner.tee as EvidenceType,
    tcb: { status: inner.tcb.status as TcbStatus, advisories: inner.tcb.advisories },
    findings: inner.findings as readonly Finding[],
    claims: submods.cpu0["ear.veraison.annotated-evidence"] as Readonly<Record<string, Claim>>,
    policyDigest: submods.cpu0["ear.appraisal-policy-id"],
    confirmed: keyOf(cnf.jwk),
  };
}

/**
 * The summary must follow from the content: other software reads only the summary.
 * @throws AttestationError `malformed`, or `refused-by-policy` for a revoked TCB.
 */
export function requireConsistent(content: EarContent, payload: unknown): void {
  const { submods } = payload as Static<typeof payloadSchema>;
  if (content.tcb.status === "Revoked") {
    throw new AttestationError("refused-by-policy", "The token's TCB is revoked.");
  }
  const simulated = content.tee === "simulated";
  const vector = submods.cpu0["ear.trustworthiness-vector"];
  const wanted = trustworthiness(content);
  const same =
    Object.keys(vector).length === Object.keys(wanted).length &&
    Object.entries(wanted).every(([name, value]) => vector[name] === value);
  if (
    !same ||
    submods.cpu0["ear.status"] !== status(content) ||
    simulated !== (content.isolation === "simulated")
  ) {
    throw new AttestationError(
      "malformed",
      "The token's summary does not follow from its content.",
    );
  }
}

type Judged = Pick<EarContent, "isolation" | "tcb">;

/** AR4SI: hardware 2 is genuine, 32 genuine but unsafe; simulated hardware is never affirmed. */
function trustworthiness({ isolation, tcb }: Judged): Readonly<Record<string, number>> {
  const safe = isolation === "tee" && tcb.status === "UpToDate";
  return { "instance-identity": 2, executables: 2, hardware: safe ? 2 : 32 };
}

function status(judged: Judged): "affirming" | "warning" {
  return trustworthiness(judged)["hardware"] === 2 ? "affirming" : "warning";
}

function keyOf(jwk: Static<typeof payloadSchema>["cnf"]["jwk"]): Uint8Array {
  try {
    const x = fromBase64Url(jwk.x);
    const spki =
      jwk.kty === "OKP" && jwk.crv === "Ed25519" && jwk.y === undefined
        ? spkiOf("EdDSA", x)
        : jwk.kty === "EC" && jwk.y !== undefined && (jwk.crv === "P-256" || jwk.crv === "P-384")
          ? spkiOf(jwk.crv === "P-256" ? "ES256" : "ES384", x, fromBase64Url(jwk.y))
          : undefined;
    if (spki !== undefined) return spki;
  } catch (cause) {
    throw new AttestationError("malformed", "The token's cnf is not a public key.", { cause });
  }
  throw new AttestationError("malformed", "The token's cnf is of another kind of key.");
}
