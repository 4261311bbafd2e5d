/** Randomness as a parameter. The default is the operating system's generator. */
import { CoreError } from "./errors.ts";

/** A source of cryptographically secure random bytes. */
export interface Random {
  /** @param length number of bytes, 0 to 2^20. */
  bytes(length: number): Uint8Array<ArrayBuffer>;
}

/** The platform's generator (`crypto.getRandomValues`), in Node and browsers. */
export function systemRandom(): Random {
  return {
    bytes(length) {
      if (!Number.isSafeInteger(length) || length < 0 || length > 1_048_576) {
        throw new CoreError("invalid-argument", `Cannot draw ${length} random bytes.`);
      }
      const out = new Uint8Array(length);
      // getRandomValues refuses more than 65,536 bytes a call.
      for (let i = 0; i < length; i += 65_536) {
        globalThis.crypto.getRandomValues(out.subarray(i, i + 65_536));
      }
      return out;
    },
  };
}
