/**
 * Secrets as values that end and do not show themselves. JavaScript may have copied the bytes
 * elsewhere before they came here; zeroing what we hold shortens their life, it does not erase them.
 */
import { equalBytes } from "@vivarium/core";
import { SealError } from "./errors.ts";

/** Where secrets come from: a file, a key broker, Vault. Implemented by the layers above. */
export interface SecretSource {
  /** The caller closes what it gets. */
  get(name: string, options?: { readonly signal?: AbortSignal }): Promise<Secret>;
}

/** Bytes that print as `[secret]` and are zeroed on close. */
export class Secret implements Disposable {
  #bytes: Uint8Array<ArrayBuffer> | undefined;

  static {
    // What `console.log` and `util.inspect` show.
    Object.defineProperty(Secret.prototype, Symbol.for("nodejs.util.inspect.custom"), {
      value: () => "[secret]",
    });
  }

  /** Takes a copy; zero your own. @param bytes 1 byte to 1 MiB. */
  constructor(bytes: Uint8Array) {
    if (bytes.length === 0 || bytes.length > 1024 * 1024) {
      throw new SealError("invalid-argument", "A secret has 1 byte to 1 MiB.");
    }
    this.#bytes = new Uint8Array(bytes);
  }

  /** The bytes themselves, not a copy: do not keep them. @throws SealError `closed`. */
  reveal(): Uint8Array<ArrayBuffer> {
    if (this.#bytes === undefined) throw new SealError("closed", "The secret has been closed.");
    return this.#bytes;
  }

  /** In constant time. @throws SealError `closed`. */
  equals(other: Secret): boolean {
    return equalBytes(this.reveal(), other.reveal());
  }

  /** Zeroes the bytes; may be called twice. */
  close(): void {
    this.#bytes?.fill(0);
    this.#bytes = undefined;
  }

  [Symbol.dispose](): void {
    this.close();
  }

  toString(): string {
    return "[secret]";
  }

  toJSON(): string {
    return "[secret]";
  }
}
