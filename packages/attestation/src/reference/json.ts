/**
 * Reference values in JSON: messages and stores of trustee's RVPS, plain maps of names to values, and the stores
 * of Arm CCA (rust-ccatoken, trustee). Source: trustee, rvps/README.md.
 */
import { AttestationError } from "../errors.ts";
import type { EvidenceType } from "../evidence.ts";
import { base64Of, fieldOf, isObject, type Json, type JsonObject } from "../forms/encoding.ts";
import { type Draft, type Drafts, DraftValues } from "./draft.ts";
import { componentName, digestText, measurementName } from "./names.ts";

const maxEntries = 1_024;

export interface JsonOptions {
  readonly type?: EvidenceType;
  readonly name: string;
}

/** Bytes and kind of an RVPS message: what another reader may have to go on with. */
export interface RvpsMessage {
  readonly kind: string;
  readonly payload: Uint8Array;
}

/** Undefined for JSON that is no message. @throws AttestationError `malformed`. */
export function rvpsMessageOf(document: Json): RvpsMessage | undefined {
  if (!isObject(document)) return undefined;
  const [version, kind, payload] = ["version", "type", "payload"].map((name) =>
    fieldOf(document, name),
  );
  if (typeof version !== "string" || typeof kind !== "string") return undefined;
  const bytes = typeof payload === "string" ? base64Of(payload) : undefined;
  if (bytes === undefined) fail("is an RVPS message without a payload in base64");
  return { kind, payload: bytes };
}

/** @throws AttestationError `malformed` for JSON of no form that is known. */
export function readJsonReferences(document: Json, options: JsonOptions): Drafts {
  if (Array.isArray(document)) return readStore(document as readonly Json[], options);
  if (!isObject(document)) return fail("is no object and no list");
  const arm = [fieldOf(document, "platform"), fieldOf(document, "realm")];
  if (arm.some(Array.isArray)) return readArm(arm[0] ?? [], arm[1] ?? [], options);
  if (typeof fieldOf(document, "name") === "string" && Object.hasOwn(document, "value")) {
    return readStore([document], options);
  }
  return readMap(document, options);
}

/** `{ name: [values] }`: every combination of them counts, as in RVPS. */
function readMap(document: JsonObject, options: JsonOptions): Drafts {
  const { type } = options;
  if (type === undefined) fail("does not say which type of evidence it is for: name it");
  const values = new DraftValues();
  const unused: string[] = [];
  const entries = Object.entries(document);
  if (entries.length > maxEntries) fail(`has over ${maxEntries} names`);
  for (const [key, value] of entries) addValues(type, key, value, values, unused);
  return { drafts: draftsOf(type, options.name, values), unused };
}

/** A list of RVPS's stored values, which end one by one: the set ends with the first. */
function readStore(list: readonly Json[], options: JsonOptions): Drafts {
  const { type, name } = options;
  if (type === undefined) fail("does not say which type of evidence it is for: name it");
  if (list.length > maxEntries) fail(`has over ${maxEntries} values`);
  const values = new DraftValues();
  const unused: string[] = [];
  let notAfter: number | undefined;
  for (const item of list) {
    if (!isObject(item)) fail("has a stored value that is no object");
    const key = fieldOf(item, "name");
    const value = fieldOf(item, "value");
    if (typeof key !== "string" || value === undefined) fail("has a stored value without a name");
    if (!addValues(type, key, value, values, unused)) continue;
    const end = endOf(fieldOf(item, "expiration"));
    if (end !== undefined) notAfter = Math.min(end, notAfter ?? end);
  }
  const drafts = draftsOf(type, name, values);
  return { drafts: notAfter === undefined ? drafts : withEnd(drafts, notAfter), unused };
}

/** @returns whether any of it is used. */
function addValues(
  type: EvidenceType,
  key: string,
  value: Json,
  values: DraftValues,
  unused: string[],
): boolean {
  const name = measurementName(type, key);
  if (name === undefined) {
    unused.push(`${key.slice(0, 64)}: ${type} measures nothing of that name`);
    return false;
  }
  let used = false;
  for (const one of Array.isArray(value) ? (value as readonly Json[]) : [value]) {
    const digest = digestText(one);
    if (digest === undefined) unused.push(`${key.slice(0, 64)}: a value that is no whole digest`);
    else {
      values.add(name, digest);
      used = true;
    }
  }
  return used;
}

function draftsOf(type: EvidenceType, name: string, values: DraftValues): readonly Draft[] {
  const { measurements } = values;
  return values.isEmpty ? [] : [{ name, type, measurements, minimumSvn: {} }];
}

const withEnd = (drafts: readonly Draft[], notAfter: number): readonly Draft[] =>
  drafts.map((draft) => ({ ...draft, notAfter }));

function endOf(value: Json | undefined): number | undefined {
  if (value === undefined || value === null) return undefined;
  const end = typeof value === "string" ? Date.parse(value) : Number.NaN;
  return Number.isFinite(end) ? end : fail("has an expiration that is no time");
}

/** One record for each platform and each realm; `joinDrafts` makes one state of them. */
function readArm(platforms: Json, realms: Json, { type, name }: JsonOptions): Drafts {
  if (type !== undefined && type !== "cca") fail(`is of Arm CCA, not of ${type}`);
  const unused: string[] = [];
  const found = [
    ...listOf(platforms).map((one) => readPlatform(one, unused)),
    ...listOf(realms).map((one) => readRealm(one, unused)),
  ];
  const drafts = found.flatMap((values, i) => draftsOf("cca", `${name}, part ${i + 1}`, values));
  return { drafts, unused: [...new Set(unused)] };
}

function readPlatform(platform: JsonObject, unused: string[]): DraftValues {
  const values = new DraftValues();
  const id = digestText(fieldOf(platform, "implementation-id"));
  if (id !== undefined) values.add("implementation_id", id);
  if (Object.hasOwn(platform, "platform-configuration")) unused.push("platform-configuration");
  const components = listOf(fieldOf(platform, "sw-components") ?? []);
  const names = components.map((component) => {
    const kind = fieldOf(component, "component-type");
    return typeof kind === "string" ? measurementName("cca", componentName(kind)) : undefined;
  });
  for (const [i, component] of components.entries()) {
    unused.push("signer-id and version of components");
    const value = digestText(fieldOf(component, "measurement-value"));
    const name = names[i];
    // Two of one name: the verifier pins neither, so that one cannot stand in for the other.
    const once = names.filter((other) => other === name).length === 1;
    if (name !== undefined && once && value !== undefined) values.add(name, value);
    else unused.push(`component ${i + 1}, which has no name or digest of its own`);
  }
  return values;
}

function readRealm(realm: JsonObject, unused: string[]): DraftValues {
  const values = new DraftValues();
  const add = (name: string, value: Json | undefined): void => {
    const digest = digestText(value);
    if (digest !== undefined) values.add(name, digest);
    else if (value !== undefined) unused.push(`${name}: a value that is no whole digest`);
  };
  add("rim", fieldOf(realm, "initial-measurement"));
  add("personalization", fieldOf(realm, "personalization-value"));
  const extensible = fieldOf(realm, "extensible-measurements") ?? [];
  if (!Array.isArray(extensible) || extensible.length > 4) fail("has over four registers a realm");
  for (const [i, value] of (extensible as readonly Json[]).entries()) add(`rem_${i}`, value);
  return values;
}

function listOf(value: Json): readonly JsonObject[] {
  if (!Array.isArray(value) || value.length > maxEntries) fail("has something else than a list");
  return (value as readonly Json[]).map((item) =>
    isObject(item) ? item : fail("lacks an object"),
  );
}

function fail(reason: string): never {
  throw new AttestationError("malformed", `The file of reference values ${reason}.`);
}
