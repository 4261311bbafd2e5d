/**
 * Party files: what one company hands to another before a run. Nothing in it is secret, and nothing
 * in it is to be believed before the fingerprints were compared over another way, by voice.
 */
import { type TSchema, Type } from "@sinclair/typebox";
import { fingerprint } from "@vivarium/attestation";
import { fromBase64Url } from "@vivarium/core";
import { nodeCrypto } from "@vivarium/core/node";
import { validate } from "../config/validate.ts";
import { CliError } from "../errors/error.ts";
import { fileLimits, readText } from "../files.ts";

/** Digests of a worker's code, of the Node executable and of its flags: lower-case hex. */
export interface WorkerDigests {
  readonly code: string;
  readonly runtime: string;
  readonly flags: string;
}

export interface Party {
  readonly version: 1;
  readonly name: string;
  readonly identity: { readonly fingerprint: string; readonly publicKey: string };
  /** Simulated evidence proves the code by a development root, and isolates nothing. */
  readonly attestation: { readonly type: "simulated"; readonly root: string };
  /** What evidence of this party's workers must say, lower-case hex. */
  readonly workloads: {
    readonly psi: WorkerDigests;
    /** Absent from files of versions that have no such worker. */
    readonly federated?: WorkerDigests;
    readonly serving?: WorkerDigests;
  };
}

const strict = { additionalProperties: false };
const digest = Type.String({ pattern: "^[0-9a-f]{64}$", title: "64 lower-case hex digits" });
const printPattern = "^sha256:[0-9a-f]{64}$";
const print = Type.String({ pattern: printPattern, title: "sha256: and 64 hex digits" });
const worker = Type.Object({ code: digest, runtime: digest, flags: digest }, strict);
export const partySchema: TSchema = Type.Object(
  {
    version: Type.Literal(1),
    name: Type.String({ pattern: "^[a-z0-9][a-z0-9-]{0,62}$", title: "a name of an identity" }),
    identity: Type.Object(
      { fingerprint: print, publicKey: Type.String({ minLength: 40, maxLength: 400 }) },
      strict,
    ),
    attestation: Type.Object({ type: Type.Literal("simulated"), root: print }, strict),
    workloads: Type.Object(
      { psi: worker, federated: Type.Optional(worker), serving: Type.Optional(worker) },
      strict,
    ),
  },
  {
    ...strict,
    $schema: "http://json-schema.org/draft-07/schema#",
    title: "vivarium party file",
    description: "What a party tells a peer about itself. Compare the fingerprints by voice.",
  },
);

/** @throws CliError `usage`. */
export function requireFingerprint(text: string): string {
  if (new RegExp(printPattern).test(text)) return text;
  throw new CliError("usage", "A fingerprint is sha256: and 64 lower-case hex digits.");
}

/** @throws CliError `invalid-file` for anything but a party file that is consistent in itself. */
export async function loadParty(path: string): Promise<Party> {
  const text = await readText(path, "party file", fileLimits.party);
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch (cause) {
    throw notParty(path, "it is not JSON", cause);
  }
  const checked = validate(partySchema, value);
  if (!checked.ok) {
    const [problem] = checked.problems;
    throw notParty(path, `${problem?.path.join(".") || "it"} ${problem?.message ?? "is wrong"}`);
  }
  const party = checked.value as Party;
  let actual: string;
  try {
    actual = await fingerprint(nodeCrypto(), fromBase64Url(party.identity.publicKey));
  } catch (cause) {
    throw notParty(path, "identity.publicKey is not a key", cause);
  }
  // Else people would compare one fingerprint and trust another key.
  if (actual !== party.identity.fingerprint) {
    throw notParty(path, "identity.fingerprint is not that of identity.publicKey");
  }
  return party;
}

function notParty(path: string, why: string, cause?: unknown): CliError {
  return new CliError("invalid-file", `${path} is not a party file: ${why}.`, { cause });
}
