/** What `file rewrap` does. */
import { type FileHandle, open } from "node:fs/promises";
import { fileStore, replaceFile, rewrapSealedFile } from "@vivarium/seal";
import type { Action } from "../command.ts";
import { fileError, refuseExistingFile } from "../files.ts";
import { openFileKey } from "./key.ts";
import type { RewrapOptions } from "./options.ts";

export const rewrap: Action<RewrapOptions> = async (context, options, file = "") => {
  const source = context.path(file);
  const target = options.output === undefined ? source : context.path(options.output);
  if (target !== source) await refuseExistingFile(target, "output");
  const from = await openFileKey(context.path(options.key));
  const to = await openFileKey(context.path(options.to));
  let handle: FileHandle | undefined;
  try {
    handle = await open(source, "r").catch((cause) => {
      throw fileError(cause, source, "sealed file", "read");
    });
    const store = fileStore(handle);
    await replaceFile(target, (fresh) => rewrapSealedFile(store, fresh, { from, to }));
  } finally {
    await handle?.close();
  }
  context.print({ file: target, from: from.name, to: to.name }, [
    `${to.name} opens ${options.output ?? file}; the content was copied as it was, not verified.`,
    `A copy made before still opens with ${from.name}: seal anew if that key has leaked.`,
  ]);
  return 0;
};
