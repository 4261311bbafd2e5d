/** What `reference import` does. */
import { basename } from "node:path";
import { AttestationError, decodePem } from "@vivarium/attestation";
import {
  isManifest,
  type ManifestSigner,
  referencesOfManifest,
  verifyManifest,
} from "@vivarium/attestation/provenance";
import { type Imported, importReferences } from "@vivarium/attestation/reference";
import { nodeCrypto } from "@vivarium/core/node";
import type { Action, Context } from "../command.ts";
import { CliError } from "../errors/error.ts";
import { evidenceTypeOf } from "../evidence/input.ts";
import { fileLimits, readBounded, readText } from "../files.ts";
import {
  instant,
  measurementLines,
  nameOf,
  recordJson,
  sourceOf,
  writeReferences,
} from "./files.ts";

export interface ImportOptions {
  readonly type?: string;
  readonly key?: string;
  /** Of signed manifests. */
  readonly trustRoot?: string;
  readonly signer?: string;
  readonly issuer?: string;
  readonly join?: true;
  readonly name?: string;
  readonly output: string;
}

const maxShown = 20;

export const importFile: Action<ImportOptions> = async (context, options, file = "") => {
  const type = evidenceTypeOf(options.type);
  const name = nameOf(options.name ?? basename(file).slice(0, 200));
  const key = options.key === undefined ? undefined : await keyOf(context.path(options.key));
  const path = context.path(file);
  const bytes = await readBounded(path, "file of reference values", fileLimits.collateral);
  requireMeaning(isManifest(bytes), options);
  let imported: Imported;
  try {
    imported = isManifest(bytes)
      ? await importManifest(context, bytes, options, key)
      : await importReferences(bytes, {
          ...{ crypto: nodeCrypto(), name, join: options.join === true },
          ...(type === undefined ? {} : { type }),
          ...(key === undefined ? {} : { key }),
          origin: {
            ...{ how: "imported", at: instant(context.io.now()) },
            sources: [await sourceOf(file, bytes)],
          },
        });
  } catch (error) {
    if (!(error instanceof AttestationError)) throw error;
    if (error.code !== "not-genuine") {
      throw new CliError("invalid-file", `${file}: ${error.message}`, { cause: error });
    }
    const reason = error.message;
    context.print({ file, output: null, accepted: false, reason }, [
      `REFUSED, nothing was written: ${reason}`,
    ]);
    return 3;
  }
  const { references, unused } = imported;
  const written = await writeReferences(context, options.output, references);
  const value = { file, output: written, accepted: true, unused };
  const signed = key !== undefined || options.signer !== undefined;
  context.print({ ...value, signed, references: references.map(recordJson) }, [
    `Wrote ${written}: ${references.length === 1 ? "one state" : `${references.length} states`}.`,
    ...references.flatMap(({ name: of, type: kind, notAfter, measurements }) => [
      `${of} (${kind}${notAfter === undefined ? "" : `, until ${notAfter}`})`,
      ...measurementLines(measurements),
    ]),
    ...unused.slice(0, maxShown).map((what) => `Not used: ${what}`),
    ...(unused.length > maxShown ? [`Not used: ${unused.length - maxShown} more`] : []),
    ...(!signed ? ["Nothing vouches for it: --key names who must have signed."] : []),
  ]);
  return 0;
};

async function keyOf(path: string): Promise<Uint8Array> {
  const text = await readText(path, "key file", fileLimits.party);
  const [key, second] = decodePem("Key file", text, "PUBLIC KEY");
  if (key === undefined || second !== undefined) {
    throw new CliError("invalid-file", `The key file ${path} does not hold one public key.`);
  }
  return key;
}

async function importManifest(
  context: Context,
  bytes: Uint8Array,
  { trustRoot, signer, issuer }: ImportOptions,
  key: Uint8Array | undefined,
): Promise<Imported> {
  if (trustRoot === undefined) {
    throw new CliError("usage", "A manifest needs --trust-root: Sigstore's trusted_root.json.");
  }
  const root = await readBounded(context.path(trustRoot), "trust root", fileLimits.collateral);
  let who: ManifestSigner;
  if (key !== undefined && signer === undefined) who = { kind: "key", key };
  else if (key === undefined && signer !== undefined && issuer !== undefined) {
    who = { kind: "identity", issuer, subject: signer };
  } else {
    throw new CliError("usage", "A manifest needs --signer with --issuer, or --key.");
  }
  const manifest = await verifyManifest(bytes, { trustRoot: root, signer: who });
  return { references: referencesOfManifest(manifest), unused: [] };
}

/** An option that would be ignored is a check that the user believes in and nobody makes. */
function requireMeaning(manifest: boolean, options: ImportOptions): void {
  const idle = manifest
    ? (["type", "join", "name"] as const)
    : (["trustRoot", "signer", "issuer"] as const);
  const given = idle.filter((option) => options[option] !== undefined);
  if (given.length === 0) return;
  const names = given.map((option) => (option === "trustRoot" ? "--trust-root" : `--${option}`));
  const what = manifest ? "a signed manifest" : "a file that is no signed manifest";
  throw new CliError("usage", `${names.join(", ")}: of no meaning for ${what}.`);
}
