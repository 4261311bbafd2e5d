/** What `sev admit` does: the owner's decision on a measured launch. */
import { unlink } from "node:fs/promises";
import { AttestationError } from "@vivarium/attestation";
import { admitSevGuest, type SevAdmission, sevTypeOf } from "@vivarium/attestation/sev";
import { fromHex } from "@vivarium/core";
import { nodeCrypto } from "@vivarium/core/node";
import type { Action, Context } from "../command.ts";
import { CliError } from "../errors/error.ts";
import { refuseExistingFile, writeNew } from "../files.ts";
import { openIdentity } from "../identity/open.ts";
import { readReferences } from "../reference/files.ts";
import { base64, numberOf, readSessionKeys } from "./keys.ts";

export interface AdmitOptions {
  readonly measure: string;
  readonly api: string;
  readonly build: string;
  readonly digest?: readonly string[];
  readonly reference?: readonly string[];
  readonly days?: string;
  readonly identity?: string;
  readonly output: string;
}

const dayMs = 86_400_000;

export const admit: Action<AdmitOptions> = async (context, options, file = "") => {
  const keys = context.path(file);
  const session = await readSessionKeys(keys);
  const type = sevTypeOf(session.policy);
  const digests = await digestsOf(context, options, type);
  const [apiMajor, apiMinor] = versionOf(options.api);
  const build = numberOf("--build", options.build, 0xff);
  const days = numberOf("--days", options.days ?? "30", 366);
  if (days === 0) throw new CliError("usage", "--days must be at least 1.");
  const output = context.path(options.output);
  const [header, data] = [`${output}.header.b64`, `${output}.secret.b64`];
  for (const each of [header, data]) await refuseExistingFile(each, "launch secret");
  const identity = await openIdentity(await context.state({ create: false }), options.identity);
  const now = context.io.now();
  let admission: SevAdmission;
  try {
    admission = await admitSevGuest({
      ...{ crypto: nodeCrypto(), owner: identity.signer, session, digests, now },
      firmware: { apiMajor, apiMinor, build },
      measure: measureOf(options.measure),
      notAfter: now + days * dayMs,
    });
  } catch (error) {
    if (!(error instanceof AttestationError) || error.code !== "not-genuine") throw error;
    const reason = error.message;
    context.print({ accepted: false, reason }, [
      `REFUSED, the guest gets no key: ${reason}`,
      "Do not let it run. The session can be tried again with another launch.",
    ]);
    return 3;
  }
  await writeNew(header, "launch secret", `${base64(admission.secret.header)}\n`);
  await writeNew(data, "launch secret", `${base64(admission.secret.data)}\n`);
  // Whoever has these keys could inject more into this guest.
  await unlink(keys);
  const root = identity.fingerprint;
  context.print({ accepted: true, type, root, header, secret: data, days }, [
    `ADMITTED: the launch measures what it must. The guest may attest for ${days} days.`,
    `For the host: QMP sev-inject-launch-secret with packet-header of ${header} and secret of ${data}, then cont.`,
    `Policies of its peers name the root ${root} and binding launch-secret.`,
  ]);
  return 0;
};

/** @throws CliError `usage` if nothing is good. */
async function digestsOf(
  context: Context,
  { digest = [], reference = [] }: AdmitOptions,
  type: string,
): Promise<readonly Uint8Array[]> {
  const all = [...digest];
  for (const file of reference) {
    const records = await readReferences(context.path(file));
    const now = context.io.now();
    for (const record of records) {
      const ended = record.notAfter !== undefined && Date.parse(record.notAfter) <= now;
      if (record.type === type && !ended) all.push(...(record.measurements["measurement"] ?? []));
    }
  }
  if (all.length === 0) {
    throw new CliError("usage", `No launch digest of ${type}: give --digest or --reference.`);
  }
  return all.map((text) => {
    if (/^[0-9a-f]{64}$/i.test(text)) return fromHex(text);
    throw new CliError("usage", "A launch digest has 64 hexadecimal digits.");
  });
}

function versionOf(text: string): readonly [number, number] {
  const [, major = "", minor = ""] = /^(\d{1,3})\.(\d{1,3})$/.exec(text) ?? [];
  if (major === "") throw new CliError("usage", "--api must be a version such as 1.55.");
  return [numberOf("--api", major, 0xff), numberOf("--api", minor, 0xff)];
}

function measureOf(text: string): Uint8Array {
  const packed = text.trim();
  if (!/^[A-Za-z0-9+/]{64}$/.test(packed)) {
    throw new CliError("usage", "--measure must be 48 bytes in base64 (64 characters).");
  }
  return Uint8Array.from(atob(packed), (character) => character.charCodeAt(0));
}
