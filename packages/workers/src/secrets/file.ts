/** Secrets in files of a private directory: development, or what an orchestrator has mounted. */
import { constants } from "node:fs";
import { open } from "node:fs/promises";
import { join } from "node:path";
import { throwIfAborted } from "@vivarium/core";
import { Secret, type SecretSource } from "@vivarium/seal";
import { WorkersError } from "../errors.ts";

export interface FileSourceOptions {
  /** `repository/type/tag` is a file of that path in it. */
  readonly directory: string;
}

const maxBytes = 1024 * 1024;
const nameOf = /^[A-Za-z0-9][A-Za-z0-9._-]{0,63}(\/[A-Za-z0-9][A-Za-z0-9._-]{0,63}){0,3}$/;

/** Files that others can read or write, and links, are refused. */
export function fileSource({ directory }: FileSourceOptions): SecretSource {
  return {
    async get(name, { signal } = {}) {
      throwIfAborted(signal);
      if (!nameOf.test(name)) {
        throw new WorkersError("invalid-argument", "A secret's name is a path of plain names.");
      }
      const bytes = await readPrivate(join(directory, name), name);
      const secret = new Secret(bytes);
      bytes.fill(0);
      return secret;
    },
  };
}

async function readPrivate(path: string, name: string): Promise<Uint8Array> {
  try {
    const flags = constants.O_RDONLY | constants.O_NOFOLLOW | constants.O_NONBLOCK;
    const handle = await open(path, flags);
    try {
      const status = await handle.stat();
      const uid = process.getuid?.();
      if (!status.isFile() || (status.mode & 0o077) !== 0 || (uid ?? status.uid) !== status.uid) {
        throw unavailable(name, "is not a file that only its owner can read");
      }
      if (status.size === 0 || status.size > maxBytes)
        throw unavailable(name, "is empty or too big");
      return new Uint8Array(await handle.readFile());
    } finally {
      await handle.close();
    }
  } catch (cause) {
    if (cause instanceof WorkersError) throw cause;
    throw unavailable(name, "cannot be read", cause);
  }
}

function unavailable(name: string, what: string, cause?: unknown): WorkersError {
  return new WorkersError("secret-unavailable", `The secret ${name} ${what}.`, { cause });
}
