/** Arm CCA evidence: both tokens, and that they belong together. */
import { type Crypto, equalBytes, type HashName, toHex } from "@vivarium/core";
import { verifyCoseSign1 } from "../cose.ts";
import { AttestationError } from "../errors.ts";
import type { Claim, Evidence, VerifiedEvidence, Verifier, VerifyContext } from "../evidence.ts";
import { type Examination, examine } from "../examination.ts";
import { fingerprint } from "../keys.ts";
import { anchorsFor } from "./anchors.ts";
import { type CcaToken, ccaProfiles, type PlatformClaims, parseCcaToken } from "./token.ts";

const rmm = (section: string): string => `Arm DEN0137 ${section}`;

/** The token states no end; this one is past every policy's maximum age. */
const noEnd = Date.UTC(9999, 11, 31);

/**
 * Runs in Node and browsers. Collateral: entry `trust-anchors`, the platform's public CPAK; a policy
 * must name it as the root, since there is no vendor's root above it.
 */
export function ccaVerifier(): Verifier {
  return {
    type: "cca",
    pins: [["rim"]],
    needsRoot: true,
    read: (evidence) => ({ cca: claimsOf(tokenOf(evidence)) }),
    verify,
  };
}

function tokenOf(evidence: Evidence): CcaToken {
  if (evidence.type !== "cca") {
    throw new AttestationError("unknown-type", "This verifier reads CCA evidence only.");
  }
  if (Object.keys(evidence.attachments).length > 0) {
    throw new AttestationError("malformed", "CCA evidence has no attachments.");
  }
  return parseCcaToken(evidence.bytes);
}

async function verify(evidence: Evidence, context: VerifyContext): Promise<VerifiedEvidence> {
  const token = tokenOf(evidence);
  const { platform, realm } = token;
  const exam = examine("CCA token");
  requireProfiles(exam, token);
  const root = await requirePlatform(exam, context, token);
  const { keySpki } = realm.claims;
  const signed = await verifyCoseSign1(context.crypto, realm.message, keySpki);
  exam.require(
    "cca.realm-signature",
    signed,
    "signed by the realm's key",
    signed ? "verifies" : "does not verify",
    rmm("A7.2.3"),
  );
  await requireBinding(exam, context.crypto, token);
  const lifecycle = platform.claims.lifecycle >> 8;
  const secured = lifecycle === securedLifecycle;
  if (!secured) {
    exam.relax(
      "cca.lifecycle",
      "secured (0x3000 to 0x30ff)",
      hex16(platform.claims.lifecycle),
      rmm("A7.2.4"),
    );
  }
  return {
    type: "cca",
    claims: { cca: claimsOf(token) },
    measurements: measurementsOf(token),
    svn: {},
    tcb: { status: "UpToDate", advisories: [] },
    relaxations: exam.relaxations,
    attributes: { platform_secured: secured },
    // Every state but "secured" leaves somebody a way in.
    debug: !secured,
    reportData: realm.claims.challenge,
    issuedAt: undefined,
    notAfter: noEnd,
    isolation: "tee",
    binding: "session",
    root,
    findings: exam.findings,
  };
}

const securedLifecycle = 0x30;

function requireProfiles(exam: Examination, { platform, realm }: CcaToken): void {
  const { profile } = platform.claims;
  const platforms: readonly string[] = ccaProfiles.platform;
  exam.require(
    "cca.platform-profile",
    platforms.includes(profile),
    platforms.join(" or "),
    profile,
    rmm("A7.2.4"),
  );
  const realms: readonly (string | undefined)[] = ccaProfiles.realm;
  const own = realm.claims.profile;
  exam.require(
    "cca.realm-profile",
    realms.includes(own),
    "none, or realm#1.0.0",
    own ?? "none",
    rmm("A7.2.3"),
  );
}

/** @returns the fingerprint of the CPAK that signed. */
async function requirePlatform(
  exam: Examination,
  { crypto, collateral }: VerifyContext,
  { platform }: CcaToken,
): Promise<string> {
  const { claims, message } = platform;
  const store = collateral["trust-anchors"];
  const keys = store === undefined ? [] : anchorsFor(store, claims);
  const instance = `implementation ${toHex(claims.implementationId)}, instance ${toHex(claims.instanceId)}`;
  const actual = keys.length > 0 ? "one" : `none (collateral "trust-anchors") for ${instance}`;
  exam.require(
    "cca.trust-anchor",
    keys.length > 0,
    "a public CPAK of the platform",
    actual,
    rmm("A7.2.4"),
  );
  for (const key of keys) {
    if (await verifyCoseSign1(crypto, message, key)) {
      exam.require(
        "cca.platform-signature",
        true,
        "signed by the platform's CPAK",
        "verifies",
        rmm("A7.2.4"),
      );
      return await fingerprint(crypto, key);
    }
  }
  exam.require(
    "cca.platform-signature",
    false,
    "signed by the platform's CPAK",
    "does not verify",
    rmm("A7.2.4"),
  );
  return "";
}

/** Two genuine tokens of two machines would verify each: the platform's challenge names the realm's key. */
async function requireBinding(
  exam: Examination,
  crypto: Crypto,
  { platform, realm }: CcaToken,
): Promise<void> {
  const hash = realm.claims.keyHash.toUpperCase() as HashName;
  const digest = await crypto.digest(hash, realm.claims.key);
  const { challenge } = platform.claims;
  exam.require(
    "cca.binding",
    equalBytes(digest, challenge),
    `${realm.claims.keyHash} of the realm's key`,
    toHex(challenge),
    rmm("A7.2.3.1.8"),
  );
}

function measurementsOf({ platform, realm }: CcaToken): Readonly<Record<string, Uint8Array>> {
  const [rem0, rem1, rem2, rem3] = realm.claims.rem as [
    Uint8Array,
    Uint8Array,
    Uint8Array,
    Uint8Array,
  ];
  return {
    rim: realm.claims.rim,
    rem_0: rem0,
    rem_1: rem1,
    rem_2: rem2,
    rem_3: rem3,
    personalization: realm.claims.personalization,
    implementation_id: platform.claims.implementationId,
    ...componentsOf(platform.claims),
  };
}

const maxPinnedComponents = 16;

/** `platform_bl` and so on: components that have a name of their own. */
function componentsOf({ components }: PlatformClaims): Readonly<Record<string, Uint8Array>> {
  const named: Record<string, Uint8Array> = {};
  for (const { type = "", measurement } of components.slice(0, maxPinnedComponents)) {
    const name = `platform_${type.toLowerCase().replace(/[^a-z0-9]+/g, "_")}`;
    // Two of one name: neither can be pinned, or one could stand in for the other.
    if (/^platform_[a-z0-9_]{1,32}$/.test(name) && [32, 48, 64].includes(measurement.length)) {
      named[name] = name in named ? new Uint8Array(0) : measurement;
    }
  }
  return Object.fromEntries(Object.entries(named).filter(([, { length }]) => length > 0));
}

const hex16 = (value: number): string => `0x${value.toString(16).padStart(4, "0")}`;

function claimsOf({ platform, realm }: CcaToken): Readonly<Record<string, Claim>> {
  const p = platform.claims;
  const r = realm.claims;
  return {
    platform: {
      "cca-platform-profile": p.profile,
      "cca-platform-challenge": toHex(p.challenge),
      "cca-platform-implementation-id": toHex(p.implementationId),
      "cca-platform-instance-id": toHex(p.instanceId),
      "cca-platform-config": toHex(p.config),
      "cca-platform-lifecycle": p.lifecycle,
      "cca-platform-hash-algo-id": p.hash,
      "cca-platform-service-indicator": p.service ?? null,
      "cca-platform-sw-components": p.components.map((component) => ({
        "measurement-type": component.type ?? null,
        "measurement-value": toHex(component.measurement),
        "signer-id": toHex(component.signerId),
        version: component.version ?? null,
        "hash-algo-id": component.hash ?? null,
      })),
    },
    realm: {
      "cca-realm-profile": r.profile ?? null,
      "cca-realm-challenge": toHex(r.challenge),
      "cca-realm-personalization-value": toHex(r.personalization),
      "cca-realm-hash-algo-id": r.hash,
      "cca-realm-public-key": toHex(r.key),
      "cca-realm-public-key-hash-algo-id": r.keyHash,
      "cca-realm-initial-measurement": toHex(r.rim),
      "cca-realm-extensible-measurements": r.rem.map(toHex),
    },
    report_data: toHex(r.challenge),
    init_data: toHex(r.personalization),
  };
}
