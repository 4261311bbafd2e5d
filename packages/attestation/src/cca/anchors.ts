/**
 * Trust anchors of CCA platforms: the public CPAK of each instance. There is no vendor root to pin;
 * whoever makes the platform hands the keys out.
 */

import { fromBase64Url, fromHex, toHex } from "@vivarium/core";
import { AttestationError } from "../errors.ts";
import { spkiOf } from "../keys.ts";
import { textOfBytes } from "../reader.ts";
import { decodePem } from "../x509/pem.ts";
import type { PlatformClaims } from "./token.ts";

interface TrustAnchor {
  /** SPKI DER. */
  readonly key: Uint8Array;
  /** Lower-case hex; undefined in a bare key, which stands for every platform of the caller's. */
  readonly implementationId: string | undefined;
  readonly instanceId: string | undefined;
}

const maxBytes = 1024 * 1024;
const maxAnchors = 10_000;

/**
 * Keys for this platform. Forms: a list of `{ pkey, implementation-id, instance-id }` as of
 * rust-ccatoken and trustee, a JWK, or a public key in PEM.
 * @throws AttestationError `malformed`.
 */
export function anchorsFor(bytes: Uint8Array, platform: PlatformClaims): readonly Uint8Array[] {
  const implementation = toHex(platform.implementationId);
  const instance = toHex(platform.instanceId);
  return parseAnchors(bytes)
    .filter(
      ({ implementationId, instanceId }) =>
        (implementationId ?? implementation) === implementation &&
        (instanceId ?? instance) === instance,
    )
    .map(({ key }) => key);
}

function parseAnchors(bytes: Uint8Array): readonly TrustAnchor[] {
  if (bytes.length > maxBytes) fail(`are over ${maxBytes} bytes`);
  const text = textOfBytes("CCA trust anchors", bytes);
  if (text.includes("-----BEGIN PUBLIC KEY-----")) {
    return decodePem("Trust anchors", text, "PUBLIC KEY").map((key) => ({
      key,
      implementationId: undefined,
      instanceId: undefined,
    }));
  }
  let document: unknown;
  try {
    document = JSON.parse(text);
  } catch (cause) {
    throw new AttestationError("malformed", "The CCA trust anchors are not JSON.", { cause });
  }
  const list = Array.isArray(document) ? document : [document];
  if (list.length > maxAnchors) fail(`are more than ${maxAnchors}`);
  return list.map(anchorOf);
}

function anchorOf(value: unknown): TrustAnchor {
  const field = fieldsOf(value);
  if (field("kty") !== undefined) {
    return { key: keyOf(value), implementationId: undefined, instanceId: undefined };
  }
  return {
    key: keyOf(field("pkey")),
    implementationId: idOf(field("implementation-id"), 32),
    instanceId: idOf(field("instance-id"), 33),
  };
}

/** A store that names neither of both would make its key good for everybody's platform. */
function idOf(value: unknown, length: number): string {
  const ok =
    typeof value === "string" && value.length === 2 * length && /^[0-9a-fA-F]+$/.test(value);
  return ok ? toHex(fromHex(value)) : fail(`have an identifier that is not ${length} bytes of hex`);
}

/** JWK (RFC 7517) of an EC key. */
function keyOf(value: unknown): Uint8Array {
  const field = fieldsOf(value);
  const curve = ({ "P-256": "ES256", "P-384": "ES384" } as const)[String(field("crv"))];
  const x = field("x");
  const y = field("y");
  if (
    field("kty") !== "EC" ||
    curve === undefined ||
    typeof x !== "string" ||
    typeof y !== "string"
  ) {
    fail("have a key that is not a JWK of P-256 or P-384");
  }
  return spkiOf(curve, coordinate(x), coordinate(y));
}

function coordinate(text: string): Uint8Array {
  try {
    return fromBase64Url(text);
  } catch (cause) {
    throw new AttestationError("malformed", "A key's coordinate is not base64url.", { cause });
  }
}

function fieldsOf(value: unknown): (name: string) => unknown {
  if (typeof value !== "object" || value === null) fail("do not have their form");
  const object = value as Readonly<Record<string, unknown>>;
  return (name) => (Object.hasOwn(object, name) ? object[name] : undefined);
}

function fail(reason: string): never {
  throw new AttestationError("malformed", `The CCA trust anchors ${reason}.`);
}
