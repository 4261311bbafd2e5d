/** X.509 v3 certificates. Source: RFC 5280 section 4. */

import { AttestationError } from "../errors.ts";
import { textOfBytes } from "../reader.ts";
import {
  booleanOf,
  childrenOf,
  type DerNode,
  integerContent,
  numberOf,
  oidOf,
  readDer,
  requireTag,
  tags,
  timeOf,
} from "./der.ts";
import { extensionsOf, readSigned, requireSameAlgorithm } from "./signed.ts";
import type { Certificate, Extension } from "./types.ts";

const maxBytes = 16 * 1024;

export const oids = {
  basicConstraints: "2.5.29.19",
  keyUsage: "2.5.29.15",
  commonName: "2.5.4.3",
} as const;

/**
 * @param what names the certificate in messages (`PCK certificate`).
 * @throws AttestationError `malformed` for anything but one whole v3 certificate in DER.
 */
export function parseCertificate(what: string, der: Uint8Array): Certificate {
  if (der.length > maxBytes) fail(what, `over ${maxBytes} bytes`);
  const { tbs, algorithmDer, algorithm, signature } = readSigned(what, der);
  const fields = childrenOf(what, tbs);
  const [version, serial, inner, issuer, validity, subject, spki, ...rest] = fields;
  const [number] = childrenOf(what, requireTag(what, version, 0xa0));
  if (numberOf(what, number) !== 2) fail(what, "not version 3");
  requireSameAlgorithm(what, inner, algorithmDer);
  const times = childrenOf(what, requireTag(what, validity, tags.sequence));
  if (times.length !== 2) fail(what, "a validity of other than two times");
  // Unique identifiers ([1], [2]) are obsolete: nobody checks them, so nothing may hide there.
  const [wrapper, ...more] = rest;
  if (more.length > 0) fail(what, "obsolete fields");
  const extensions = wrapper === undefined ? new Map() : extensionsIn(what, wrapper);
  const issuerName = requireTag(what, issuer, tags.sequence);
  const subjectName = requireTag(what, subject, tags.sequence);
  return {
    raw: der,
    tbs: tbs.raw,
    algorithm,
    signature,
    serial: integerContent(what, serial),
    issuer: issuerName.raw,
    subject: subjectName.raw,
    commonName: commonNameOf(what, subjectName),
    issuerCommonName: commonNameOf(what, issuerName),
    notBefore: timeOf(what, times[0]),
    notAfter: timeOf(what, times[1]),
    spki: requireTag(what, spki, tags.sequence).raw,
    ...constraintsOf(what, extensions.get(oids.basicConstraints)),
    keyUsage: keyUsageOf(what, extensions.get(oids.keyUsage)),
    extensions,
  };
}

function extensionsIn(what: string, wrapper: DerNode): ReadonlyMap<string, Extension> {
  const inside = childrenOf(what, requireTag(what, wrapper, 0xa3));
  if (inside.length !== 1) fail(what, "more than one list of extensions");
  return extensionsOf(what, inside[0] as DerNode);
}

function commonNameOf(what: string, name: DerNode): string | undefined {
  const found: string[] = [];
  for (const set of childrenOf(what, name)) {
    for (const attribute of childrenOf(what, requireTag(what, set, tags.set))) {
      const [type, value] = childrenOf(what, requireTag(what, attribute, tags.sequence));
      if (oidOf(type) !== oids.commonName || value === undefined) continue;
      found.push(textOfBytes(`${what}: common name`, value.content));
    }
  }
  return found.length === 1 ? found[0] : undefined;
}

function constraintsOf(
  what: string,
  extension: Extension | undefined,
): Pick<Certificate, "ca" | "pathLength"> {
  if (extension === undefined) return { ca: false, pathLength: undefined };
  const fields = childrenOf(what, requireTag(what, readDer(what, extension.value), tags.sequence));
  const [first, second] = fields;
  const ca = first?.tag === tags.boolean && booleanOf(what, first);
  const length = first?.tag === tags.boolean ? second : first;
  return { ca, pathLength: length === undefined ? undefined : numberOf(what, length) };
}

/** KeyUsage ::= BIT STRING: bit 0 digitalSignature, 5 keyCertSign, 6 cRLSign, counted from the left. */
function keyUsageOf(what: string, extension: Extension | undefined): Certificate["keyUsage"] {
  if (extension === undefined) return undefined;
  const { content } = requireTag(what, readDer(what, extension.value), tags.bitString);
  const bits = content[1] ?? 0;
  return {
    digitalSignature: (bits & 0x80) !== 0,
    certSign: (bits & 0x04) !== 0,
    crlSign: (bits & 0x02) !== 0,
  };
}

function fail(what: string, reason: string): never {
  throw new AttestationError("malformed", `${what} is not acceptable X.509: ${reason}.`);
}
