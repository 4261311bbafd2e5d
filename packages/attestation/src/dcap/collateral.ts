/**
 * Collateral of a quote in the shape of QuoteCollateralV3: chains in PEM, CRLs in DER (as hex) or
 * PEM, and the two signed JSON bodies as the very strings that were signed.
 */

import { fromHex, utf8 } from "@vivarium/core";
import { AttestationError } from "../errors.ts";
import type { Collateral } from "../evidence.ts";
import { textOfBytes } from "../reader.ts";
import { parseCertificate } from "../x509/certificate.ts";
import { parseCrl } from "../x509/crl.ts";
import { decodePem } from "../x509/pem.ts";
import type { Certificate, RevocationCrl } from "../x509/types.ts";

/** A signed body: the signature is over these bytes, so they are never written anew. */
export interface SignedBody {
  readonly bytes: Uint8Array;
  readonly text: string;
  /** r ‖ s. */
  readonly signature: Uint8Array;
  /** Leaf first. */
  readonly chain: readonly Certificate[];
}

export interface DcapCollateral {
  readonly tcbInfo: SignedBody;
  readonly qeIdentity: SignedBody;
  readonly rootCrl: RevocationCrl;
  readonly pckCrl: RevocationCrl;
  /** For quotes that carry no PCK chain of their own. */
  readonly pckChain: readonly Certificate[] | undefined;
}

/** The one entry of collateral that SGX and TDX verifiers read. */
export const dcapEntry = "dcap";

const maxBytes = 4 * 1024 * 1024;
const maxBodyBytes = 512 * 1024;

/** @throws AttestationError `malformed`, or `not-genuine` if it is absent: nothing is fetched here. */
export function dcapCollateralOf(collateral: Collateral): DcapCollateral {
  const bytes = Object.hasOwn(collateral, dcapEntry) ? collateral[dcapEntry] : undefined;
  if (bytes === undefined) {
    throw new AttestationError(
      "not-genuine",
      "There is no collateral for the quote (TCB info, QE identity, CRLs); fetch it and give it.",
      {
        findings: [
          {
            rule: "dcap.collateral",
            ok: false,
            expected: "TCB info, QE identity, CRLs",
            actual: "none",
          },
        ],
      },
    );
  }
  return parseDcapCollateral(bytes);
}

/** @throws AttestationError `malformed`. */
export function parseDcapCollateral(bytes: Uint8Array): DcapCollateral {
  if (bytes.length > maxBytes) fail(`is over ${maxBytes} bytes`);
  let document: unknown;
  try {
    document = JSON.parse(textOfBytes("DCAP collateral", bytes));
  } catch (cause) {
    throw new AttestationError("malformed", "DCAP collateral is not JSON.", { cause });
  }
  if (typeof document !== "object" || document === null) fail("is not an object");
  const fields = document as Readonly<Record<string, unknown>>;
  const text = (name: string): string => {
    const value = Object.hasOwn(fields, name) ? fields[name] : undefined;
    return typeof value === "string" && value !== "" ? value : fail(`lacks the field ${name}`);
  };
  const body = (name: string): SignedBody => {
    const content = text(name);
    if (content.length > maxBodyBytes) fail(`has a ${name} of over ${maxBodyBytes} bytes`);
    const signature = hex(name, text(`${name}_signature`));
    if (signature.length !== 64) fail(`has a signature of ${name} that is not 64 bytes`);
    const chain = chainOf(name, text(`${name}_issuer_chain`));
    return { bytes: utf8(content), text: content, signature, chain };
  };
  const own = fields["pck_certificate_chain"];
  return {
    tcbInfo: body("tcb_info"),
    qeIdentity: body("qe_identity"),
    rootCrl: parseCrl("Root CA CRL", derOf("root_ca_crl", text("root_ca_crl"))),
    pckCrl: parseCrl("PCK CRL", derOf("pck_crl", text("pck_crl"))),
    pckChain: typeof own === "string" && own !== "" ? chainOf("PCK", own) : undefined,
  };
}

function chainOf(name: string, pem: string): readonly Certificate[] {
  return decodePem(`${name} issuer chain`, pem).map((der) =>
    parseCertificate(`${name} chain`, der),
  );
}

/** PCS gives CRLs as DER, PCCS as hex of it, some tools as PEM. */
function derOf(name: string, value: string): Uint8Array {
  if (!value.includes("-----BEGIN")) return hex(name, value);
  const [der] = decodePem(name, value, "X509 CRL");
  return der ?? fail(`has no CRL in ${name}`);
}

function hex(name: string, value: string): Uint8Array {
  if (value.length % 2 !== 0 || !/^[0-9a-fA-F]+$/.test(value))
    fail(`has a ${name} that is not hex`);
  return fromHex(value);
}

function fail(reason: string): never {
  throw new AttestationError("malformed", `DCAP collateral ${reason}.`);
}
