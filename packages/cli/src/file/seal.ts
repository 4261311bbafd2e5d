/** What `file seal` does. */
import { type FileHandle, open } from "node:fs/promises";
import { basename } from "node:path";
import { throwIfAborted } from "@vivarium/core";
import { sealFileAt } from "@vivarium/seal";
import type { Action } from "../command.ts";
import { CliError } from "../errors/error.ts";
import { fileError, refuseExistingFile } from "../files.ts";
import { openFileKey } from "./key.ts";
import { defaultType, type SealOptions, suffix, wholeNumber } from "./options.ts";
import { versionsOf } from "./versions.ts";

/** Several chunks: whole ones are sealed where they are. */
const pieceBytes = 4 * 1024 * 1024;

export const seal: Action<SealOptions> = async (context, options, file = "") => {
  const { name = basename(file), type = defaultType } = options;
  const output = options.output ?? `${file}${suffix}`;
  const [source, target] = [context.path(file), context.path(output)];
  if (source === target) throw new CliError("usage", "A file cannot be sealed into itself.");
  if (options.replace !== true) await refuseExistingFile(target, "sealed file");
  const wrapper = await openFileKey(context.path(options.key));
  const versions = await versionsOf(context, name, type);
  const given = options.fileVersion;
  const version =
    given === undefined ? (await versions.newest()) + 1 : wholeNumber("--file-version", given, 1);
  let bytes = 0;
  let handle: FileHandle | undefined;
  try {
    handle = await open(source, "r").catch((cause) => {
      throw fileError(cause, source, "file", "read");
    });
    const pieces = read(handle, source, context.io.signal, (count) => {
      bytes += count;
    });
    await sealFileAt(target, pieces, { name, version, type, wrapper });
  } finally {
    await handle?.close();
  }
  await versions.saw(version);
  context.print({ file: target, name, version, type, bytes, key: wrapper.name }, [
    `Sealed ${file} into ${output}: ${bytes} bytes, name "${name}", version ${version}, key ${wrapper.name}.`,
    "Name, type and length stay readable. The plaintext is still where it was.",
  ]);
  return 0;
};

/** The same memory every time: it is used up before the next piece is asked for. */
async function* read(
  handle: FileHandle,
  path: string,
  signal: AbortSignal,
  count: (bytes: number) => void,
): AsyncGenerator<Uint8Array> {
  const piece = new Uint8Array(pieceBytes);
  for (;;) {
    throwIfAborted(signal);
    const { bytesRead } = await handle.read(piece, 0, pieceBytes, null).catch((cause) => {
      throw fileError(cause, path, "file", "read");
    });
    if (bytesRead === 0) break;
    count(bytesRead);
    yield piece.subarray(0, bytesRead);
  }
  piece.fill(0);
}
