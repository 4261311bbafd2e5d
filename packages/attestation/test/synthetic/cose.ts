/** COSE_Sign1 as an attester makes it. */
import { concat, type Signer } from "@vivarium/core";
import { type CborValue, encodeCbor } from "../../src/cbor.ts";

const algorithms = { ES256: -7, ES384: -35, EdDSA: -8 } as const;

export async function signCose(
  signer: Signer,
  payload: Uint8Array,
  tagged = true,
): Promise<Uint8Array<ArrayBuffer>> {
  const header = encodeCbor(new Map<number, CborValue>([[1, algorithms[signer.algorithm]]]));
  const signature = await signer.sign(
    encodeCbor(["Signature1", header, new Uint8Array(0), payload]),
  );
  const message = encodeCbor([header, new Map(), payload, signature]);
  return tagged ? concat(Uint8Array.of(0xd2), message) : message;
}
