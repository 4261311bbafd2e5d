/**
 * What the certificate of an attestation key must say. An authority that certifies other keys of a TPM as well
 * (of TLS, of a VM's disk) would otherwise vouch for one that signs whatever it is given, a forged
 * TPMS_ATTEST included. Source: TCG EK Credential Profile 2.6, appendix A; RFC 5280 4.2.1.3, 4.2.1.12.
 */
import type { Examination } from "../examination.ts";
import { childrenOf, oidOf, readDer, requireTag, tags } from "../x509/der.ts";
import type { Certificate } from "../x509/types.ts";

const what = "AK certificate";
const oids = { extendedKeyUsage: "2.5.29.37" } as const;
/** tcg-kp-AIKCertificate: only for keys that are restricted to signing what the TPM made. */
const aikCertificate = "2.23.133.8.3";

/** @throws AttestationError `not-genuine` or `malformed`. */
export function requireAkCertificate(exam: Examination, leaf: Certificate): void {
  const signs = leaf.keyUsage?.digitalSignature ?? true;
  const ok = signs && !leaf.ca;
  const actual = leaf.ca ? "an authority's" : signs ? "for signing" : "for other uses";
  exam.require(
    "tpm.ak-certificate",
    ok,
    "a certificate for digitalSignature",
    actual,
    "RFC 5280, 4.2.1.3",
  );
  if (purposesOf(leaf).includes(aikCertificate)) return;
  const clause = "TCG EK Credential Profile 2.6, appendix A";
  exam.relax(
    "tpm.ak-attributes-unknown",
    `the purpose ${aikCertificate}`,
    "not among its purposes",
    clause,
  );
}

function purposesOf({ extensions }: Certificate): readonly string[] {
  const extension = extensions.get(oids.extendedKeyUsage);
  if (extension === undefined) return [];
  const list = requireTag(what, readDer(what, extension.value), tags.sequence);
  return childrenOf(what, list).map(oidOf);
}
