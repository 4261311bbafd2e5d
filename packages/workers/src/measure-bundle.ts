/** The measurements of an installed bundle, without launching it: what a peer's policy must pin. */
import { createHash } from "node:crypto";
import { open, readFile } from "node:fs/promises";
import { join } from "node:path";
import { toHex } from "@vivarium/core";
import { nodeCrypto } from "@vivarium/core/node";
import { flagsDigest } from "./digests.ts";
import { WorkersError } from "./errors.ts";
import { runtimeFlags } from "./flags.ts";
import { defaultMemoryMb, manifestLimits } from "./limits.ts";
import { decodeManifest, manifestDigest } from "./manifest.ts";

/** SHA-256 digests, 32 bytes each; the same that `launch` takes of what it runs. */
export interface BundleMeasurements {
  readonly code: Uint8Array;
  readonly runtime: Uint8Array;
  readonly flags: Uint8Array;
}

export interface MeasureOptions {
  /** Node that will run it. Default: the one that runs this process. */
  readonly executable?: string;
  /** `LaunchLimits.memoryMb`: one of the measured flags. */
  readonly memoryMb?: number;
}

/**
 * Every file is compared with the manifest: nobody must hand out the digest of a manifest that the
 * launcher will refuse.
 * @param bundle directory that `buildBundle` made.
 * @throws WorkersError `invalid-manifest` or `digest-mismatch`, naming the file.
 */
export async function measureBundle(
  bundle: string,
  options: MeasureOptions = {},
): Promise<BundleMeasurements> {
  const { executable = process.execPath, memoryMb = defaultMemoryMb } = options;
  const crypto = nodeCrypto();
  const manifestBytes = await readManifest(bundle);
  const manifest = decodeManifest(manifestBytes);
  for (const file of manifest.files) {
    const path = join(bundle, file.path);
    const actual = toHex(await hashFile(path, manifestLimits.maxFileBytes));
    if (actual !== file.sha256) {
      throw new WorkersError(
        "digest-mismatch",
        `${path} is not the file of its manifest: expected sha256 ${file.sha256}, found ${actual}. Build the bundle again.`,
      );
    }
  }
  const flags = runtimeFlags({ memoryMb, native: manifest.native.length > 0 });
  return {
    code: await manifestDigest(crypto, manifestBytes),
    runtime: await hashFile(executable, manifestLimits.maxRuntimeBytes),
    flags: await flagsDigest(crypto, flags),
  };
}

async function readManifest(bundle: string): Promise<Uint8Array<ArrayBuffer>> {
  const path = join(bundle, "manifest.json");
  let bytes: Uint8Array<ArrayBuffer>;
  try {
    await using file = await open(path, "r");
    const { size } = await file.stat();
    if (size > manifestLimits.maxManifestBytes) throw new Error("too large");
    bytes = new Uint8Array(await readFile(file));
  } catch (cause) {
    const message = `There is no usable bundle at ${bundle}; run npm run build.`;
    throw new WorkersError("invalid-manifest", message, { cause });
  }
  return bytes;
}

async function hashFile(path: string, maxBytes: number): Promise<Uint8Array<ArrayBuffer>> {
  const hash = createHash("sha256");
  const buffer = new Uint8Array(1024 * 1024);
  let size = 0;
  try {
    await using file = await open(path, "r");
    for (;;) {
      const { bytesRead } = await file.read(buffer, 0, buffer.length, null);
      if (bytesRead === 0) return new Uint8Array(hash.digest());
      size += bytesRead;
      if (size > maxBytes) throw new Error(`over ${maxBytes} bytes`);
      hash.update(buffer.subarray(0, bytesRead));
    }
  } catch (cause) {
    throw new WorkersError("invalid-manifest", `Cannot read ${path}.`, { cause });
  }
}
