/**
 * Bundles: all collateral of one piece of evidence in one file, for machines without a network. JSON of
 * entries by name, in base64url; the bytes inside are those that were published.
 */
import { fromBase64Url, toBase64Url, utf8 } from "@vivarium/core";
import { AttestationError } from "../errors.ts";
import type { Collateral } from "../evidence.ts";
import { fieldOf, isObject, type JsonObject } from "./encoding.ts";

const kind = "vivarium-collateral";
const version = 1;
const entryName = /^[a-z][a-z0-9-]{0,31}$/;
const maxEntries = 64;

/** One text for the same entries, whatever their order. */
export function encodeCollateralBundle(collateral: Collateral): Uint8Array<ArrayBuffer> {
  const entries = Object.entries(collateral)
    .sort(([a], [b]) => (a < b ? -1 : 1))
    .map(([name, bytes]) => [name, toBase64Url(bytes)]);
  return utf8(
    `${JSON.stringify({ kind, version, entries: Object.fromEntries(entries) }, null, 1)}\n`,
  );
}

/** Undefined if the JSON is no bundle. @throws AttestationError `malformed` for a broken one. */
export function collateralBundleOf(document: JsonObject): Collateral | undefined {
  if (fieldOf(document, "kind") !== kind) return undefined;
  const entries = fieldOf(document, "entries");
  if (fieldOf(document, "version") !== version || !isObject(entries)) fail("is of another version");
  const all = Object.entries(entries as JsonObject);
  if (all.length > maxEntries) fail(`holds more than ${maxEntries} entries`);
  return Object.fromEntries(
    all.map(([name, value]) => {
      if (!entryName.test(name) || typeof value !== "string")
        fail("holds an entry without its form");
      try {
        return [name, fromBase64Url(value as string)];
      } catch (cause) {
        throw new AttestationError("malformed", `The bundle's entry ${name} is not base64url.`, {
          cause,
        });
      }
    }),
  );
}

function fail(reason: string): never {
  throw new AttestationError("malformed", `The collateral bundle ${reason}.`);
}
