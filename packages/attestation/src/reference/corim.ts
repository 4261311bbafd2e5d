/**
 * CoRIM (draft-ietf-rats-corim): reference values of a supply chain in CBOR, as Veraison and Arm use them. Each
 * reference triple is one environment with all of its measurements: one record. Endorsed values, keys and linked
 * manifests are not reference values and are told as unused.
 */
import { type Crypto, toHex } from "@vivarium/core";
import type { CborValue } from "../cbor.ts";
import { decodeTolerant } from "../cbor-tolerant.ts";
import { parseCoseSign1, verifyCoseSign1 } from "../cose.ts";
import { AttestationError } from "../errors.ts";
import type { EvidenceType } from "../evidence.ts";
import { type Draft, type Drafts, DraftValues } from "./draft.ts";
import { componentName, measurementName } from "./names.ts";

const what = "CoRIM";
const limits = { maxBytes: 1024 * 1024, maxDepth: 24, maxValues: 50_000 };
const maxTags = 256;

/** CBOR tags of the draft, and of Arm's profiles in it. */
const tags = {
  ...{ time: 1, corim: 501, coswid: 505, comid: 506 },
  ...{ armImplementation: 600, armComponent: 601 },
} as const;

/** Named information hash algorithms (IANA), by the length that they must have. */
const digestBytes: Readonly<Record<number, number>> = { 1: 32, 7: 48, 8: 64 };

/** Text keys, which no map of the draft has: a tagged item can be told from every map. */
const tagKey = "#tag";
const valueKey = "#value";
type Fields = ReadonlyMap<string | number, CborValue>;

export interface CorimOptions {
  readonly crypto: Crypto;
  /** SPKI of the key that must have signed a signed one. */
  readonly key?: Uint8Array;
  /** Type of evidence, for manifests that are not of Arm CCA. */
  readonly type?: EvidenceType;
  /** For people, where the manifest names nothing. */
  readonly name: string;
}

/** By its first bytes: tag 501, or a COSE_Sign1 with that inside. */
export function isCorim(bytes: Uint8Array): boolean {
  const tagged = bytes[0] === 0xd9 && bytes[1] === 0x01;
  return bytes[0] === 0xd2 || (tagged && (bytes[2] === 0xf4 || bytes[2] === 0xf5));
}

/**
 * @throws AttestationError `malformed`; `not-genuine` for a signed one whose key is not named, or that another
 * key has signed.
 */
export async function readCorim(bytes: Uint8Array, options: CorimOptions): Promise<Drafts> {
  const payload = bytes[0] === 0xd2 ? await signedPayload(bytes, options) : bytes;
  if (payload === bytes && options.key !== undefined) {
    throw new AttestationError("not-genuine", "The CoRIM is not signed, though a key was named.");
  }
  const corim = fieldsOf(untag(decode(payload), tags.corim, "is not tagged as one"));
  const profile = textIn(corim.get(3));
  const notAfter = endOf(corim.get(4));
  const unused: string[] = [];
  const drafts: Draft[] = [];
  const list = listOf(corim.get(1), maxTags);
  if (corim.has(2)) unused.push("dependent manifests");
  for (const tag of list) {
    const { number, value } = tagOf(tag);
    if (number !== tags.comid) {
      unused.push(number === tags.coswid ? "a CoSWID" : `a tag ${number ?? "of no number"}`);
      continue;
    }
    if (!(value instanceof Uint8Array)) fail("has a CoMID that is no byte string");
    const found = readComid(fieldsOf(decode(value)), { ...options, profile });
    drafts.push(...found.drafts.map((draft) => withEnd(draft, notAfter)));
    unused.push(...found.unused);
  }
  return { drafts, unused };
}

async function signedPayload(
  bytes: Uint8Array,
  { crypto, key }: CorimOptions,
): Promise<Uint8Array> {
  if (key === undefined) {
    throw new AttestationError("not-genuine", "The CoRIM is signed: name the key it must be of.");
  }
  const message = parseCoseSign1(what, bytes);
  if (!(await verifyCoseSign1(crypto, message, key))) {
    throw new AttestationError("not-genuine", "The CoRIM is not signed by the named key.");
  }
  return message.payload;
}

interface ComidContext extends CorimOptions {
  readonly profile: string | undefined;
}

function readComid(comid: Fields, context: ComidContext): Drafts {
  const triples = fieldsOf(comid.get(4) ?? new Map());
  const unused = [...triples.keys()]
    .filter((key) => key !== 0)
    .map((key) => `triples of kind ${key}`);
  const drafts: Draft[] = [];
  for (const triple of listOf(triples.get(0) ?? [], maxTags)) {
    const [environment, measurements] = listOf(triple, 2);
    const found = readTriple(fieldsOf(environment), listOf(measurements, maxTags), context);
    if (found.draft === undefined) unused.push("an environment without a measurement of ours");
    else drafts.push(found.draft);
    unused.push(...found.unused);
  }
  return { drafts, unused };
}

function readTriple(
  environment: Fields,
  measurements: readonly CborValue[],
  context: ComidContext,
): { readonly draft: Draft | undefined; readonly unused: readonly string[] } {
  const group = fieldsOf(environment.get(0) ?? new Map());
  const id = tagOf(group.get(0));
  const arm = id.number === tags.armImplementation || /\bcca\b/.test(context.profile ?? "");
  const type = arm ? "cca" : context.type;
  if (type === undefined || (context.type !== undefined && context.type !== type)) {
    fail("does not say which type of evidence it is for, or another one: name the right one");
  }
  const values = new DraftValues();
  const unused: string[] = [];
  if (id.number === tags.armImplementation && isDigest(id.value)) {
    values.add("implementation_id", toHex(id.value));
  }
  for (const measurement of measurements) {
    const fields = fieldsOf(measurement);
    const body = fieldsOf(fields.get(1));
    const name = nameOf(type, fields.get(0), body);
    unused.push(...readValues(type, name, body, values));
  }
  if (values.isEmpty) return { draft: undefined, unused };
  const words = [group.get(1), group.get(2)].filter((word) => typeof word === "string");
  const name = words.length > 0 ? words.join(" ").slice(0, 200) : context.name;
  const { measurements: pinned } = values;
  return { draft: { name, type, measurements: pinned, minimumSvn: {} }, unused };
}

/** Name of one measurement: of an Arm component, or text. */
function nameOf(type: EvidenceType, key: CborValue | undefined, body: Fields): string | undefined {
  const { number, value } = tagOf(key);
  if (number === tags.armComponent) {
    const label = fieldsOf(value).get(1);
    return typeof label === "string" ? measurementName("cca", componentName(label)) : undefined;
  }
  const named = typeof value === "string" ? value : body.get(11);
  return typeof named === "string" ? measurementName(type, named) : undefined;
}

/** @returns what of it is not used. */
function readValues(
  type: EvidenceType,
  name: string | undefined,
  body: Fields,
  values: DraftValues,
): readonly string[] {
  const unused: string[] = [];
  for (const [key, value] of body) {
    switch (key) {
      case 1:
        // Evidence has no such number of a single component: as a bound it could never be met.
        unused.push(`a security version of ${name ?? "a measurement without a name of ours"}`);
        break;
      case 2:
        unused.push(...addDigests(name, value, values));
        break;
      case 4: {
        const raw = tagOf(value).value;
        // Arm's realms have their personalization value here.
        const of = name ?? (type === "cca" && body.has(14) ? "personalization" : undefined);
        if (of !== undefined && isDigest(raw)) values.add(of, toHex(raw));
        else unused.push("a raw value");
        break;
      }
      case 11:
        break;
      case 14:
        for (const [index, digests] of fieldsOf(value)) {
          unused.push(...addDigests(registerName(type, index), digests, values));
        }
        break;
      default:
        unused.push(`a value of kind ${key}`);
    }
  }
  return unused;
}

function addDigests(
  name: string | undefined,
  value: CborValue,
  values: DraftValues,
): readonly string[] {
  const unused: string[] = [];
  for (const digest of listOf(value, 64)) {
    const [algorithm, bytes] = listOf(digest, 2);
    const known =
      typeof algorithm === "number" &&
      bytes instanceof Uint8Array &&
      bytes.length === digestBytes[algorithm];
    if (name === undefined) unused.push("a digest without a name of ours");
    else if (!known) unused.push(`a digest of ${name} by algorithm ${String(algorithm)}`);
    else values.add(name, toHex(bytes));
  }
  return unused;
}

/** `rim`, `rem0`, `rtmr1` and the like; or a number, which stands for a register of the type. */
function registerName(type: EvidenceType, index: string | number): string | undefined {
  if (typeof index === "string") return measurementName(type, index);
  const kinds: Partial<Record<EvidenceType, string>> = { tdx: "rtmr", csv: "rtmr", tpm: "pcr" };
  const kind = kinds[type];
  return kind === undefined ? undefined : measurementName(type, `${kind}${index}`);
}

function isDigest(value: CborValue | undefined): value is Uint8Array {
  return value instanceof Uint8Array && [32, 48, 64].includes(value.length);
}

function withEnd(draft: Draft, notAfter: number | undefined): Draft {
  return notAfter === undefined ? draft : { ...draft, notAfter };
}

/** Validity: 1 is the end. */
function endOf(validity: CborValue | undefined): number | undefined {
  if (validity === undefined) return undefined;
  const { number, value } = tagOf(fieldsOf(validity).get(1));
  if (number !== tags.time || typeof value !== "number") fail("has a validity without an end");
  return value * 1000;
}

function decode(bytes: Uint8Array): CborValue {
  return decodeTolerant(
    what,
    bytes,
    limits,
    (tag, value) =>
      new Map<string, CborValue>([
        [tagKey, tag],
        [valueKey, value],
      ]),
  );
}

function tagOf(item: CborValue | undefined): {
  readonly number: number | undefined;
  readonly value: CborValue | undefined;
} {
  const fields = item instanceof Map ? (item as Fields) : undefined;
  const number = fields?.get(tagKey);
  return typeof number === "number"
    ? { number, value: fields?.get(valueKey) }
    : { number: undefined, value: item };
}

function untag(item: CborValue, tag: number, reason: string): CborValue {
  const { number, value } = tagOf(item);
  // Tag 500 stands around 501 in drafts before 2023.
  if (number === 500 && value !== undefined) return untag(value, tag, reason);
  return number === tag && value !== undefined ? value : fail(reason);
}

function fieldsOf(value: CborValue | undefined): Fields {
  const plain = value instanceof Map && !(value as Fields).has(tagKey);
  return plain ? (value as Fields) : fail("has something else where a map belongs");
}

function listOf(value: CborValue | undefined, max: number): readonly CborValue[] {
  if (!Array.isArray(value)) fail("has something else where a list belongs");
  if (value.length > max) fail(`has a list of over ${max}`);
  return value as readonly CborValue[];
}

/** A profile is a URI (tag 32), or an OID that is of no use here. */
function textIn(value: CborValue | undefined): string | undefined {
  const { value: inner } = tagOf(value);
  return typeof inner === "string" ? inner : undefined;
}

function fail(reason: string): never {
  throw new AttestationError("malformed", `The CoRIM ${reason}.`);
}
