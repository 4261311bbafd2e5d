/**
 * Meaning, remedy and exit code of every error, in English and Chinese. The mapped types of the
 * parts force an entry for every code of every package; the packages themselves are imported for
 * their types only, so that starting the program loads none of them.
 */
import { attestation } from "./catalogue/attestation.ts";
import { broker } from "./catalogue/broker.ts";
import { channel } from "./catalogue/channel.ts";
import { cli } from "./catalogue/cli.ts";
import { core } from "./catalogue/core.ts";
import { curve25519 } from "./catalogue/curve25519.ts";
import { federated } from "./catalogue/federated.ts";
import { psi } from "./catalogue/psi.ts";
import { seal } from "./catalogue/seal.ts";
import { serving } from "./catalogue/serving.ts";
import { tables } from "./catalogue/tables.ts";
import { tensors } from "./catalogue/tensors.ts";
import { workers } from "./catalogue/workers.ts";
import type { Entry } from "./entry.ts";

/** By domain, then code. */
export const catalogue: Readonly<Record<string, Readonly<Record<string, Entry>>>> = {
  core,
  attestation,
  channel,
  seal,
  workers,
  curve25519,
  tables,
  tensors,
  psi,
  federated,
  broker,
  serving,
  cli,
};

/** The entry of an error; codes of packages that this version does not know count as internal. */
export function entryOf(domain: string, code: string): Entry {
  const codes = Object.hasOwn(catalogue, domain) ? catalogue[domain] : undefined;
  const entry = codes !== undefined && Object.hasOwn(codes, code) ? codes[code] : undefined;
  return entry ?? cli.internal;
}
