/** What `evidence show` does: prints, and judges nothing. */

import {
  AttestationError,
  type Claim,
  type encodeEvidence,
  evidenceDigest,
} from "@vivarium/attestation";
import { everyVerifier } from "@vivarium/attestation/verifiers";
import { toHex } from "@vivarium/core";
import { nodeCrypto } from "@vivarium/core/node";
import type { Action } from "../command.ts";
import { evidenceTypeOf, readEvidenceFile } from "./input.ts";
import { claimLines } from "./summary.ts";
import { readTokenFile, showToken } from "./token.ts";

export const show: Action<{ type?: string }> = async (context, options, file = "") => {
  const token = await readTokenFile(context.path(file));
  if (token !== undefined) return showToken(context, file, token);
  const read = await readEvidenceFile(context.path(file), evidenceTypeOf(options.type));
  const { evidence } = read;
  const digest = await digestOf(evidence);
  const claims = claimsOf(evidence);
  const value = {
    file,
    form: read.form,
    type: evidence.type,
    simulated: evidence.type === "simulated",
    digest,
    bytes: evidence.bytes.length,
    attachments: Object.keys(evidence.attachments),
    judged: false,
    ...("problem" in claims ? claims : { claims: claims.claims }),
  };
  context.print(value, [
    evidence.type === "simulated"
      ? "SIMULATED evidence: no hardware vouches for any of this."
      : `Evidence of type ${evidence.type} (${read.form}).`,
    "Not judged: nothing of it was verified.",
    `  digest   ${digest ?? "none: too large for a channel"}`,
    `  bytes    ${evidence.bytes.length}`,
    ...("problem" in claims
      ? [`  content  not readable: ${claims.problem}`]
      : claimLines(claims.claims)),
  ]);
  return 0;
};

/** Null for evidence that no channel would carry. */
async function digestOf(evidence: Parameters<typeof encodeEvidence>[0]): Promise<string | null> {
  try {
    return toHex(await evidenceDigest(nodeCrypto(), evidence));
  } catch (error) {
    if (error instanceof AttestationError) return null;
    throw error;
  }
}

function claimsOf(
  evidence: Parameters<typeof encodeEvidence>[0],
): { readonly claims: Readonly<Record<string, Claim>> } | { readonly problem: string } {
  const verifier = everyVerifier().find(({ type }) => type === evidence.type);
  if (verifier === undefined) return { problem: `no verifier for ${evidence.type}` };
  try {
    return { claims: verifier.read(evidence) };
  } catch (error) {
    if (error instanceof AttestationError) return { problem: error.message };
    throw error;
  }
}
