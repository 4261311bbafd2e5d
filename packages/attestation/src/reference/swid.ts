/**
 * SWID tags (ISO/IEC 19770-2) with measurements: `File` with digests, and `Resource` with `Hash0` and so on as
 * reference integrity manifests have them (TCG, NVIDIA). Its XML signature is not verified.
 */
import { AttestationError } from "../errors.ts";
import type { EvidenceType } from "../evidence.ts";
import { type Drafts, DraftValues } from "./draft.ts";
import { digestText, measurementName } from "./names.ts";
import { parseXml, type XmlElement } from "./xml.ts";

export interface SwidOptions {
  readonly type?: EvidenceType;
  readonly name: string;
}

/** Digits of a digest, by the namespace that names its algorithm. */
const algorithms = new Map([
  ["http://www.w3.org/2001/04/xmlenc#sha256", 64],
  ["http://www.w3.org/2001/04/xmldsig-more#sha384", 96],
  ["http://www.w3.org/2001/04/xmlenc#sha512", 128],
]);

/** @throws AttestationError `malformed`. */
export function readSwid(text: string, { type, name }: SwidOptions): Drafts {
  const root = parseXml(text);
  if (root.name !== "SoftwareIdentity") fail("is no SoftwareIdentity");
  if (type === undefined) fail("does not say which type of evidence it is for: name it");
  const values = new DraftValues();
  const unused: string[] = [];
  for (const element of measured(root)) addElement(type, element, values, unused);
  if (elements(root).some((element) => element.name === "Signature")) {
    unused.push("the XML signature, which is not verified");
  }
  const title = [root.attributes.get("name"), root.attributes.get("version")];
  const label = title.filter((word) => word !== undefined && word !== "").join(" ") || name;
  const drafts = values.isEmpty
    ? []
    : [{ name: label.slice(0, 200), type, measurements: values.measurements, minimumSvn: {} }];
  return { drafts, unused };
}

/** Of payloads alone: evidence of an installation (`Evidence`) is what somebody found. */
function measured(root: XmlElement): readonly XmlElement[] {
  const payloads = root.children.filter(({ name }) => name === "Payload");
  return payloads.flatMap(elements).filter(({ name }) => name === "File" || name === "Resource");
}

function elements(element: XmlElement): readonly XmlElement[] {
  return [element, ...element.children.flatMap(elements)];
}

function addElement(
  type: EvidenceType,
  { name: kind, attributes, namespaces }: XmlElement,
  values: DraftValues,
  unused: string[],
): void {
  const title = attributes.get("name") ?? "";
  const name = measurementName(type, title);
  if (name === undefined) {
    unused.push(`${kind} ${title.slice(0, 64)}: ${type} measures nothing of that name`);
    return;
  }
  if (attributes.get("active")?.toLowerCase() === "false") {
    unused.push(`${title.slice(0, 64)}: not active`);
    return;
  }
  for (const [key, value] of attributes) {
    const [prefix = "", local] = key.split(":");
    const length = local === "hash" ? algorithms.get(namespaces.get(prefix) ?? "") : undefined;
    const alternative = kind === "Resource" && /^Hash\d{1,3}$/.test(key);
    if (length === undefined && !alternative) {
      if (local === "hash") unused.push(`${title.slice(0, 64)}: a digest by ${prefix}`);
      continue;
    }
    const digest = digestText(value);
    if (digest !== undefined && (length === undefined || digest.length === length)) {
      values.add(name, digest);
    } else unused.push(`${title.slice(0, 64)}: a value that is no whole digest`);
  }
}

function fail(reason: string): never {
  throw new AttestationError("malformed", `The SWID tag ${reason}.`);
}
