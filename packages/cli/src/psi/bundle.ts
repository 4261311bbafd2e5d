/** The installed bundle of the psi worker, and its measurements without launching it. */
import { createHash } from "node:crypto";
import { createReadStream } from "node:fs";
import { join } from "node:path";
import { toHex } from "@vivarium/core";
import { nodeCrypto } from "@vivarium/core/node";
import { psiBundle } from "@vivarium/psi";
import {
  decodeManifest,
  flagsDigest,
  type Manifest,
  manifestDigest,
  runtimeFlags,
  WorkersError,
} from "@vivarium/workers";
import { CliError } from "../errors/error.ts";
import { readBounded } from "../files.ts";

/** Heap of the worker in MiB, the default of `launch`. One of the measured flags. */
const psiMemoryMb = 4096;

/** SHA-256 digests. */
export interface Measurements {
  readonly code: Uint8Array;
  readonly runtime: Uint8Array;
  readonly flags: Uint8Array;
}

const maxManifestBytes = 1024 * 1024;

/**
 * What `launch` would measure. Every file is compared with the manifest: a party must not export
 * the digest of a manifest that its launcher will refuse.
 * @throws CliError `bad-installation`.
 */
export async function measurePsi(bundle: string = psiBundle()): Promise<Measurements> {
  const crypto = nodeCrypto();
  const manifestBytes = await readManifest(bundle);
  const manifest = parseManifest(manifestBytes, bundle);
  for (const { path, sha256 } of manifest.files) {
    const actual = toHex(await hashFile(join(bundle, path)));
    if (actual !== sha256) {
      throw new CliError(
        "bad-installation",
        `${join(bundle, path)} is not the file of its manifest: expected sha256 ${sha256}, found ${actual}.`,
      );
    }
  }
  const flags = runtimeFlags({ memoryMb: psiMemoryMb, native: manifest.native.length > 0 });
  return {
    code: await manifestDigest(crypto, manifestBytes),
    runtime: await hashFile(process.execPath),
    flags: await flagsDigest(crypto, flags),
  };
}

async function readManifest(bundle: string): Promise<Uint8Array> {
  try {
    return await readBounded(join(bundle, "manifest.json"), "manifest", maxManifestBytes);
  } catch (cause) {
    throw damaged(`There is no usable psi bundle at ${bundle}.`, cause);
  }
}

function parseManifest(bytes: Uint8Array, bundle: string): Manifest {
  try {
    return decodeManifest(bytes);
  } catch (cause) {
    if (!(cause instanceof WorkersError)) throw cause;
    throw damaged(`The manifest of ${bundle} is damaged.`, cause);
  }
}

async function hashFile(path: string): Promise<Uint8Array> {
  const hash = createHash("sha256");
  try {
    for await (const chunk of createReadStream(path, { highWaterMark: 1024 * 1024 })) {
      hash.update(chunk as Uint8Array);
    }
  } catch (cause) {
    throw damaged(`Cannot read ${path}.`, cause);
  }
  return new Uint8Array(hash.digest());
}

function damaged(message: string, cause: unknown): CliError {
  return new CliError("bad-installation", message, { cause });
}
