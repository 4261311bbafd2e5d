/**
 * The key that the guest's owner injected at launch, as Linux shows it in SEV and SEV-ES guests. Source: Linux
 * Documentation/security/secrets/coco.rst.
 */
import { nodeCrypto } from "@vivarium/core/node";
import type { Attester } from "../evidence.ts";
import { openSevSecret, sevSecretGuid } from "../sev/index.ts";
import { type PlatformFiles, platformFiles, unavailable } from "./files.ts";

export interface SevSecretOptions {
  readonly files?: PlatformFiles;
}

export const sevSecretPath: string = `/sys/kernel/security/secrets/coco/${sevSecretGuid}`;
const maxSecretBytes = 4096;
const hint =
  "It is there in guests whose owner has admitted them (vivarium sev admit), with the kernel module efi_secret.";

/** @throws AttestationError `unavailable`, naming the file; `malformed` for another secret. */
export async function sevSecretAttester(options: SevSecretOptions = {}): Promise<Attester> {
  const { files = platformFiles() } = options;
  let secret: Uint8Array;
  try {
    secret = await files.read(sevSecretPath, maxSecretBytes);
  } catch (cause) {
    throw unavailable(sevSecretPath, cause, hint);
  }
  try {
    return await openSevSecret(nodeCrypto(), secret);
  } finally {
    secret.fill(0);
  }
}
