/** Wrapping: how the random key of one sealed file is itself protected. */
import { createCipheriv, createDecipheriv, createHmac, hkdfSync, randomBytes } from "node:crypto";
import { concat, labels, lengthPrefixed, toHex } from "@vivarium/core";
import { SealError } from "./errors.ts";
import type { Secret } from "./secret.ts";

/** A secret held here, a KMS, a TEE's sealing key. */
export interface KeyWrapper {
  /** Stands in the header; a file opens only with a wrapper of the same name. 1 to 64 characters. */
  readonly name: string;
  /** @param context is bound to the wrapped key (a KMS's "encryption context"). At most 4 KiB come back. */
  wrap(key: Uint8Array, context: Uint8Array): Promise<Uint8Array>;
  /** @throws SealError `wrong-key` if it was wrapped by another key, or for another context. */
  unwrap(wrapped: Uint8Array, context: Uint8Array): Promise<Uint8Array>;
}

const saltBytes = 32;
const tagBytes = 16;

/**
 * Wraps under a secret of at least 32 random bytes: not a password, there is no stretching. Each
 * wrapping has an AES-256-GCM key of its own, HKDF-SHA256 of the secret and 32 random bytes, so
 * that its nonce can be zero and there is no bound on the number of files.
 */
export function secretKeyWrapper(name: string, secret: Secret): KeyWrapper {
  if (secret.reveal().length < 32) {
    throw new SealError("invalid-argument", "A wrapping secret has at least 32 bytes.");
  }
  const keyFor = (salt: Uint8Array, context: Uint8Array): Uint8Array =>
    new Uint8Array(
      hkdfSync("sha256", secret.reveal(), salt, lengthPrefixed(labels.fileWrap, name, context), 32),
    );
  const nonce = new Uint8Array(12);
  return {
    name,
    wrap: async (key, context) => {
      const salt = new Uint8Array(randomBytes(saltBytes));
      const wrapping = keyFor(salt, context);
      const cipher = createCipheriv("aes-256-gcm", wrapping, nonce);
      const body = concat(cipher.update(key), cipher.final(), cipher.getAuthTag());
      wrapping.fill(0);
      return concat(salt, body);
    },
    unwrap: async (wrapped, context) => {
      if (wrapped.length < saltBytes + tagBytes) {
        throw new SealError("wrong-key", "The wrapped key of the file is too short.");
      }
      const wrapping = keyFor(wrapped.subarray(0, saltBytes), context);
      const end = wrapped.length - tagBytes;
      const decipher = createDecipheriv("aes-256-gcm", wrapping, nonce, {
        authTagLength: tagBytes,
      });
      wrapping.fill(0);
      decipher.setAuthTag(wrapped.subarray(end));
      try {
        return concat(decipher.update(wrapped.subarray(saltBytes, end)), decipher.final());
      } catch (cause) {
        throw new SealError("wrong-key", "The key does not open this file.", { cause });
      }
    },
  };
}

/**
 * A name for a wrapping secret that follows from it, so that a file says which key it wants without
 * saying anything else of it: `key-` and 16 hexadecimal digits.
 */
export function wrappingKeyName(secret: Secret): string {
  const mac = createHmac("sha256", secret.reveal()).update(labels.fileKeyName).digest();
  return `key-${toHex(mac.subarray(0, 8))}`;
}
