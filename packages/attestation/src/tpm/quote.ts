/** The steps that every TPM quote goes through, whoever vouches for its key. */
import { type Crypto, concat, equalBytes, toHex } from "@vivarium/core";
import type { Examination } from "../examination.ts";
import type { PcrBanks, TpmEvidence } from "./container.ts";
import {
  akAttributes,
  parseTpmPublic,
  parseTpmQuote,
  parseTpmSignature,
  type TpmPublicKey,
  type TpmQuote,
  tpmAlgorithms,
} from "./structures.ts";

const part = (number: number, section: string): string => `TCG TPM 2.0 part ${number}, ${section}`;

/** A SubjectPublicKeyInfo begins as a SEQUENCE, a TPMT_PUBLIC with a small algorithm id. */
export function publicKeyOf(ak: Uint8Array): TpmPublicKey {
  return ak[0] === 0x30
    ? { spki: ak, attributes: undefined, scheme: undefined }
    : parseTpmPublic(ak);
}

/** A key signs with the scheme of its public area and no other: another signature is not of the TPM. */
export function requireAkScheme(
  exam: Examination,
  { scheme }: TpmPublicKey,
  signature: Uint8Array,
): void {
  if (scheme === undefined) return;
  const { algorithm } = parseTpmSignature(signature);
  exam.require("tpm.ak-scheme", scheme === algorithm, scheme, algorithm, part(2, "12.2.3.5"));
}

/** An unrestricted key would sign a forged TPMS_ATTEST for whoever may use it. */
export function requireAkAttributes(exam: Examination, attributes: number): void {
  const { required, forbidden } = akAttributes;
  const ok = (attributes & required) === required && (attributes & forbidden) === 0;
  const actual = `0x${attributes.toString(16)}`;
  const expected = "restricted, sign, fixedTPM, fixedParent, sensitiveDataOrigin";
  exam.require("tpm.ak-attributes", ok, expected, actual, part(2, "8.3"));
}

/** @throws AttestationError `not-genuine` or `malformed`. */
export async function requireQuote(
  exam: Examination,
  crypto: Crypto,
  evidence: TpmEvidence,
): Promise<TpmQuote> {
  const quote = parseTpmQuote(evidence.message);
  const { algorithm, hash, signature } = parseTpmSignature(evidence.signature);
  const ok = await crypto.verify(algorithm, evidence.ak, signature, quote.raw);
  exam.require(
    "tpm.signature",
    ok,
    "signed by the attestation key",
    ok ? "verifies" : "does not verify",
    part(3, "18.4"),
  );
  const values = selectedPcrs(quote, evidence.pcrs);
  const complete = values !== undefined;
  exam.require(
    "tpm.pcr-selection",
    complete,
    "the value of each selected PCR, and no other",
    complete ? "given" : "others",
    part(2, "10.12.1"),
  );
  const digest = await crypto.digest(hash, concat(...(values as readonly Uint8Array[])));
  const same = equalBytes(digest, quote.pcrDigest);
  exam.require("tpm.pcr-digest", same, toHex(quote.pcrDigest), toHex(digest), part(2, "10.12.1"));
  return quote;
}

/** In the order of the selection; undefined unless exactly the selected ones are there. */
function selectedPcrs(quote: TpmQuote, banks: PcrBanks): readonly Uint8Array[] | undefined {
  const values: Uint8Array[] = [];
  for (const { hash, indices } of quote.selections) {
    const bank = banks.get(hash);
    if (bank === undefined ? indices.length > 0 : bank.size !== indices.length) return undefined;
    for (const index of indices) {
      const value = bank?.get(index);
      if (value === undefined) return undefined;
      values.push(value);
    }
  }
  const selected = new Set(quote.selections.map(({ hash }) => hash));
  return [...banks.keys()].every((bank) => selected.has(bank)) ? values : undefined;
}

/** TPM_ALG_ID of the bank whose values count; never SHA-1. */
export function strongestBank(banks: PcrBanks): number | undefined {
  return [tpmAlgorithms.sha512, tpmAlgorithms.sha384, tpmAlgorithms.sha256].find(
    (hash) => (banks.get(hash)?.size ?? 0) > 0,
  );
}

/** `pcr00` to `pcr31` of the strongest bank that is not SHA-1. */
export function pcrMeasurements(banks: PcrBanks): Readonly<Record<string, Uint8Array>> {
  const hash = strongestBank(banks);
  const strongest = hash === undefined ? undefined : banks.get(hash);
  const entries = [...(strongest ?? new Map<number, Uint8Array>())].map(([index, value]) => [
    `pcr${String(index).padStart(2, "0")}`,
    value,
  ]);
  return Object.fromEntries(entries) as Record<string, Uint8Array>;
}
