/** Key files: 32 random bytes that wrap the keys of sealed files, readable by their owner only. */
import { constants } from "node:fs";
import { open } from "node:fs/promises";
import { fromBase64Url, fromUtf8, systemRandom, toBase64Url } from "@vivarium/core";
import { type KeyWrapper, Secret, secretKeyWrapper, wrappingKeyName } from "@vivarium/seal";
import { CliError } from "../errors/error.ts";
import { fileError, writeNew } from "../files.ts";
import { octal } from "../state.ts";

const head = "# vivarium file-key: whoever has it opens the files; keep it secret";
const maxBytes = 256;

/** @returns the name that files will show. @throws CliError `exists` or `inaccessible`. */
export async function createFileKey(path: string): Promise<string> {
  const bytes = systemRandom().bytes(32);
  using secret = new Secret(bytes);
  await writeNew(path, "key file", `${head}\n${toBase64Url(bytes)}\n`, 0o600);
  bytes.fill(0);
  return wrappingKeyName(secret);
}

/** @throws CliError `unsafe-permissions`, `invalid-file`, `not-found` or `inaccessible`. */
export async function openFileKey(path: string): Promise<KeyWrapper> {
  const text = await readPrivate(path);
  const [first, body, rest, ...more] = text.split("\n");
  const key = /^[A-Za-z0-9_-]{43}$/.test(body ?? "") ? decode(body as string) : undefined;
  if (first !== head || key === undefined || rest !== "" || more.length > 0) {
    throw new CliError("invalid-file", `${path} is not a key file of vivarium file keygen.`);
  }
  const secret = new Secret(key);
  key.fill(0);
  return secretKeyWrapper(wrappingKeyName(secret), secret);
}

function decode(text: string): Uint8Array | undefined {
  try {
    return fromBase64Url(text);
  } catch {
    return undefined;
  }
}

async function readPrivate(path: string): Promise<string> {
  let handle: Awaited<ReturnType<typeof open>>;
  try {
    // No links: what is checked must be what is read.
    handle = await open(path, constants.O_RDONLY | constants.O_NOFOLLOW | constants.O_NONBLOCK);
  } catch (cause) {
    throw fileError(cause, path, "key file", "read");
  }
  try {
    const status = await handle.stat();
    if (!status.isFile()) throw new CliError("invalid-file", `${path} is not a regular file.`);
    const uid = process.getuid?.();
    if ((status.mode & 0o077) !== 0 || (uid !== undefined && status.uid !== uid)) {
      throw new CliError(
        "unsafe-permissions",
        `The key file ${path} has mode ${octal(status.mode)} and user ${status.uid}: others can read or change it.`,
      );
    }
    const bytes = new Uint8Array(maxBytes);
    const { bytesRead } = await handle.read(bytes, 0, maxBytes, 0);
    try {
      return fromUtf8(bytes.subarray(0, bytesRead));
    } catch (cause) {
      throw new CliError("invalid-file", `${path} is not a key file.`, { cause });
    }
  } finally {
    await handle.close();
  }
}
