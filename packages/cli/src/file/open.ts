/** What `file open` does. */
import { basename } from "node:path";
import { throwIfAborted } from "@vivarium/core";
import { openSealedFileAt, replaceFile, type SealedFile } from "@vivarium/seal";
import type { Action } from "../command.ts";
import { refuseExistingFile } from "../files.ts";
import { openFileKey } from "./key.ts";
import { defaultType, type OpenOptions, suffix, wholeNumber } from "./options.ts";
import { versionsOf } from "./versions.ts";

const pieceBytes = 1024 * 1024;

export const open: Action<OpenOptions> = async (context, options, file = "") => {
  const own = basename(file);
  const name = options.name ?? (own.endsWith(suffix) ? own.slice(0, -suffix.length) : own);
  const type = options.type ?? defaultType;
  const target = context.path(options.output);
  await refuseExistingFile(target, "output");
  const wrapper = await openFileKey(context.path(options.key));
  const versions = await versionsOf(context, name, type);
  const given = options.minimumVersion;
  const minimumVersion =
    given === undefined ? await versions.newest() : wholeNumber("--minimum-version", given, 0);
  const expected = { name, type, minimumVersion, wrapper };
  await using sealed = await openSealedFileAt(context.path(file), expected);
  // Under another name until all of it has been verified: half a file must not pass for one.
  await replaceFile(target, async (store) => {
    await eachPiece(sealed, context.io.signal, (offset, piece) => store.write(offset, piece));
  });
  const { version, length } = sealed;
  await versions.saw(version);
  context.print({ file: target, name, version, type, bytes: length, key: wrapper.name }, [
    `Opened ${file} into ${options.output}: ${length} bytes, version ${version}, whole and unaltered.`,
    ...(version === 0 || minimumVersion > 0
      ? []
      : [`No version was demanded; from now on this state refuses any before ${version}.`]),
  ]);
  return 0;
};

/** All of a sealed file in pieces, each verified, in memory that is used again and zeroed at the end. */
export async function eachPiece(
  sealed: SealedFile,
  signal: AbortSignal,
  use: (offset: number, piece: Uint8Array) => Promise<void>,
): Promise<void> {
  const buffer = new Uint8Array(Math.min(pieceBytes, sealed.length));
  try {
    for (let offset = 0; offset < sealed.length; offset += buffer.length) {
      throwIfAborted(signal);
      const piece = buffer.subarray(0, Math.min(buffer.length, sealed.length - offset));
      await sealed.readInto(offset, piece);
      await use(offset, piece);
    }
    // An empty file has one chunk, too, which vouches for its being empty.
    if (sealed.length === 0) for await (const _ of sealed.chunks());
  } finally {
    buffer.fill(0);
  }
}
