/**
 * What a PCK certificate says of its platform. Source: Intel SGX PCK Certificate and CRL Profile
 * Specification, section 1.3.5 (extension 1.2.840.113741.1.13.1).
 */
import { toHex } from "@vivarium/core";
import { AttestationError } from "../errors.ts";
import {
  booleanOf,
  childrenOf,
  type DerNode,
  numberOf,
  oidOf,
  readDer,
  requireTag,
  tags,
} from "../x509/der.ts";
import type { Certificate } from "../x509/types.ts";

export const sgxExtension = "1.2.840.113741.1.13.1";

export interface PlatformTcb {
  /** SVNs of the 16 SGX TCB components. */
  readonly components: readonly number[];
  readonly pceSvn: number;
  /** Lower-case hex. */
  readonly fmspc: string;
  readonly pceId: string;
  readonly sgxType: number;
  /** Of multi-package platforms; undefined where the certificate does not say. */
  readonly dynamicPlatform: boolean | undefined;
  readonly cachedKeys: boolean | undefined;
  readonly smtEnabled: boolean | undefined;
}

/** @throws AttestationError `malformed`. */
export function platformTcbOf(certificate: Certificate): PlatformTcb {
  const extension = certificate.extensions.get(sgxExtension);
  if (extension === undefined) {
    throw new AttestationError("malformed", "The PCK certificate has no SGX extension.");
  }
  const fields = valuesOf(readDer(what, extension.value));
  const tcb = valuesOf(fieldOf(fields, "2"));
  const configuration = fields.has(`${sgxExtension}.7`)
    ? valuesOf(fieldOf(fields, "7"))
    : undefined;
  const flag = (arc: string): boolean | undefined => {
    const node = configuration?.get(`${sgxExtension}.7.${arc}`);
    return node === undefined ? undefined : booleanOf(what, node);
  };
  return {
    components: Array.from({ length: 16 }, (_, i) => svnOf(fieldOf(tcb, `2.${i + 1}`), 255)),
    pceSvn: svnOf(fieldOf(tcb, "2.17"), 65_535),
    pceId: toHex(octetsOf(fieldOf(fields, "3"), 2)),
    fmspc: toHex(octetsOf(fieldOf(fields, "4"), 6)),
    sgxType: numberOf(what, { ...requireTag(what, fieldOf(fields, "5"), 0x0a), tag: tags.integer }),
    dynamicPlatform: flag("1"),
    cachedKeys: flag("2"),
    smtEnabled: flag("3"),
  };
}

const what = "SGX extension of the PCK certificate";

/** SEQUENCE OF SEQUENCE { OID, value }, each OID once. */
function valuesOf(node: DerNode): ReadonlyMap<string, DerNode> {
  const values = new Map<string, DerNode>();
  for (const pair of childrenOf(what, requireTag(what, node, tags.sequence))) {
    const [oid, value, ...more] = childrenOf(what, requireTag(what, pair, tags.sequence));
    const name = oidOf(oid);
    if (value === undefined || more.length > 0 || values.has(name)) {
      throw new AttestationError("malformed", `${what} is not a list of single values.`);
    }
    values.set(name, value);
  }
  return values;
}

function fieldOf(values: ReadonlyMap<string, DerNode>, arc: string): DerNode {
  const value = values.get(`${sgxExtension}.${arc}`);
  if (value === undefined) throw new AttestationError("malformed", `${what} lacks field ${arc}.`);
  return value;
}

function svnOf(node: DerNode, max: number): number {
  const value = numberOf(what, node);
  if (value > max) throw new AttestationError("malformed", `${what} has an SVN over ${max}.`);
  return value;
}

function octetsOf(node: DerNode, length: number): Uint8Array {
  const { content } = requireTag(what, node, tags.octetString);
  if (content.length !== length) {
    throw new AttestationError("malformed", `${what} has a field of another length.`);
  }
  return content;
}
