/** What `sev session` does. */
import { AttestationError } from "@vivarium/attestation";
import {
  createSevSession,
  parseSevCertificate,
  sevTypeOf,
  type VerifiedSevPlatform,
  verifySevPlatform,
} from "@vivarium/attestation/sev";
import { nodeCrypto } from "@vivarium/core/node";
import type { Action } from "../command.ts";
import { CliError } from "../errors/error.ts";
import { fileLimits, readBounded, refuseExistingFile, writeNew } from "../files.ts";
import { base64, numberOf, writeSessionKeys } from "./keys.ts";

export interface SessionOptions {
  readonly policy: string;
  readonly platformOwner?: string;
  readonly root?: string;
  readonly output: string;
}

type Certificates = Readonly<Record<"cek" | "pek" | "pdh" | "oca", Uint8Array>>;

const names: Readonly<Record<number, keyof Certificates>> = {
  4097: "oca",
  4098: "pek",
  4099: "pdh",
  4100: "cek",
};
const certificateBytes = 2084;

export const session: Action<SessionOptions> = async (context, options, ...files) => {
  const policy = numberOf("--policy", options.policy, 0xffff_ffff);
  const certificates = await certificatesOf(files.map(context.path));
  const authorities =
    options.root === undefined ? undefined : await authoritiesOf(context.path(options.root));
  const output = context.path(options.output);
  const [godh, blob, keys] = [".godh.b64", ".session.b64", ".keys"].map((end) => output + end) as [
    string,
    string,
    string,
  ];
  for (const file of [godh, blob, keys]) await refuseExistingFile(file, "session file");
  const crypto = nodeCrypto();
  const roots = authorities === undefined ? {} : { authorities };
  let platform: VerifiedSevPlatform;
  try {
    platform = await verifySevPlatform({ crypto, ...certificates, ...roots });
  } catch (error) {
    if (!(error instanceof AttestationError) || error.code !== "not-genuine") throw error;
    const reason = error.message;
    context.print({ accepted: false, reason }, [`REFUSED, nothing was written: ${reason}`]);
    return 3;
  }
  const { platformOwner } = options;
  if (platformOwner !== undefined && platformOwner !== platform.owner) {
    const reason = `the platform's owner is ${platform.owner}`;
    context.print({ accepted: false, reason }, [`REFUSED, nothing was written: ${reason}.`]);
    return 3;
  }
  const made = await createSevSession({ crypto, platform, policy });
  await writeSessionKeys(keys, made);
  await writeNew(godh, "session file", `${base64(made.certificate)}\n`);
  await writeNew(blob, "session file", `${base64(made.blob)}\n`);
  const type = sevTypeOf(policy);
  const { root, owner } = platform;
  context.print({ accepted: true, type, root, owner, certificate: godh, session: blob, keys }, [
    ...(authorities === undefined ? [] : ["NOT AMD's root: what --root names is trusted instead."]),
    `The platform is genuine: root ${root}, owner ${owner}.`,
    `For the host: -object sev-guest,policy=0x${policy.toString(16)},dh-cert-file=${godh},session-file=${blob},…`,
    `Keep ${keys} private. Next, when the guest waits: vivarium sev admit ${keys} --measure …`,
  ]);
  return 0;
};

/** Each file holds one certificate or several; their usage says which is which. */
async function certificatesOf(paths: readonly string[]): Promise<Certificates> {
  const found = new Map<string, Uint8Array>();
  for (const path of paths) {
    const bytes = await readBounded(path, "certificate", fileLimits.collateral);
    for (let at = 0; at + certificateBytes <= bytes.length; at += certificateBytes) {
      const raw = bytes.slice(at, at + certificateBytes);
      let name: string | undefined;
      try {
        name = names[parseSevCertificate("Certificate", raw).usage];
      } catch (error) {
        // A chain of `sevctl export --full` goes on with ASK and ARK, which are not the host's to name.
        if (at > 0 && error instanceof AttestationError) break;
        throw error;
      }
      if (name === undefined || found.has(name)) {
        throw new CliError("usage", `${path} holds a certificate of no use here, or one twice.`);
      }
      found.set(name, raw);
    }
  }
  const one = (name: string): Uint8Array => {
    const certificate = found.get(name);
    if (certificate !== undefined) return certificate;
    throw new CliError(
      "usage",
      `The ${name.toUpperCase()} is missing: CEK, PEK, PDH and OCA are needed.`,
    );
  };
  return { cek: one("cek"), pek: one("pek"), pdh: one("pdh"), oca: one("oca") };
}

/** ARK and ASK, one after the other, of the same length. */
async function authoritiesOf(
  path: string,
): Promise<readonly (readonly [Uint8Array, Uint8Array])[]> {
  const bytes = await readBounded(path, "root file", fileLimits.collateral);
  const half = bytes.length / 2;
  return [[bytes.slice(0, half), bytes.slice(half)]];
}
