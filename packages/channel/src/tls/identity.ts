/** The TLS key of a process: fresh, in memory only, with a certificate that says nothing. */
import { webcrypto } from "node:crypto";
import { createSecureContext, type SecureContext } from "node:tls";
import type { Clock, Random } from "@vivarium/core";
import { systemRandom, toHex } from "@vivarium/core";
import { ChannelError } from "../errors.ts";
import { contextOptions } from "./context.ts";
import { withReflectMetadata } from "./reflect.ts";

/** A P-256 key with its self-signed certificate. The private half cannot be read from it. */
export interface TlsIdentity {
  /** SubjectPublicKeyInfo DER: `keys.tls` of the statement. */
  readonly spki: Uint8Array;
}

/** PEM texts for `node:tls`, away from the object that callers pass around and may log. */
const secrets = new WeakMap<TlsIdentity, TlsSecrets>();

export interface TlsSecrets {
  readonly cert: string;
  readonly key: string;
  /** For clients: parsing the key for every connection would cost a tenth of a handshake. */
  readonly context: SecureContext;
}

/** @throws ChannelError `connection-failed` for an object that {@link createTlsIdentity} did not make. */
export function secretsOf(identity: TlsIdentity): TlsSecrets {
  const found = secrets.get(identity);
  if (found === undefined) {
    throw new ChannelError("connection-failed", "A TLS identity is made by createTlsIdentity().");
  }
  return found;
}

const yearMs = 365 * 24 * 60 * 60 * 1000;

/** A key with its self-signed certificate, as PEM, for a service whose clients pin the key. */
export interface ServiceCertificate {
  /** SubjectPublicKeyInfo DER. */
  readonly spki: Uint8Array;
  readonly cert: string;
  /** PKCS #8: secret. */
  readonly key: string;
}

/** A fresh P-256 key that the caller keeps, and a certificate over it for a year. */
export async function createServiceCertificate(options: {
  readonly clock: Clock;
  readonly random?: Random;
}): Promise<ServiceCertificate> {
  const { X509CertificateGenerator } = await withReflectMetadata(
    async () => await import("@peculiar/x509"),
  );
  const keys = await webcrypto.subtle.generateKey({ name: "ECDSA", namedCurve: "P-256" }, true, [
    "sign",
    "verify",
  ]);
  // RFC 5280 4.1.2.2: positive, at most 20 bytes.
  const serial = (options.random ?? systemRandom()).bytes(16);
  serial[0] = ((serial[0] as number) & 0x7f) | 0x40;
  const now = options.clock.now();
  const certificate = await X509CertificateGenerator.createSelfSigned(
    {
      serialNumber: toHex(serial),
      // Names and dates carry no security here: evidence binds the key, delegations bound the time.
      name: "CN=vivarium",
      notBefore: new Date(now - 24 * 60 * 60 * 1000),
      notAfter: new Date(now + yearMs),
      keys,
      signingAlgorithm: { name: "ECDSA", hash: "SHA-256" },
    },
    // Explicit: the library's global provider is shared with whoever else uses it in this process.
    webcrypto as unknown as Parameters<typeof X509CertificateGenerator.createSelfSigned>[1],
  );
  const pkcs8 = Buffer.from(await webcrypto.subtle.exportKey("pkcs8", keys.privateKey));
  const spki = new Uint8Array(await webcrypto.subtle.exportKey("spki", keys.publicKey));
  const body = pkcs8.toString("base64").replace(/.{64}/g, "$&\n");
  pkcs8.fill(0);
  const key = `-----BEGIN PRIVATE KEY-----\n${body}\n-----END PRIVATE KEY-----\n`;
  return { spki, cert: certificate.toString("pem"), key };
}

/** A fresh key. One for each process; it dies with it. */
export async function createTlsIdentity(options: {
  readonly clock: Clock;
  readonly random?: Random;
}): Promise<TlsIdentity> {
  const { spki, cert, key } = await createServiceCertificate(options);
  const identity: TlsIdentity = Object.freeze({ spki });
  const context = createSecureContext({ ...contextOptions, cert, key });
  secrets.set(identity, { cert, key, context });
  return identity;
}
