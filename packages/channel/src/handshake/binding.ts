/**
 * The bindings: what evidence and identity signatures are made over. Pure, with golden vectors.
 * Each field stops one attack; `test/binding.test.ts` names it and fails when the field is dropped.
 */
import { type Crypto, labels, lengthPrefixed, u32 } from "@vivarium/core";

export type TlsRole = "client" | "server";
export type ChannelMode = "mutual" | "client-verifies-server";

/** Everything a session's evidence is bound to. */
export interface BindingInput {
  /** A peer must not be talked into the weaker mode. */
  readonly mode: ChannelMode;
  /** TLS role of the attester: a reflected message has the wrong one. */
  readonly role: TlsRole;
  /** Both keys: a man in the middle has another one towards each side. The TLS exporter does not
   * cover the client's certificate, so it must be named here. SubjectPublicKeyInfo DER. */
  readonly clientKey: Uint8Array;
  readonly serverKey: Uint8Array;
  /** 32 bytes of the TLS exporter under the attester's label: this very connection. */
  readonly exporter: Uint8Array;
  /** SHA-256 digests of the Hellos as sent: nonces, versions, roles, clocks. */
  readonly clientHello: Uint8Array;
  readonly serverHello: Uint8Array;
  /** Digest of the attester's statement. */
  readonly statement: Uint8Array;
}

/** Computes a binding; a parameter of the handshake so that tests can forge one. */
export type Binder = (crypto: Crypto, input: BindingInput) => Promise<Uint8Array>;

/** binding(role), 64 bytes. */
export const sessionBinding: Binder = (crypto, input) =>
  crypto.digest(
    "SHA-512",
    lengthPrefixed(
      labels.binding,
      input.mode,
      input.role,
      input.clientKey,
      input.serverKey,
      input.exporter,
      input.clientHello,
      input.serverHello,
      input.statement,
    ),
  );

/** Exporter label of an attester. Two labels: evidence over one shared value could be reflected. */
export function exporterLabel(role: TlsRole): string {
  return role === "client" ? labels.exporterClient : labels.exporterServer;
}

/** SHA-256 of a Hello as it crossed the wire. */
export async function helloDigest(crypto: Crypto, hello: Uint8Array): Promise<Uint8Array> {
  return await crypto.digest("SHA-256", lengthPrefixed(labels.hello, hello));
}

/** What a re-attestation is bound to. */
export interface RebindingInput {
  readonly role: TlsRole;
  /** From 1, rising by one. */
  readonly epoch: number;
  /** Binding of the epoch before, or of the session. */
  readonly previous: Uint8Array;
  /** TLS exporter under the attester's label with {@link nonceContext} as context. */
  readonly exporter: Uint8Array;
  readonly statement: Uint8Array;
}

export type Rebinder = (crypto: Crypto, input: RebindingInput) => Promise<Uint8Array>;

/** Binding of a re-attestation, 64 bytes. */
export const renewedBinding: Rebinder = (crypto, input) =>
  crypto.digest(
    "SHA-512",
    lengthPrefixed(
      labels.rebinding,
      input.role,
      u32(input.epoch),
      input.previous,
      input.exporter,
      input.statement,
    ),
  );

/** Context of the exporter of a re-attestation: SHA-256 over both new nonces. */
export async function nonceContext(
  crypto: Crypto,
  verifierNonce: Uint8Array,
  attesterNonce: Uint8Array,
): Promise<Uint8Array> {
  return await crypto.digest(
    "SHA-256",
    lengthPrefixed(labels.rebinding, verifierNonce, attesterNonce),
  );
}
