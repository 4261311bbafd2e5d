/** X.509 as verifiers need it: parsed strictly, nothing verified by parsing. */
import type { SignatureAlgorithm } from "@vivarium/core";

export interface Extension {
  readonly critical: boolean;
  /** Content of the extnValue OCTET STRING. */
  readonly value: Uint8Array;
}

/**
 * What signs certificates: JOSE's algorithms, and ECDSA on P-384 with SHA-256, which JOSE has no
 * name for and Gramine's RA-TLS certificates use.
 */
export type CertificateAlgorithm = SignatureAlgorithm | "P384-SHA256";

/** Something signed: `signature` is in the form that `Crypto.verify` takes (ECDSA: r ‖ s). */
export interface Signed {
  /** The whole DER, never a copy with other bytes in it. */
  readonly raw: Uint8Array;
  /** What the signature is over. */
  readonly tbs: Uint8Array;
  readonly algorithm: CertificateAlgorithm;
  readonly signature: Uint8Array;
  /** Name, DER. Compared byte by byte. */
  readonly issuer: Uint8Array;
}

/** RFC 5280 section 4. */
export interface Certificate extends Signed {
  /** Content bytes of the INTEGER. */
  readonly serial: Uint8Array;
  /** Name, DER. */
  readonly subject: Uint8Array;
  /** The only commonName of the subject and the issuer, where there is exactly one. */
  readonly commonName: string | undefined;
  readonly issuerCommonName: string | undefined;
  /** Milliseconds since the epoch. */
  readonly notBefore: number;
  readonly notAfter: number;
  /** SubjectPublicKeyInfo, DER. */
  readonly spki: Uint8Array;
  /** basicConstraints cA; false if the extension is absent. */
  readonly ca: boolean;
  readonly pathLength: number | undefined;
  /** keyUsage bits, or undefined if the extension is absent. */
  readonly keyUsage:
    | {
        readonly digitalSignature: boolean;
        readonly certSign: boolean;
        readonly crlSign: boolean;
      }
    | undefined;
  /** By dotted object identifier. */
  readonly extensions: ReadonlyMap<string, Extension>;
}

/** RFC 5280 section 5. */
export interface RevocationCrl extends Signed {
  readonly thisUpdate: number;
  readonly nextUpdate: number;
  /** Serial numbers as lower-case hex of the INTEGER's content. */
  readonly revoked: ReadonlySet<string>;
  readonly extensions: ReadonlyMap<string, Extension>;
}
