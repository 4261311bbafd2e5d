/**
 * Tokens of other attestation services, verified offline under keys that the caller pins. Such a token is
 * their word and bears no relation to a session here: it makes no `AttestationResult`, opens no channel
 * and releases no key (passports that do are our own, see `acceptEar`).
 */
import { type Crypto, type SignatureAlgorithm, toHex } from "@vivarium/core";
import { AttestationError } from "../errors.ts";
import type { Claim, Finding } from "../evidence.ts";
import { type Examination, examine } from "../examination.ts";
import { maxClockSkewMs } from "../identity.ts";
import { fingerprint } from "../keys.ts";
import { parseCertificate } from "../x509/certificate.ts";
import { verifyChain } from "../x509/chain.ts";
import { issuersPath } from "../x509/path.ts";
import { type ParsedToken, parseToken, signatureAlgorithmOf } from "./jws.ts";
import { algorithmsOfSpki, parseJwks, type TokenKey } from "./keys.ts";
import { type TokenKind, type TokenSubmodule, tokenKinds, tokenRules } from "./kinds.ts";

/** A service whose tokens count, and the keys it signs with. */
export interface TokenIssuer {
  readonly kind: TokenKind;
  /** JSON Web Key Set, as its service publishes it; pinned, never fetched. */
  readonly jwks?: unknown;
  /** DER of authorities whose certificates (`x5c`) may sign, instead of or beside the key set. */
  readonly anchors?: readonly Uint8Array[];
  /** `iss` that its tokens must have; required for `ita` and `maa`, whose services have many tenants. */
  readonly issuer?: string;
}

export interface VerifyTokenOptions {
  readonly issuers: readonly TokenIssuer[];
  readonly crypto: Crypto;
  /** Milliseconds since the epoch. */
  readonly now: number;
  /** `aud` that the token must have. */
  readonly audience?: string;
  /** What `eat_nonce` (or `nonce`, `verifier_nonce.val`) must be. */
  readonly nonce?: string;
  /** What the report data of the first submodule must begin with, zeros after it. */
  readonly reportData?: Uint8Array;
}

export interface VerifiedToken {
  readonly kind: TokenKind;
  /** Every attester is affirming, and everything that was asked for matches. */
  readonly accepted: boolean;
  readonly submodules: readonly TokenSubmodule[];
  readonly claims: Readonly<Record<string, Claim>>;
  /** `sha256:…` of the key that signed, and of the pinned authority above it, if there is one. */
  readonly signer: string;
  readonly root: string | undefined;
  /** Milliseconds since the epoch. */
  readonly issuedAt: number | undefined;
  readonly notAfter: number;
  /** False for services no real token of which was at hand: `ita`, `maa`. */
  readonly triedOnRealTokens: boolean;
  readonly findings: readonly Finding[];
}

/** Which service a token says it is of; unverified. */
export function tokenKindOf(token: string): TokenKind | undefined {
  const { payload } = parseToken(token);
  return tokenKinds.find((kind) => tokenRules[kind].matches(payload));
}

/**
 * Runs in Node and browsers.
 * @throws AttestationError `malformed`, `unknown-type`, `not-genuine` or `expired`, with findings; a token that
 * is genuine and does not affirm is a result with `accepted: false`.
 */
export async function verifyToken(
  token: string,
  options: VerifyTokenOptions,
): Promise<VerifiedToken> {
  const parsed = parseToken(token);
  const exam = examine("Attestation token");
  const kind = tokenKinds.find((name) => tokenRules[name].matches(parsed.payload));
  const issuers = options.issuers.filter((issuer) => issuer.kind === kind);
  if (kind === undefined || issuers.length === 0) {
    const named = kind ?? "a service that is not known here";
    throw new AttestationError("unknown-type", `No key is pinned for tokens of ${named}.`);
  }
  const signer = await requireSignature(exam, parsed, issuers, options);
  requireIssuer(exam, parsed.payload, signer.issuer);
  const times = requireTimes(exam, parsed.payload, options.now);
  const asked = matches(parsed.payload, options);
  for (const finding of asked) exam.require(...finding);
  const submodules = tokenRules[kind].submodules(parsed.payload);
  const data = checkReportData(submodules, options.reportData);
  const verdicts = [...submodules.map(verdictOf), ...data];
  return {
    kind,
    accepted: submodules.length > 0 && verdicts.every(({ ok }) => ok),
    submodules,
    claims: parsed.payload as Readonly<Record<string, Claim>>,
    signer: await fingerprint(options.crypto, signer.spki),
    root: signer.root,
    ...times,
    notAfter: Math.min(times.notAfter, signer.notAfter),
    triedOnRealTokens: tokenRules[kind].tried,
    findings: [...exam.findings, ...verdicts],
  };
}

interface FoundKey {
  readonly issuer: TokenIssuer;
  readonly spki: Uint8Array;
  readonly root: string | undefined;
  readonly notAfter: number;
}

const noEnd = Date.UTC(9999, 11, 31);

async function requireSignature(
  exam: Examination,
  token: ParsedToken,
  issuers: readonly TokenIssuer[],
  options: VerifyTokenOptions,
): Promise<FoundKey> {
  const algorithm = signatureAlgorithmOf(token.algorithm);
  const allowed = issuers.flatMap(({ kind }) => tokenRules[kind].algorithms);
  // The service's own list: a public key taken for an HMAC secret has no way in.
  const usable = algorithm !== undefined && allowed.includes(algorithm);
  const shown = token.algorithm.replaceAll(/[^\w-]/g, "?").slice(0, 16);
  exam.require(
    "token.algorithm",
    usable,
    [...new Set(allowed)].join(" or "),
    shown,
    "RFC 8725 3.1",
  );
  let problem: unknown;
  for (const issuer of issuers) {
    for (const key of await candidates(token, issuer, options)) {
      if (key instanceof AttestationError) {
        problem ??= key;
        continue;
      }
      if (!key.algorithms.includes(algorithm as SignatureAlgorithm)) continue;
      const ok = await options.crypto.verify(
        algorithm as SignatureAlgorithm,
        key.spki,
        token.signature,
        token.signed,
      );
      if (ok !== true) continue;
      exam.require("token.signature", true, "signed by a pinned key", "verifies", "RFC 7515 5.2");
      return { issuer, ...key };
    }
  }
  // A certificate that is out of date says more than that no key fits.
  if (problem instanceof AttestationError) throw problem;
  exam.require(
    "token.signature",
    false,
    "signed by a pinned key",
    "no pinned key fits",
    "RFC 7515 5.2",
  );
  throw new AttestationError("not-genuine", "The token is not signed by a pinned key.");
}

type Candidate = Omit<FoundKey, "issuer"> & Pick<TokenKey, "algorithms">;

async function candidates(
  token: ParsedToken,
  issuer: TokenIssuer,
  { crypto, now }: VerifyTokenOptions,
): Promise<readonly (Candidate | AttestationError)[]> {
  const pinned = issuer.jwks === undefined ? [] : parseJwks(issuer.jwks);
  // A key identifier finds one key; without it, or where the set has none, every key is tried.
  const named = pinned.filter(({ keyId }) => keyId !== undefined && keyId === token.keyId);
  const keys: (Candidate | AttestationError)[] = (named.length > 0 ? named : pinned).map(
    ({ spki, algorithms }) => ({ spki, algorithms, root: undefined, notAfter: noEnd }),
  );
  const { anchors = [] } = issuer;
  if (anchors.length === 0 || token.certificates.length === 0) return keys;
  const certificates = token.certificates.map((der) => parseCertificate("Token certificate", der));
  const [leaf] = certificates;
  if (leaf === undefined) return keys;
  try {
    const chain = issuersPath(leaf, certificates);
    const trial = examine("Certificate of the token");
    const { anchor, notAfter } = await verifyChain(trial, {
      ...{ crypto, now, chain, anchors },
      prefix: "token",
      knownCritical: ["2.5.29.37"],
    });
    const signs = !leaf.ca && (leaf.keyUsage?.digitalSignature ?? true);
    // An authority's key that signs tokens would be one that may make itself any other.
    trial.require("token.certificate", signs, "a key for signatures", "for other uses", "RFC 5280");
    const root = await fingerprint(crypto, anchor.spki);
    keys.push({ spki: leaf.spki, algorithms: algorithmsOfSpki(leaf.spki), root, notAfter });
  } catch (error) {
    if (!(error instanceof AttestationError)) throw error;
    keys.push(error);
  }
  return keys;
}

function requireIssuer(
  exam: Examination,
  payload: ParsedToken["payload"],
  { kind, issuer }: TokenIssuer,
): void {
  const many = kind === "ita" || kind === "maa";
  if (!many && issuer === undefined) return;
  const iss = payload["iss"];
  const actual = typeof iss === "string" ? iss : "none";
  exam.require(
    "token.issuer",
    issuer !== undefined && iss === issuer,
    issuer ?? "one that is pinned",
    actual,
    "RFC 7519 4.1.1",
  );
}

/** `exp` is required: a token without an end would be good for ever. */
function requireTimes(
  exam: Examination,
  payload: ParsedToken["payload"],
  now: number,
): Pick<VerifiedToken, "issuedAt" | "notAfter"> {
  const at = (name: string): number | undefined => {
    const value = payload[name];
    const usable = typeof value === "number" && value >= 0 && value <= 8.64e12;
    return usable ? value * 1000 : undefined;
  };
  const [exp, iat, nbf] = ["exp", "iat", "nbf"].map(at);
  const shown = (time: number | undefined): string =>
    time === undefined ? "absent" : new Date(time).toISOString();
  const clause = "RFC 7519 4.1";
  const live = exp !== undefined && now < exp;
  exam.require(
    "token.exp",
    live,
    `after ${shown(now)}`,
    shown(exp),
    clause,
    exp === undefined ? "malformed" : "expired",
  );
  for (const [name, time] of [
    ["iat", iat],
    ["nbf", nbf],
  ] as const) {
    const given = payload[name] !== undefined;
    const past = time !== undefined && time <= now + maxClockSkewMs;
    exam.require(
      `token.${name}`,
      !given || past,
      `not after ${shown(now)}`,
      shown(time),
      clause,
      "expired",
    );
  }
  return { issuedAt: iat, notAfter: exp as number };
}

type Match = Parameters<Examination["require"]>;

function matches(payload: ParsedToken["payload"], options: VerifyTokenOptions): readonly Match[] {
  const found: Match[] = [];
  const { audience, nonce } = options;
  if (audience !== undefined) {
    const actual = typeof payload["aud"] === "string" ? payload["aud"] : "none or several";
    found.push(["token.audience", payload["aud"] === audience, audience, actual, "RFC 7519 4.1.3"]);
  }
  if (nonce !== undefined) {
    const given = payload["eat_nonce"] ?? payload["nonce"];
    const actual = typeof given === "string" ? given : "none";
    found.push(["token.nonce", nonce !== "" && given === nonce, nonce, actual, "RFC 9711 4.1"]);
  }
  return found;
}

function verdictOf({ name, status, reservations }: TokenSubmodule): Finding {
  const actual = reservations.length === 0 ? status : `${status}: ${reservations.join(", ")}`;
  const ok = status === "affirming" && reservations.length === 0;
  return {
    rule: `token.status.${name}`,
    ok,
    expected: "affirming",
    actual,
    source: "draft-ietf-rats-ear",
  };
}

function checkReportData(
  [first]: readonly TokenSubmodule[],
  wanted: Uint8Array | undefined,
): readonly Finding[] {
  if (wanted === undefined) return [];
  const actual = first?.reportData;
  const expected = toHex(wanted).padEnd(actual?.length ?? 0, "0");
  const ok = wanted.length > 0 && actual === expected;
  return [{ rule: "report-data", ok, expected, actual: actual ?? "none" }];
}
