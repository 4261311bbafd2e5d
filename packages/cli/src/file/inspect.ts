/** What `file inspect` does. */
import { type FileHandle, open } from "node:fs/promises";
import { toHex } from "@vivarium/core";
import { describeSealedFile, fileStore, openSealedFile } from "@vivarium/seal";
import type { Action } from "../command.ts";
import { fileError } from "../files.ts";
import { openFileKey } from "./key.ts";
import { eachPiece } from "./open.ts";
import type { InspectOptions } from "./options.ts";

export const inspect: Action<InspectOptions> = async (context, options, file = "") => {
  const path = context.path(file);
  const wrapper =
    options.key === undefined ? undefined : await openFileKey(context.path(options.key));
  let handle: FileHandle | undefined;
  try {
    handle = await open(path, "r").catch((cause) => {
      throw fileError(cause, path, "sealed file", "read");
    });
    const store = fileStore(handle);
    const { id, ...said } = await describeSealedFile(store);
    if (wrapper !== undefined) {
      const { name, type } = said;
      const expected = { name, type, minimumVersion: 0, wrapper };
      await using sealed = await openSealedFile(store, expected);
      await eachPiece(sealed, context.io.signal, async () => {});
    }
    const verified = wrapper !== undefined;
    context.print({ file: path, verified, ...said, id: toHex(id) }, [
      verified
        ? "Verified with the key: header and content are authentic and whole."
        : "NOT VERIFIED: this is what the file says; whoever can write it can write this.",
      `name     ${said.name}`,
      `version  ${said.version}${verified ? " (whether a newer one exists, the file cannot say)" : ""}`,
      `type     ${said.type}`,
      `length   ${said.length} bytes in ${said.chunks} chunks of ${said.chunkBytes}`,
      `key      ${said.wrapper}`,
      `id       ${toHex(id)}`,
      ...(said.bytes === said.expectedBytes
        ? []
        : [`The file has ${said.bytes} bytes and should have ${said.expectedBytes}.`]),
    ]);
  } finally {
    await handle?.close();
  }
  return 0;
};
