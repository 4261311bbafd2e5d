/**
 * The simulated token: an EAT (RFC 9711) as COSE_Sign1 (RFC 9052) with a profile of its own, so
 * that no verifier of hardware evidence could take it for its own and no reader for hardware.
 */
import { concat, type Signer, type SigningAlgorithm } from "@vivarium/core";
import { bytesOf, type CborValue, decodeCbor, encodeCbor, fieldsOf, integerOf } from "../cbor.ts";
import { AttestationError } from "../errors.ts";
import { type TcbStatus, tcbStatuses } from "../evidence.ts";
import { keyAlgorithm } from "../keys.ts";
import { type StatementDigest, statementDigests } from "../statement.ts";

/** `eat_profile`; a tag URI (RFC 4151). */
export const simulatedProfile = "tag:github.com,2026:vivarium/simulated#1";

/** COSE algorithm identifiers (RFC 9053). */
const coseAlgorithms: Readonly<Record<SigningAlgorithm, number>> = {
  ES256: -7,
  ES384: -35,
  EdDSA: -8,
};

/** COSE header parameters: `alg`, and privately the root's SPKI, so that both are signed. */
const header = { algorithm: 1, root: -75_000 } as const;

/** EAT claims (RFC 9711 section 4, RFC 8392) and private ones below -65536. */
const claim = {
  expires: 4,
  issued: 6,
  nonce: 10,
  debugStatus: 263,
  profile: 265,
  measurements: -75_001,
  svn: -75_002,
  tcb: -75_003,
} as const;
const claimKeys = Object.values(claim);

/** `dbgstat` (RFC 9711 section 4.2.9): 0 enabled … 3 disabled permanently. */
const debugStatuses = { enabled: 0, disabledPermanently: 3 } as const;

/** How long the token says it may be used. A development root is no place for long lives. */
export const simulatedLifetimeSeconds: number = 24 * 60 * 60;

/** Bytes of a token; attester and verifier agree on it. */
export const maxTokenBytes = 4096;
const limits = { maxBytes: maxTokenBytes, maxDepth: 3, maxValues: 64 };
/** COSE_Sign1 tag 18. */
const tag = Uint8Array.of(0xd2);

/** What the token says. */
export interface SimulatedClaims {
  readonly reportData: Uint8Array;
  /** Whole seconds since the epoch. */
  readonly issuedAt: number;
  readonly expiresAt: number;
  readonly debug: boolean;
  readonly measured: Readonly<Record<StatementDigest, Uint8Array>>;
  readonly svn: number;
  readonly tcb: TcbStatus;
}

/** A token that is well-formed; nothing in it has been verified. */
export interface SimulatedToken {
  readonly claims: SimulatedClaims;
  /** SPKI DER of the key it says it was signed with. */
  readonly root: Uint8Array;
  readonly signature: Uint8Array;
  /** What the signature is over: Sig_structure of RFC 9052 section 4.4. */
  readonly signed: Uint8Array;
}

export async function signToken(
  root: Signer,
  claims: SimulatedClaims,
): Promise<Uint8Array<ArrayBuffer>> {
  const protectedHeader = encodeCbor(
    new Map<number, CborValue>([
      [header.algorithm, coseAlgorithms[root.algorithm]],
      [header.root, root.publicKey],
    ]),
  );
  const payload = encodeCbor(
    new Map<number, CborValue>([
      [claim.expires, claims.expiresAt],
      [claim.issued, claims.issuedAt],
      [claim.nonce, claims.reportData],
      [claim.debugStatus, claims.debug ? debugStatuses.enabled : debugStatuses.disabledPermanently],
      [claim.profile, simulatedProfile],
      [
        claim.measurements,
        new Map<string, CborValue>(statementDigests.map((name) => [name, claims.measured[name]])),
      ],
      [claim.svn, claims.svn],
      [claim.tcb, claims.tcb],
    ]),
  );
  const signature = await root.sign(signatureInput(protectedHeader, payload));
  return concat(tag, encodeCbor([protectedHeader, new Map(), payload, signature]));
}

/** @throws AttestationError `malformed` for anything but a token of our profile. */
export function parseToken(bytes: Uint8Array): SimulatedToken {
  if (bytes[0] !== tag[0]) {
    throw new AttestationError("malformed", "Simulated evidence is not a tagged COSE_Sign1.");
  }
  const message = decodeCbor("Simulated evidence", bytes.subarray(1), limits);
  if (!Array.isArray(message) || message.length !== 4) {
    throw new AttestationError("malformed", "Simulated evidence is not a COSE_Sign1.");
  }
  const [first, unprotected, second, third] = message as readonly CborValue[];
  const protectedHeader = bytesOf("Protected header", first, 1, 256);
  // Nothing outside the signature is read, so nothing may be there.
  fieldsOf("Unprotected header", unprotected, []);
  const payload = bytesOf("Payload", second, 1, maxTokenBytes);
  const signature = bytesOf("Signature", third, 64, 96);
  const root = rootOf(protectedHeader);
  return {
    claims: claimsOf(payload),
    root,
    signature,
    signed: signatureInput(protectedHeader, payload),
  };
}

function rootOf(protectedHeader: Uint8Array): Uint8Array {
  const document = decodeCbor("Protected header", protectedHeader, limits);
  const fields = fieldsOf("Protected header", document, [header.algorithm, header.root]);
  const root = bytesOf("Root key", fields[header.root], 32, 128);
  if (fields[header.algorithm] !== coseAlgorithms[keyAlgorithm(root)]) {
    throw new AttestationError("malformed", "The algorithm is not the one of the root key.");
  }
  return root;
}

function claimsOf(payload: Uint8Array): SimulatedClaims {
  const fields = fieldsOf("EAT", decodeCbor("EAT", payload, limits), claimKeys);
  if (fields[claim.profile] !== simulatedProfile) {
    throw new AttestationError("malformed", `The profile of the EAT is not ${simulatedProfile}.`);
  }
  const measurements = fieldsOf("Measurements", fields[claim.measurements], statementDigests);
  const digest = (name: StatementDigest): Uint8Array =>
    bytesOf(`Measurement ${name}`, measurements[name], 32, 32);
  const tcb = tcbStatuses.find((status) => status === fields[claim.tcb]);
  if (tcb === undefined) throw new AttestationError("malformed", "The TCB state is not known.");
  const latest = 8_640_000_000_000;
  return {
    reportData: bytesOf("eat_nonce", fields[claim.nonce], 8, 64),
    issuedAt: integerOf("iat", fields[claim.issued], 0, latest),
    expiresAt: integerOf("exp", fields[claim.expires], 0, latest),
    // Anything but "disabled permanently" leaves a debugger a way in.
    debug:
      integerOf("dbgstat", fields[claim.debugStatus], 0, 4) < debugStatuses.disabledPermanently,
    measured: {
      runtime: digest("runtime"),
      flags: digest("flags"),
      code: digest("code"),
      policy: digest("policy"),
      config: digest("config"),
    },
    svn: integerOf("SVN", fields[claim.svn], 0),
    tcb,
  };
}

/** No external data: the profile inside the payload is what separates it from other COSE. */
function signatureInput(protectedHeader: Uint8Array, payload: Uint8Array): Uint8Array {
  return encodeCbor(["Signature1", protectedHeader, new Uint8Array(0), payload]);
}
