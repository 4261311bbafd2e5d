/** Evidence of SEV and SEV-ES: the owner's statement, and the data that the guest signs with its key. */
import { type Crypto, labels, lengthPrefixed, type Signer } from "@vivarium/core";
import { bytesOf, type CborValue, decodeCbor, encodeCbor, fieldsOf } from "../cbor.ts";
import { AttestationError } from "../errors.ts";
import type { Attester } from "../evidence.ts";
import { keyAlgorithm } from "../keys.ts";
import { reportDataFor } from "../report-data.ts";
import { maxSevLaunchBytes, parseSevLaunch, type SignedSevLaunch } from "./launch.ts";
import { sevTypeOf } from "./policy.ts";

export interface SevEvidence {
  readonly launch: SignedSevLaunch;
  readonly reportData: Uint8Array;
  readonly signed: Uint8Array;
  readonly signature: Uint8Array;
}

const limits = { maxBytes: 2048, maxDepth: 1, maxValues: 16 };

/** @throws AttestationError `malformed`. */
export function parseSevEvidence(bytes: Uint8Array): SevEvidence {
  const what = "SEV evidence";
  const names = ["launch", "reportData", "signature"] as const;
  const fields = fieldsOf(what, decodeCbor(what, bytes, limits), names);
  const launch = bytesOf(`${what}: launch`, fields.launch, 1, maxSevLaunchBytes);
  const reportData = bytesOf(`${what}: report data`, fields.reportData, 64, 64);
  return {
    launch: parseSevLaunch(launch),
    reportData,
    signed: signedBytes(launch, reportData),
    signature: bytesOf(`${what}: signature`, fields.signature, 64, 96),
  };
}

/** @param key that the owner gave to this guest at its launch. */
export function sevAttester(crypto: Crypto, key: Signer, launch: Uint8Array): Attester {
  const type = sevTypeOf(parseSevLaunch(launch).statement.policy);
  return {
    type,
    async collect(binding) {
      const reportData = await reportDataFor(crypto, type, binding);
      const signature = await key.sign(signedBytes(launch, reportData));
      const bytes = encodeCbor(
        new Map<string, CborValue>([
          ["launch", launch],
          ["reportData", reportData],
          ["signature", signature],
        ]),
      );
      return { type, bytes, attachments: {} };
    },
  };
}

/**
 * The attester of a guest from the secret that was injected into it.
 * @throws AttestationError `malformed` for another secret, or one whose key is not the statement's.
 */
export async function openSevSecret(crypto: Crypto, secret: Uint8Array): Promise<Attester> {
  const what = "SEV secret";
  const fields = fieldsOf(what, decodeCbor(what, secret, limits), ["key", "launch"]);
  const pkcs8 = bytesOf(`${what}: key`, fields.key, 32, 512);
  const launch = bytesOf(`${what}: launch`, fields.launch, 1, maxSevLaunchBytes);
  const { statement } = parseSevLaunch(launch);
  const key = await crypto.importSigner(keyAlgorithm(statement.key), pkcs8);
  pkcs8.fill(0);
  const same = key.publicKey.every((byte, i) => byte === statement.key[i]);
  if (!same || key.publicKey.length !== statement.key.length) {
    throw new AttestationError("malformed", "The SEV secret holds another key than its statement.");
  }
  return sevAttester(crypto, key, launch);
}

/** The whole statement is inside: its key signs for one launch. */
function signedBytes(launch: Uint8Array, reportData: Uint8Array): Uint8Array {
  return lengthPrefixed(labels.sevBinding, launch, reportData);
}
