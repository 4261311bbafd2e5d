/**
 * The elements and attributes of an XML document, and no more: no text, no DTD, no entities of its own. What a
 * document type could bring (expansion, files, other entities) is refused, not ignored.
 */
import { AttestationError } from "../errors.ts";

export interface XmlElement {
  /** Without its prefix. */
  readonly name: string;
  /** As they stand: `SHA256:hash`. */
  readonly attributes: ReadonlyMap<string, string>;
  /** Namespaces in force, by prefix. */
  readonly namespaces: ReadonlyMap<string, string>;
  readonly children: readonly XmlElement[];
}

const limits = { depth: 16, elements: 10_000, attributes: 64 } as const;
const attribute = /\s+([A-Za-z_][\w.-]*(?::[A-Za-z_][\w.-]*)?)\s*=\s*(?:"([^"<]*)"|'([^'<]*)')/y;
const open = /<([A-Za-z_][\w.-]*(?::[A-Za-z_][\w.-]*)?)/y;
const close = /<\/([A-Za-z_][\w.-]*(?::[A-Za-z_][\w.-]*)?)\s*>/y;
const entities: Readonly<Record<string, string>> = {
  ...{ lt: "<", gt: ">", amp: "&", quot: '"', apos: "'" },
};

interface Building {
  readonly tag: string;
  readonly element: XmlElement & { readonly children: XmlElement[] };
}

/** The root element. @throws AttestationError `malformed`. */
export function parseXml(text: string): XmlElement {
  const stack: Building[] = [];
  let root: XmlElement | undefined;
  let at = skipProlog(text);
  let count = 0;
  while (at < text.length) {
    const next = text.indexOf("<", at);
    if (next < 0) break;
    if (root !== undefined && stack.length === 0) fail("has something after its root");
    at = next;
    if (text.startsWith("<!--", at)) {
      at = after(text, "-->", at + 4);
      continue;
    }
    if (text.startsWith("<!", at) || text.startsWith("<?", at))
      fail("has a DTD, CDATA or the like");
    const end = match(close, text, at);
    if (end !== undefined) {
      if (stack.pop()?.tag !== end[1]) fail("has an element that ends as another");
      at += end[0].length;
      continue;
    }
    if (++count > limits.elements) fail(`has over ${limits.elements} elements`);
    const parent = stack.at(-1)?.element;
    const { tag, element, length, empty } = startOf(text, at, parent?.namespaces ?? new Map());
    at += length;
    if (parent === undefined) root = element;
    else parent.children.push(element);
    if (empty) continue;
    stack.push({ tag, element });
    if (stack.length > limits.depth) fail(`is nested deeper than ${limits.depth}`);
  }
  if (root === undefined || stack.length > 0) fail("is cut short");
  return root;
}

function startOf(
  text: string,
  from: number,
  outer: ReadonlyMap<string, string>,
): Building & { readonly length: number; readonly empty: boolean } {
  const [head, tag = ""] = match(open, text, from) ?? fail("has a tag that is none");
  let at = from + head.length;
  const attributes = new Map<string, string>();
  for (let found = match(attribute, text, at); found; found = match(attribute, text, at)) {
    const [whole, name = "", double, single] = found;
    if (attributes.has(name) || attributes.size >= limits.attributes) {
      fail("has an attribute twice, or too many");
    }
    attributes.set(name, decoded(double ?? single ?? ""));
    at += whole.length;
  }
  const [rest] = match(/\s*\/?>/y, text, at) ?? fail("has a tag without its end");
  const namespaces = new Map(outer);
  for (const [name, value] of attributes) {
    if (name === "xmlns") namespaces.set("", value);
    else if (name.startsWith("xmlns:")) namespaces.set(name.slice(6), value);
  }
  const name = tag.split(":").at(-1) ?? tag;
  const element = { name, attributes, namespaces, children: [] };
  return { tag, element, length: at + rest.length - from, empty: rest.trim() === "/>" };
}

/** The declaration and white space before the root. */
function skipProlog(text: string): number {
  const [prolog] = match(/\uFEFF?(?:<\?xml\s[^?<>]*\?>)?\s*/y, text, 0) ?? [""];
  if (text[prolog.length] !== "<") fail("is no XML");
  return prolog.length;
}

function decoded(value: string): string {
  return value.replace(/&([^;&]{0,16});?/g, (whole, name: string) => {
    const known = Object.hasOwn(entities, name) && whole.endsWith(";") ? entities[name] : undefined;
    return known ?? fail("has an entity that is not one of the five");
  });
}

function match(pattern: RegExp, text: string, at: number): RegExpExecArray | undefined {
  pattern.lastIndex = at;
  return pattern.exec(text) ?? undefined;
}

function after(text: string, mark: string, from: number): number {
  const at = text.indexOf(mark, from);
  return at < 0 ? fail("has a comment without its end") : at + mark.length;
}

function fail(reason: string): never {
  throw new AttestationError("malformed", `The XML ${reason}.`);
}
