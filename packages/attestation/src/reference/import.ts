/** Reference values in the forms that others hand them out: CoRIM, RVPS, SWID, JSON. */
import type { Crypto } from "@vivarium/core";
import { AttestationError } from "../errors.ts";
import type { EvidenceType } from "../evidence.ts";
import { maxFormBytes, textOf } from "../forms/encoding.ts";
import { isCorim, readCorim } from "./corim.ts";
import { type Drafts, joinDrafts, recordOfDraft } from "./draft.ts";
import { readJsonReferences, rvpsMessageOf } from "./json.ts";
import { checkReferences, type ReferenceRecord } from "./set.ts";
import { readSwid } from "./swid.ts";

export interface ImportOptions {
  readonly crypto: Crypto;
  /** Type of evidence, where the file does not say it. */
  readonly type?: EvidenceType;
  /** For people, where the file has no name. */
  readonly name: string;
  /** SPKI of the key that must have signed: then nothing unsigned counts. */
  readonly key?: Uint8Array;
  /** Make one state of all that the file says, instead of one for each part. */
  readonly join?: boolean;
  readonly origin: ReferenceRecord["origin"];
}

export interface Imported {
  readonly references: readonly ReferenceRecord[];
  /** What the file says and no reference holds, for people. Nothing is dropped in silence. */
  readonly unused: readonly string[];
}

/**
 * @throws AttestationError `malformed` for a file of no form that is known or without any value of ours;
 * `not-genuine` for one that the named key has not signed.
 */
export async function importReferences(
  bytes: Uint8Array,
  options: ImportOptions,
): Promise<Imported> {
  if (bytes.length > maxFormBytes) fail(`is over ${maxFormBytes} bytes`);
  const { drafts, unused } = await read(bytes, options, 0);
  if (drafts.length === 0) fail(`has no value that evidence is held to: ${unused.join("; ")}`);
  const states = options.join === true ? [joinDrafts(drafts)] : drafts;
  const references = states.map((draft) => recordOfDraft(draft, options.origin));
  // What others hand out may be more than a policy can hold.
  checkReferences({ version: 1, references });
  return { references, unused };
}

async function read(bytes: Uint8Array, options: ImportOptions, depth: number): Promise<Drafts> {
  if (isCorim(bytes)) return await readCorim(bytes, options);
  if (options.key !== undefined) {
    throw new AttestationError("not-genuine", "The file is not signed, though a key was named.");
  }
  const text = textOf(bytes) ?? fail("is of no form that is known");
  if (text.startsWith("<")) return readSwid(text, options);
  let document: Parameters<typeof rvpsMessageOf>[0];
  try {
    document = JSON.parse(text) as typeof document;
  } catch (cause) {
    const message = "The file of reference values is no CoRIM, no SWID tag and no JSON.";
    throw new AttestationError("malformed", message, { cause });
  }
  const message = rvpsMessageOf(document);
  if (message === undefined) return readJsonReferences(document, options);
  const kinds = ["sample", "corim", "swid"];
  if (depth > 0 || !kinds.includes(message.kind)) {
    fail("is an RVPS message of a kind that is not read here (sample, corim and swid are)");
  }
  return await read(message.payload, options, depth + 1);
}

function fail(reason: string): never {
  throw new AttestationError("malformed", `The file of reference values ${reason}.`);
}
