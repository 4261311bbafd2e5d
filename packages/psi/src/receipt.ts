/** The signed receipt of a run: counts and digests, no item. */
import type { AttestationResult } from "@vivarium/attestation";
import {
  type Clock,
  type Crypto,
  type Encodable,
  type Random,
  type Signer,
  toHex,
} from "@vivarium/core";
import { commit, endorseReceiptKey, receiptParty, signReceipt } from "@vivarium/seal";
import { protocol } from "./agree.ts";
import type { PsiResult } from "./options.ts";
import { decimalText } from "./payload.ts";

export const receiptKind = "psi/run";

/** What the receipt says. The session id stays out: it is keying material of the channel. */
export function receiptBody(result: PsiResult): { readonly [key: string]: Encodable } {
  return {
    protocol,
    variant: result.protocol,
    // In mode sum: the sender trusts the receiver's with the numbers of common items.
    trusts: trustOf(result),
    role: result.role,
    mode: result.mode,
    resultTo: result.resultTo,
    matches: result.matches ?? null,
    ...(result.statistics === undefined
      ? {}
      : {
          values: result.statistics.values,
          sum: decimalText(result.statistics.sum, result.statistics.decimals),
        }),
    keys: result.keys,
    items: result.items,
    peerItems: result.peerItems,
    bytesSent: result.bytesSent,
    bytesReceived: result.bytesReceived,
    config: toHex(result.configDigest),
    transcript: toHex(result.transcript),
  };
}

function trustOf({ protocol, mode }: PsiResult): string {
  if (protocol === "attested") return "the peer's TEE";
  return mode === "sum" ? "the receiver's TEE" : "cryptography";
}

export interface PsiReceiptOptions {
  readonly crypto: Crypto;
  readonly clock: Clock;
  readonly random: Random;
  /** The peer as this side verified it. */
  readonly peer: AttestationResult;
  /** Worker key; it vouches for the receipt key. */
  readonly signer: Signer;
  readonly receiptSigner: Signer;
  readonly delegation: Uint8Array;
}

export interface PsiReceipt {
  readonly bytes: Uint8Array<ArrayBuffer>;
  /** Opens the commitment to the input, together with its digest. Private. */
  readonly inputSalt: Uint8Array<ArrayBuffer>;
}

/** Signs the receipt of a finished run. @throws SealError */
export async function createPsiReceipt(
  result: PsiResult,
  options: PsiReceiptOptions,
): Promise<PsiReceipt> {
  const { crypto, clock, random, peer, signer, receiptSigner, delegation } = options;
  const inputSalt = random.bytes(32);
  const content = {
    kind: receiptKind,
    issuedAt: clock.now(),
    body: receiptBody(result),
    commitments: { input: await commit(crypto, result.inputDigest, inputSalt) },
    parties: [receiptParty(peer)],
  };
  const endorsement = await endorseReceiptKey(signer, receiptSigner.publicKey);
  return { bytes: await signReceipt(content, receiptSigner, delegation, endorsement), inputSalt };
}
