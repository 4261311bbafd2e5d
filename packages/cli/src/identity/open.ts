/** Long-term identities: one key file each, in the state directory. */
import { join } from "node:path";
import { fingerprint } from "@vivarium/attestation";
import { openKeyFile } from "@vivarium/attestation/collect";
import type { Signer } from "@vivarium/core";
import { nodeCrypto } from "@vivarium/core/node";
import { CliError } from "../errors/error.ts";
import type { State } from "../state.ts";

export interface NamedIdentity {
  readonly name: string;
  readonly signer: Signer;
  /** `sha256:…` */
  readonly fingerprint: string;
}

/** A name is part of a file name and of what others read aloud. */
export const identityName: RegExp = /^[a-z0-9](?:[a-z0-9-]{0,62}[a-z0-9])?$/;

export function identityPath(state: State, name: string): string {
  if (!identityName.test(name)) {
    throw new CliError(
      "usage",
      `The identity name ${JSON.stringify(name.slice(0, 80))} must be 1 to 64 lower-case letters, digits and inner hyphens.`,
    );
  }
  return join(state.identities, `${name}.key`);
}

/**
 * Opens an identity; the only one there is if no name is given.
 * @throws CliError `no-identity`; AttestationError for a file that is not private or not a key.
 */
export async function openIdentity(
  state: State,
  wanted: string | undefined,
): Promise<NamedIdentity> {
  const names = await state.identityNames();
  const name = wanted ?? (names.length === 1 ? names[0] : undefined);
  if (name === undefined || !names.includes(name)) {
    throw new CliError(
      "no-identity",
      name !== undefined
        ? `There is no identity ${name} in ${state.path}; there are: ${names.join(", ") || "none"}.`
        : names.length === 0
          ? `There is no identity in ${state.path}.`
          : `There are several identities: ${names.join(", ")}; name one.`,
    );
  }
  const signer = await openKeyFile(identityPath(state, name), { kind: "identity", create: false });
  return { name, signer, fingerprint: await fingerprint(nodeCrypto(), signer.publicKey) };
}

/** A fingerprint in groups of four digits, to be read aloud and compared. */
export function spoken(fingerprint: string): string {
  const [hash = "", digits = ""] = fingerprint.split(":");
  return `${hash} ${digits.replace(/(.{4})(?=.)/g, "$1 ")}`;
}
