/**
 * Payloads under the output of the OPRF. Each item has a key of its own, used once, so that the nonce can
 * be zero.
 */
import { createCipheriv, createDecipheriv } from "node:crypto";
import { PsiError } from "./errors.ts";

const keyBytes = 32;
/** What sealing adds to a payload. */
export const sealBytes = 16;
const nonce = new Uint8Array(12);

/** AES-256-GCM of n payloads of `bytes` under n keys: ciphertext ‖ authentication tag each. */
export function sealPayloads(
  keys: Uint8Array,
  payloads: Uint8Array,
  bytes: number,
): Uint8Array<ArrayBuffer> {
  const n = keys.length / keyBytes;
  const out = new Uint8Array(n * (bytes + sealBytes));
  for (let i = 0; i < n; i++) {
    const key = keys.subarray(i * keyBytes, (i + 1) * keyBytes);
    const cipher = createCipheriv("aes-256-gcm", key, nonce);
    const at = i * (bytes + sealBytes);
    out.set(cipher.update(payloads.subarray(i * bytes, (i + 1) * bytes)), at);
    cipher.final();
    out.set(cipher.getAuthTag(), at + bytes);
  }
  return out;
}

/** The payloads again. @throws PsiError `protocol` for one that does not open. */
export function openPayloads(
  keys: Uint8Array,
  sealed: Uint8Array,
  bytes: number,
): Uint8Array<ArrayBuffer> {
  const n = keys.length / keyBytes;
  const out = new Uint8Array(n * bytes);
  for (let i = 0; i < n; i++) {
    const key = keys.subarray(i * keyBytes, (i + 1) * keyBytes);
    const at = i * (bytes + sealBytes);
    const decipher = createDecipheriv("aes-256-gcm", key, nonce, { authTagLength: sealBytes });
    decipher.setAuthTag(sealed.subarray(at + bytes, at + bytes + sealBytes));
    try {
      out.set(decipher.update(sealed.subarray(at, at + bytes)), i * bytes);
      decipher.final();
    } catch (cause) {
      throw new PsiError("protocol", "A payload of the peer does not open.", { cause });
    }
  }
  return out;
}
