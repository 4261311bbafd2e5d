/** What `reference import` does. */
import { basename } from "node:path";
import { AttestationError, decodePem } from "@vivarium/attestation";
import { type Imported, importReferences } from "@vivarium/attestation/reference";
import { nodeCrypto } from "@vivarium/core/node";
import type { Action } from "../command.ts";
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
  let imported: Imported;
  try {
    imported = await importReferences(bytes, {
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
  context.print({ ...value, signed: key !== undefined, references: references.map(recordJson) }, [
    `Wrote ${written}: ${references.length === 1 ? "one state" : `${references.length} states`}.`,
    ...references.flatMap(({ name: of, type: kind, notAfter, measurements }) => [
      `${of} (${kind}${notAfter === undefined ? "" : `, until ${notAfter}`})`,
      ...measurementLines(measurements),
    ]),
    ...unused.slice(0, maxShown).map((what) => `Not used: ${what}`),
    ...(unused.length > maxShown ? [`Not used: ${unused.length - maxShown} more`] : []),
    ...(key === undefined ? ["Nothing vouches for it: --key names who must have signed."] : []),
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
