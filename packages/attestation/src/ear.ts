/**
 * Passports: attestation results as EAR tokens (draft-ietf-rats-ear), signed by a verifier's key.
 * A token is worth nothing without its holder: it names the worker's key (`cnf`, RFC 7800), and the
 * holder signs the binding of the session in which it shows the token.
 */
import {
  type Clock,
  type Crypto,
  equalBytes,
  fromBase64Url,
  fromUtf8,
  labels,
  lengthPrefixed,
  type Signer,
  type SigningAlgorithm,
  toBase64Url,
  toHex,
  utf8,
} from "@vivarium/core";
import { importSPKI, type JWTPayload, jwtVerify } from "jose";
import {
  confirmationKey,
  type EarContent,
  earProfile,
  parseEarContent,
  renderEarContent,
  requireConsistent,
} from "./ear-content.ts";
import { AttestationError } from "./errors.ts";
import { fingerprint, keyAlgorithm } from "./keys.ts";
import { bindingBytes } from "./report-data.ts";
import { AttestationResult, constructResult } from "./result.ts";
import type { Revocations } from "./revocation.ts";
import { type Statement, statementDigest } from "./statement.ts";

/** Bounds of a token. */
export const maxEarBytes: number = 64 * 1024;

export interface IssueOptions {
  /** The verifier's key. */
  readonly signer: Signer;
  /** Who may accept the token. */
  readonly audience: string;
  /** Of the party that asked for the token, 8 to 64 bytes. */
  readonly nonce: Uint8Array;
  /** `ear.verifier-id`. */
  readonly developer: string;
  readonly build: string;
  readonly clock: Clock;
}

/**
 * Issues a token for a result of a verifier in this process. It ends when the result does.
 * @throws AttestationError `not-a-result` or `expired`; `malformed` for a nonce of another length.
 */
export async function issueEar(result: AttestationResult, options: IssueOptions): Promise<string> {
  const { signer, audience, nonce, developer, build, clock } = options;
  AttestationResult.requireValid(result, clock);
  if (nonce.length < 8 || nonce.length > 64 || audience === "") {
    throw new AttestationError("malformed", "A token needs an audience and a nonce of 8-64 bytes.");
  }
  const header = { alg: signer.algorithm, typ: "JWT" };
  const payload = {
    eat_profile: earProfile,
    iat: Math.floor(clock.now() / 1000),
    exp: Math.floor(result.expiresAt / 1000),
    aud: audience,
    eat_nonce: toBase64Url(nonce),
    "ear.verifier-id": { developer, build },
    cnf: { jwk: confirmationKey(result.keys.signing) },
    submods: { cpu0: renderEarContent(result) },
  };
  // By hand and not by jose: a Signer is a handle and never gives jose its key.
  const part = (value: object): string => toBase64Url(utf8(JSON.stringify(value)));
  const input = `${part(header)}.${part(payload)}`;
  const token = `${input}.${toBase64Url(await signer.sign(utf8(input)))}`;
  if (token.length > maxEarBytes) {
    throw new AttestationError("malformed", `The token is over ${maxEarBytes} bytes.`);
  }
  return token;
}

/** The holder's proof that goes with a token: its worker key over the session's binding. */
export async function provePassport(
  worker: Signer,
  binding: Uint8Array,
): Promise<Uint8Array<ArrayBuffer>> {
  return await worker.sign(lengthPrefixed(labels.passport, binding));
}

/** Everything a token is held against. All of it is required: absence never means "any". */
export interface EarExpectations {
  /** Verifiers' keys, SPKI DER. A key inside a token is never trusted. */
  readonly keys: readonly Uint8Array[];
  readonly algorithms: readonly SigningAlgorithm[];
  readonly audience: string;
  readonly nonce: Uint8Array;
  /** The presenter's statement, as its Hello gave it. */
  readonly statement: Statement;
  /** Fingerprint of the presenter's identity, already proven by the handshake. */
  readonly identity: string;
  readonly role: string;
  /** SHA-256 digest of the policy that the verifier must have applied: ours. */
  readonly policyDigest: Uint8Array;
  /** The 64-byte binding of this session that *we* computed. */
  readonly binding: Uint8Array;
  /** See {@link provePassport}. */
  readonly holderSignature: Uint8Array;
  readonly clock: Clock;
  readonly crypto: Crypto;
  readonly revocations?: Revocations;
}

/**
 * Accepts a token as the result of the verifier that signed it. The result is `key-only`: the
 * evidence was bound to another session, only the key's holder is shown to be in this one.
 * @throws AttestationError `malformed`, `not-genuine`, `expired` or `refused-by-policy`.
 */
export async function acceptEar(
  token: string,
  expected: EarExpectations,
): Promise<AttestationResult> {
  requireCompact(token);
  const payload = await verifySignature(token, expected);
  const content = parseEarContent(payload);
  requireConsistent(content, payload);
  requireEqual("nonce", payload["eat_nonce"], toBase64Url(expected.nonce));
  requireEqual("role", content.role, expected.role);
  requireEqual("identity", content.identity, expected.identity);
  requireEqual("policy", content.policyDigest, toHex(expected.policyDigest));
  await requireStatement(content, expected);
  await requireHolder(content, expected);
  return accept(content, payload, expected);
}

/** One text per token: stray bits in base64url would make a second token of the first. */
function requireCompact(token: string): void {
  if (typeof token !== "string" || token.length > maxEarBytes) {
    throw new AttestationError("malformed", `A token is text of at most ${maxEarBytes} bytes.`);
  }
  const parts = token.split(".");
  if (parts.length !== 3) throw new AttestationError("malformed", "A token has three parts.");
  let header: unknown;
  try {
    const [first] = parts.map((part) => fromBase64Url(part));
    header = JSON.parse(fromUtf8(first as Uint8Array));
  } catch (cause) {
    throw new AttestationError("malformed", "The token is not a JWT.", { cause });
  }
  // No `jwk`, `jku`, `x5c`, `crit`, …: whatever a header says of keys is the sender's wish.
  const names = typeof header === "object" && header !== null ? Object.keys(header).sort() : [];
  if (names.join() !== "alg,typ") {
    throw new AttestationError("malformed", "The token's header has more than alg and typ.");
  }
}

async function verifySignature(token: string, expected: EarExpectations): Promise<JWTPayload> {
  let cause: unknown;
  for (const key of expected.keys) {
    const algorithm = keyAlgorithm(key);
    if (!expected.algorithms.includes(algorithm)) continue;
    try {
      const { payload } = await jwtVerify(token, await importSPKI(pem(key), algorithm), {
        algorithms: [algorithm],
        typ: "JWT",
        audience: expected.audience,
        currentDate: new Date(expected.clock.now()),
        clockTolerance: 0,
        requiredClaims: ["exp", "iat", "aud", "eat_nonce", "eat_profile", "cnf", "submods"],
      });
      // jose takes an array that holds our name; a token for several audiences can be passed on.
      requireEqual("audience", payload.aud, expected.audience);
      return payload;
    } catch (error) {
      if (error instanceof AttestationError) throw error;
      if (hasCode(error, "ERR_JWT_EXPIRED")) {
        throw new AttestationError("expired", "The token has expired.", { cause: error });
      }
      cause = error;
    }
  }
  throw new AttestationError("not-genuine", "The token is not of a pinned verifier for us.", {
    cause,
  });
}

function requireEqual(name: string, actual: unknown, wanted: string): void {
  if (wanted !== "" && actual === wanted) return;
  throw new AttestationError("refused-by-policy", `The token is for another ${name}.`, {
    findings: [
      {
        rule: `ear.${name}`,
        ok: false,
        expected: wanted,
        actual: typeof actual === "string" ? actual : "something else",
      },
    ],
  });
}

async function requireStatement(content: EarContent, expected: EarExpectations): Promise<void> {
  const { crypto, statement } = expected;
  const digest = toHex(await statementDigest(crypto, statement));
  requireEqual("statement", content.statementDigest, digest);
}

/** `cnf` is checked to be the statement's key, and its holder to be in this very session. */
async function requireHolder(content: EarContent, expected: EarExpectations): Promise<void> {
  const { crypto, statement, binding, holderSignature } = expected;
  const key = content.confirmed;
  if (!equalBytes(key, statement.keys.signing)) {
    throw new AttestationError("not-genuine", "The token confirms another key than the worker's.");
  }
  if (binding.length !== bindingBytes) {
    throw new AttestationError("malformed", `A binding has ${bindingBytes} bytes.`);
  }
  const data = lengthPrefixed(labels.passport, binding);
  if ((await crypto.verify(keyAlgorithm(key), key, holderSignature, data)) !== true) {
    throw new AttestationError("not-genuine", "The token's holder has not proven its key.");
  }
}

async function accept(
  content: EarContent,
  payload: JWTPayload,
  expected: EarExpectations,
): Promise<AttestationResult> {
  const { clock, crypto, revocations, statement } = expected;
  const { tee, identity, measurements, tcb } = content;
  const finding = revocations?.check({ identity, measurements, tee, tcbStatus: tcb.status });
  if (finding !== undefined) {
    throw new AttestationError("refused-by-policy", "The token's subject is revoked.", {
      findings: [{ ...finding, ok: false }],
    });
  }
  const issuedAt = clock.now();
  const expiresAt = Math.min((payload.exp as number) * 1000, content.expiresAt);
  if (!(issuedAt < expiresAt)) throw new AttestationError("expired", "The result has expired.");
  return constructResult({
    tee,
    isolation: content.isolation,
    binding: "key-only",
    role: content.role,
    identity,
    claims: content.claims,
    measurements,
    tcb,
    findings: [
      ...content.findings,
      {
        rule: "ear",
        ok: true,
        expected: "token of a pinned verifier, shown by its holder",
        actual: `holder ${await fingerprint(crypto, content.confirmed)}`,
        source: "draft-ietf-rats-ear",
      },
    ],
    policyDigest: content.policyDigest,
    evidenceDigest: content.evidenceDigest,
    statementDigest: content.statementDigest,
    keys: statement.keys,
    issuedAt,
    expiresAt,
  });
}

function pem(spki: Uint8Array): string {
  const base64 = btoa(String.fromCharCode(...spki));
  return `-----BEGIN PUBLIC KEY-----\n${base64}\n-----END PUBLIC KEY-----`;
}

function hasCode(error: unknown, code: string): boolean {
  return typeof error === "object" && error !== null && "code" in error && error.code === code;
}
