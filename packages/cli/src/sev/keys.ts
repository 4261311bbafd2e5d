/** The file of a session between its start and the admission: private, and removed after use. */
import type { SevSession } from "@vivarium/attestation/sev";
import { fromBase64Url, toBase64Url } from "@vivarium/core";
import { CliError } from "../errors/error.ts";
import { readText, writeNew } from "../files.ts";

const head = "vivarium SEV session, version 1: keys, keep private";
const maxBytes = 16_384;
const sizes = { certificate: 2084, blob: 128, key: 16 } as const;

export async function writeSessionKeys(path: string, session: SevSession): Promise<void> {
  const { policy, platform, certificate, blob, keys } = session;
  const fields = {
    ...{ policy, root: platform.root, owner: platform.owner },
    certificate: toBase64Url(certificate),
    blob: toBase64Url(blob),
    encryption: toBase64Url(keys.encryption),
    integrity: toBase64Url(keys.integrity),
  };
  await writeNew(path, "session keys", `${head}\n${JSON.stringify(fields)}\n`, 0o600);
}

/** @throws CliError `invalid-file`. */
export async function readSessionKeys(path: string): Promise<SevSession> {
  const [first, second = "", ...rest] = (await readText(path, "session keys", maxBytes)).split(
    "\n",
  );
  try {
    if (first !== head || rest.join("") !== "") throw new Error("another kind of file");
    const fields = JSON.parse(second) as Readonly<Record<string, unknown>>;
    const bytes = (name: string, length: number): Uint8Array => {
      const value = fromBase64Url(textOf(fields[name]));
      if (value.length !== length) throw new Error(`${name} of another length`);
      return value;
    };
    const { policy } = fields;
    if (!Number.isInteger(policy)) throw new Error("no policy");
    const print = (name: string): string => {
      const text = textOf(fields[name]);
      if (!/^sha256:[0-9a-f]{64}$/.test(text)) throw new Error(`${name} is no fingerprint`);
      return text;
    };
    return {
      policy: policy as number,
      platform: { root: print("root"), owner: print("owner") },
      certificate: bytes("certificate", sizes.certificate),
      blob: bytes("blob", sizes.blob),
      keys: {
        encryption: bytes("encryption", sizes.key),
        integrity: bytes("integrity", sizes.key),
      },
    };
  } catch (cause) {
    // Not the cause's own words: JSON's errors quote what they read.
    const message = `The file ${path} does not hold the keys of a session.`;
    throw new CliError("invalid-file", message, { cause });
  }
}

function textOf(value: unknown): string {
  if (typeof value !== "string") throw new Error("a field is missing");
  return value;
}

/** A number in decimal or with 0x. @throws CliError `usage`. */
export function numberOf(option: string, text: string, max: number): number {
  const value = /^(?:\d{1,10}|0x[0-9a-f]{1,8})$/i.test(text) ? Number(text) : Number.NaN;
  if (!(value <= max)) throw new CliError("usage", `${option} must be a number of at most ${max}.`);
  return value;
}

/** As QEMU reads such files. */
export function base64(bytes: Uint8Array): string {
  const packed = toBase64Url(bytes).replaceAll("-", "+").replaceAll("_", "/");
  return packed.padEnd(Math.ceil(packed.length / 4) * 4, "=");
}
