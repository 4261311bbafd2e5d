/** The keys of one sealed file, and its chunks in memory. */
import { createCipheriv, createDecipheriv, createHash, createHmac, hkdfSync } from "node:crypto";
import { concat, labels, lengthPrefixed, u32 } from "@vivarium/core";
import { SealError } from "./errors.ts";
import { encodeHeader, type FileHeader, maxChunks, tagBytes } from "./file-format.ts";
import { release } from "./release.ts";

/** What fits a processor's own cache thrice: sealed, opened and where it goes. */
const pieceBytes = 128 * 1024;

/** Works on chunks in memory. */
export class FileKeys {
  readonly #header: Uint8Array;
  readonly #chunks: Uint8Array;
  readonly #footer: Uint8Array;
  readonly #nonce: Uint8Array;
  readonly #aad: Uint8Array;
  #closed = false;

  /** @param key 32 bytes, zeroed here. */
  constructor(key: Uint8Array, header: FileHeader) {
    const derive = (use: string): Uint8Array =>
      new Uint8Array(hkdfSync("sha256", key, header.id, lengthPrefixed(labels.file, use), 32));
    this.#header = derive("header");
    this.#chunks = derive("chunks");
    this.#footer = derive("footer");
    key.fill(0);
    this.#nonce = new Uint8Array(header.nonce);
    // Without the length, which a streaming writer does not know yet, and the wrapping, which a new
    // wrapping changes. The MAC of the header and the footer hold both.
    const unwrapped = { ...header, length: 0, wrapper: "-", wrappedKey: new Uint8Array(1) };
    const fixed = lengthPrefixed(labels.file, encodeHeader(unwrapped));
    this.#aad = new Uint8Array(createHash("sha256").update(fixed).digest());
  }

  /** MAC behind the header, and footer behind the last chunk. */
  macs(header: Uint8Array): { readonly mac: Uint8Array; readonly footer: Uint8Array } {
    const mac = (key: Uint8Array): Uint8Array =>
      new Uint8Array(createHmac("sha256", key).update(header).digest());
    this.#requireOpen();
    return { mac: mac(this.#header), footer: mac(this.#footer) };
  }

  /** Ciphertext and tag, which stand behind each other in the file. The first is fresh memory. */
  seal(
    index: number,
    last: boolean,
    plaintext: Uint8Array,
  ): { readonly body: Uint8Array; readonly tag: Uint8Array } {
    this.#requireOpen();
    if (index > maxChunks - 1) {
      throw new SealError("limit-exceeded", `A sealed file has at most ${maxChunks} chunks.`);
    }
    const cipher = createCipheriv("aes-256-gcm", this.#chunks, this.#nonceOf(index, last));
    cipher.setAAD(this.#aad);
    const body = cipher.update(plaintext);
    // GCM keeps nothing back: `final` only makes the tag.
    cipher.final();
    return { body, tag: cipher.getAuthTag() };
  }

  /**
   * @param into as long as the plaintext. Holds zeros if it is not this chunk, or was altered; bytes
   *   that are not authenticated stand in it only while this runs.
   * @returns whether it is the chunk.
   */
  open(index: number, last: boolean, sealed: Uint8Array, into: Uint8Array): boolean {
    this.#requireOpen();
    const end = sealed.length - tagBytes;
    if (end < 0 || into.length !== end) return false;
    const decipher = createDecipheriv("aes-256-gcm", this.#chunks, this.#nonceOf(index, last), {
      authTagLength: tagBytes,
    });
    decipher.setAAD(this.#aad);
    decipher.setAuthTag(sealed.subarray(end));
    for (let at = 0; at < end; at += pieceBytes) {
      const piece = decipher.update(sealed.subarray(at, Math.min(end, at + pieceBytes)));
      into.set(piece, at);
      piece.fill(0);
      release(piece);
    }
    try {
      decipher.final();
    } catch {
      into.fill(0);
      return false;
    }
    return true;
  }

  /** Zeroes the keys. */
  close(): void {
    this.#closed = true;
    for (const key of [this.#header, this.#chunks, this.#footer]) key.fill(0);
  }

  #nonceOf(index: number, last: boolean): Uint8Array {
    return concat(this.#nonce, u32(index), new Uint8Array([last ? 1 : 0]));
  }

  // Zeroed keys would still encrypt, under a key that everyone knows.
  #requireOpen(): void {
    if (this.#closed) throw new SealError("closed", "The sealed file has been closed.");
  }
}
