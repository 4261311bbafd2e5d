/** Long-term identities in the state directory, by name. */
import { join } from "node:path";
import { fingerprint } from "@vivarium/attestation";
import { openDevelopmentRoot, openKeyFile } from "@vivarium/attestation/collect";
import type { Signer, SigningAlgorithm } from "@vivarium/core";
import { nodeCrypto } from "@vivarium/core/node";
import { CliError } from "../errors/error.ts";
import { makePrivateDirectory } from "../files.ts";
import type { State } from "../state.ts";

export interface Identity {
  readonly name: string;
  readonly signer: Signer;
  /** `sha256:…` of its public key. */
  readonly fingerprint: string;
}

/** @throws CliError `usage` for names that are not safe as file names. */
export function requireName(name: string): string {
  if (!/^[a-z0-9][a-z0-9-]{0,62}$/.test(name)) {
    throw new CliError(
      "usage",
      "A name of an identity has 1 to 63 lower-case letters, digits and hyphens.",
    );
  }
  return name;
}

/** @throws CliError `exists` if there is one of that name. */
export async function createIdentity(
  state: State,
  name: string,
  algorithm: SigningAlgorithm,
): Promise<Identity> {
  requireName(name);
  if ((await state.identityNames()).includes(name)) {
    throw new CliError("exists", `There is an identity ${name} in ${state.path} already.`);
  }
  await makePrivateDirectory(state.identities, "identity directory");
  return await open(state, name, { create: true, algorithm });
}

/**
 * @param name may be left out where there is only one.
 * @throws CliError `no-identity`; AttestationError `unavailable` if others can read the key.
 */
export async function openIdentity(state: State, name: string | undefined): Promise<Identity> {
  const names = await state.identityNames();
  const [first, second] = names;
  if (name === undefined && second !== undefined) {
    throw new CliError("no-identity", `There are several identities: ${names.join(", ")}.`);
  }
  const chosen = name === undefined ? first : requireName(name);
  if (chosen === undefined || !names.includes(chosen)) {
    const which = name === undefined ? "no identity" : `no identity ${name}`;
    throw new CliError("no-identity", `There is ${which} in ${state.path}.`);
  }
  return await open(state, chosen, { create: false });
}

/** The key that signs simulated evidence; made on first use. */
export async function openRoot(
  state: State,
): Promise<{ readonly signer: Signer; readonly fingerprint: string }> {
  const signer = await openDevelopmentRoot(state.developmentRoot, { create: true });
  return { signer, fingerprint: await fingerprint(nodeCrypto(), signer.publicKey) };
}

async function open(
  state: State,
  name: string,
  options: { readonly create: boolean; readonly algorithm?: SigningAlgorithm },
): Promise<Identity> {
  const path = join(state.identities, `${name}.key`);
  const signer = await openKeyFile(path, { ...options, kind: "identity" });
  return { name, signer, fingerprint: await fingerprint(nodeCrypto(), signer.publicKey) };
}

/** Digests to be read out over the telephone: lines of eight groups of four digits. */
export function spoken(digest: string): readonly string[] {
  const groups = digest.replace(/^sha256:/, "").match(/.{1,4}/g) ?? [];
  const lines: string[] = [];
  for (let i = 0; i < groups.length; i += 8) lines.push(groups.slice(i, i + 8).join(" "));
  return lines;
}
