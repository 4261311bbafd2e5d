/** Resources: what the broker holds, each with its own release policy. */
import { type PolicyRecord, parseRecords, type Verifier } from "@vivarium/attestation";
import { fromBase64Url, fromUtf8, toBase64Url, utf8 } from "@vivarium/core";
import { BrokerError } from "./errors.ts";

/** Who may have it, and what must be proven. Every field is required: absence never means "any". */
export interface ReleasePolicy {
  /**
   * `any-instance`: whatever instance shows acceptable evidence, whoever runs it. It is all that RCAR
   * can say, and an owner must write it down.
   */
  readonly identity: "any-instance";
  /** Without `none` no bare TPM, without `simulated` no simulated evidence gets it, whatever `accept` says. */
  readonly isolation: readonly ("tee" | "none" | "simulated")[];
  /** Records as in policies of channels; evidence must meet all of one of them. */
  readonly accept: readonly PolicyRecord[];
}

export interface Resource {
  /** `repository/type/tag`. */
  readonly name: string;
  /** For people and the audit log. */
  readonly owner: string;
  readonly policy: ReleasePolicy;
  /** Base64url; empty once revoked. */
  readonly secret: string;
  /** 1, and one more with each new secret. */
  readonly number: number;
  /** Milliseconds since the epoch; null for none. */
  readonly expiresAt: number | null;
  readonly revoked: boolean;
}

/** All that the broker holds. */
export interface BrokerState {
  /** One more with each change. */
  readonly version: number;
  readonly resources: readonly Resource[];
}

export const maxSecretBytes: number = 256 * 1024;
export const maxResources = 10_000;
/** Of the whole state: it is written at every change. */
export const maxStateBytes: number = 64 * 1024 * 1024;

const part = "[A-Za-z0-9][A-Za-z0-9._-]{0,63}";
const namePattern = new RegExp(`^${part}/${part}/${part}$`);
const ownerPattern = /^[\x21-\x7e]{1,128}$/;

/** @throws BrokerError `invalid-argument`. */
export function requireResourceName(name: string): string {
  if (!namePattern.test(name)) {
    throw new BrokerError(
      "invalid-argument",
      "A resource is named repository/type/tag, each of 1 to 64 letters, digits, dots, hyphens.",
    );
  }
  return name;
}

/** @throws BrokerError `invalid-argument`. */
export function requireOwner(owner: string): string {
  if (typeof owner !== "string" || !ownerPattern.test(owner)) {
    throw new BrokerError("invalid-argument", "An owner has 1 to 128 visible ASCII characters.");
  }
  return owner;
}

/** @throws BrokerError `invalid-argument`, or AttestationError `invalid-policy` for bad records. */
export function parseReleasePolicy(
  document: unknown,
  verifiers: readonly Verifier[],
): ReleasePolicy {
  const fields = typeof document === "object" && document !== null ? document : {};
  const names = Object.keys(fields).sort().join();
  const { identity, isolation, accept } = fields as Readonly<Record<string, unknown>>;
  if (names !== "accept,identity,isolation") {
    throw invalid("has exactly the fields identity, isolation and accept");
  }
  if (identity !== "any-instance") {
    throw invalid(
      "says identity: any-instance; another identity cannot be proven by this protocol",
    );
  }
  const known = ["tee", "none", "simulated"];
  const kinds: readonly unknown[] = Array.isArray(isolation) ? isolation : [];
  if (kinds.length === 0 || !kinds.every((kind) => known.includes(kind as string))) {
    throw invalid(`names isolation: a list of ${known.join(", ")}`);
  }
  const records = parseRecords(accept, verifiers);
  const shut = records.find((record) => !kinds.includes(record.isolation));
  if (shut !== undefined) {
    throw invalid(
      `accepts ${shut.type}, whose isolation is "${shut.isolation}", and does not list that under isolation`,
    );
  }
  return {
    identity,
    isolation: [...new Set(kinds)] as ReleasePolicy["isolation"],
    accept: records,
  };
}

function invalid(what: string): BrokerError {
  return new BrokerError("invalid-argument", `A release policy ${what}.`);
}

/** @throws BrokerError `limit-exceeded`. */
export function encodeState(state: BrokerState): Uint8Array {
  const bytes = utf8(JSON.stringify({ v: 1, ...state }));
  if (bytes.length > maxStateBytes || state.resources.length > maxResources) {
    throw new BrokerError(
      "limit-exceeded",
      `The broker holds at most ${maxResources} resources and ${maxStateBytes} bytes.`,
    );
  }
  return bytes;
}

/** Of a store that is authentic: what is wrong with it was written by us. @throws BrokerError `malformed`. */
export function decodeState(bytes: Uint8Array, verifiers: readonly Verifier[]): BrokerState {
  try {
    const { v, version, resources } = JSON.parse(fromUtf8(bytes)) as {
      readonly v: number;
      readonly version: number;
      readonly resources: readonly Resource[];
    };
    if (v !== 1 || !Number.isSafeInteger(version)) throw new Error("version");
    for (const resource of resources) {
      requireResourceName(resource.name);
      requireOwner(resource.owner);
      fromBase64Url(resource.secret);
    }
    return {
      version,
      resources: resources.map((resource) => ({
        ...resource,
        policy: parseReleasePolicy(resource.policy, verifiers),
      })),
    };
  } catch (cause) {
    throw new BrokerError("malformed", "The broker's store cannot be read by this version.", {
      cause,
    });
  }
}

/** @throws BrokerError `limit-exceeded`. */
export function encodeSecret(secret: Uint8Array): string {
  if (secret.length === 0 || secret.length > maxSecretBytes) {
    throw new BrokerError("limit-exceeded", `A secret has 1 to ${maxSecretBytes} bytes.`);
  }
  return toBase64Url(secret);
}
