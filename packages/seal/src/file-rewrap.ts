/** Another wrapping of a sealed file's key: for rotation, and for handing a file to another party. */
import { concat } from "@vivarium/core";
import { SealError } from "./errors.ts";
import { encodeHeader, encodePrefix, macBytes, wrapContext } from "./file-format.ts";
import { readHeader, requireWhole, unwrapKey } from "./file-header.ts";
import type { ByteStore } from "./store.ts";
import type { KeyWrapper } from "./wrap.ts";

export interface RewrapOptions {
  /** What opens the file now. */
  readonly from: KeyWrapper;
  /** What is to open it from now on. */
  readonly to: KeyWrapper;
}

const pieceBytes = 1024 * 1024;

/**
 * Copies a sealed file with its key wrapped anew; the chunks stay as they are, and are *not*
 * verified: whoever opens the copy meets what was altered before.
 *
 * It does not take the content from a holder of the old wrapping key who has kept the old file, or
 * its header: the file's own key is the same. Where that matters, open and seal again.
 * @param target empty.
 * @throws SealError as opening does, for header, size and footer.
 */
export async function rewrapSealedFile(
  source: ByteStore,
  target: ByteStore,
  options: RewrapOptions,
): Promise<void> {
  if ((await target.size()) !== 0) {
    throw new SealError("invalid-argument", "A sealed file is rewrapped into an empty store only.");
  }
  const read = await readHeader(source);
  const { key, keys } = await unwrapKey(read, options.from);
  try {
    await requireWhole(source, read, keys);
    const { header, start } = read;
    const wrappedKey = new Uint8Array(await options.to.wrap(key, wrapContext(header.id)));
    const encoded = encodeHeader({ ...header, wrapper: options.to.name, wrappedKey });
    const { mac, footer } = keys.macs(encoded);
    const head = concat(encodePrefix(encoded.length), encoded, mac);
    const end = (await source.size()) - macBytes;
    // Zeros first, as in sealing: a copy that was cut short says so.
    await target.write(0, new Uint8Array(head.length));
    for (let at = start; at < end; at += pieceBytes) {
      const wanted = Math.min(pieceBytes, end - at);
      const piece = await source.read(at, wanted);
      if (piece.length !== wanted) {
        throw new SealError("truncated", "The sealed file became shorter while it was read.");
      }
      await target.write(head.length + at - start, piece);
    }
    await target.write(head.length + end - start, footer);
    await target.sync();
    await target.write(0, head);
    await target.sync();
  } finally {
    key.fill(0);
    keys.close();
  }
}
