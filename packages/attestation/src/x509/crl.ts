/** X.509 v2 certificate revocation lists. Source: RFC 5280 section 5. */
import { toHex } from "@vivarium/core";
import { AttestationError } from "../errors.ts";
import { childrenOf, integerContent, numberOf, requireTag, tags, timeOf } from "./der.ts";
import { extensionsOf, readSigned, requireSameAlgorithm } from "./signed.ts";
import type { Extension, RevocationCrl } from "./types.ts";

const maxBytes = 4 * 1024 * 1024;

/** @throws AttestationError `malformed` for anything but one whole v2 CRL in DER. */
export function parseCrl(what: string, der: Uint8Array): RevocationCrl {
  if (der.length > maxBytes) fail(what, `over ${maxBytes} bytes`);
  const { tbs, algorithmDer, algorithm, signature } = readSigned(what, der);
  const fields = childrenOf(what, tbs);
  const [version, inner, issuer, thisUpdate, nextUpdate, ...rest] = fields;
  if (numberOf(what, version) !== 1) fail(what, "not version 2");
  requireSameAlgorithm(what, inner, algorithmDer);
  const revoked = new Set<string>();
  let extensions: ReadonlyMap<string, Extension> = new Map();
  let [list] = rest;
  let extra = rest.slice(1);
  // The list is absent, not empty, if nothing is revoked.
  if (list?.tag === 0xa0) {
    extra = rest;
    list = undefined;
  }
  if (list !== undefined) {
    for (const entry of childrenOf(what, requireTag(what, list, tags.sequence))) {
      const [serial] = childrenOf(what, requireTag(what, entry, tags.sequence));
      revoked.add(toHex(integerContent(what, serial)));
    }
  }
  const [wrapper, ...more] = extra;
  if (more.length > 0) fail(what, "extra fields");
  if (wrapper !== undefined) {
    const [inside, ...others] = childrenOf(what, requireTag(what, wrapper, 0xa0));
    if (inside === undefined || others.length > 0) fail(what, "other than one list of extensions");
    extensions = extensionsOf(what, inside);
  }
  return {
    raw: der,
    tbs: tbs.raw,
    algorithm,
    signature,
    issuer: requireTag(what, issuer, tags.sequence).raw,
    thisUpdate: timeOf(what, thisUpdate),
    nextUpdate: timeOf(what, nextUpdate),
    revoked,
    extensions,
  };
}

function fail(what: string, reason: string): never {
  throw new AttestationError("malformed", `${what} is not an acceptable CRL: ${reason}.`);
}
