/**
 * TPM evidence as it crosses a channel: deterministic CBOR of the quote, its signature, the PCR values
 * that the quote is a digest of, and the attestation key.
 */
import { bytesOf, type CborValue, decodeCbor, encodeCbor, fieldsOf } from "../cbor.ts";
import { AttestationError } from "../errors.ts";
import { digestBytes } from "./structures.ts";

/** By TPM_ALG_ID, then by index. */
export type PcrBanks = ReadonlyMap<number, ReadonlyMap<number, Uint8Array>>;

export interface TpmEvidence {
  /** TPMS_ATTEST. */
  readonly message: Uint8Array;
  /** TPMT_SIGNATURE. */
  readonly signature: Uint8Array;
  readonly pcrs: PcrBanks;
  /** SubjectPublicKeyInfo of the attestation key: no signature covers more of its public area. */
  readonly ak: Uint8Array;
}

const limits = { maxBytes: 16 * 1024, maxDepth: 3, maxValues: 512 };

export function encodeTpmEvidence(evidence: TpmEvidence): Uint8Array<ArrayBuffer> {
  const banks = [...evidence.pcrs].map(([bank, values]): [number, CborValue] => [
    bank,
    new Map<number, CborValue>(values),
  ]);
  return encodeCbor(
    new Map<string, CborValue>([
      ["message", evidence.message],
      ["signature", evidence.signature],
      ["pcrs", new Map(banks)],
      ["ak", evidence.ak],
    ]),
  );
}

/** @throws AttestationError `malformed`. */
export function decodeTpmEvidence(bytes: Uint8Array): TpmEvidence {
  const document = decodeCbor("TPM evidence", bytes, limits);
  const fields = fieldsOf("TPM evidence", document, ["message", "signature", "pcrs", "ak"]);
  const pcrs = new Map<number, ReadonlyMap<number, Uint8Array>>();
  for (const [bank, values] of entriesOf(fields.pcrs)) {
    const size = digestBytes[bank];
    if (size === undefined) throw new AttestationError("malformed", "A PCR bank is not known.");
    const read = entriesOf(values).map(([index, value]): [number, Uint8Array] => [
      index,
      bytesOf("A PCR", value, size, size),
    ]);
    pcrs.set(bank, new Map(read));
  }
  return {
    message: bytesOf("TPM quote", fields.message, 1, 2048),
    signature: bytesOf("TPM signature", fields.signature, 1, 1024),
    pcrs,
    ak: bytesOf("TPM attestation key", fields.ak, 1, 1200),
  };
}

function entriesOf(value: CborValue): readonly [number, CborValue][] {
  if (!(value instanceof Map)) throw new AttestationError("malformed", "PCRs are not a map.");
  return [...(value as ReadonlyMap<string | number, CborValue>)].map(([key, item]) => {
    if (typeof key !== "number" || key < 0) {
      throw new AttestationError("malformed", "A PCR is not named by a number.");
    }
    return [key, item];
  });
}
