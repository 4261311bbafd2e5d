/** A path through certificates that came in any order. */
import { equalBytes } from "@vivarium/core";
import type { Certificate } from "./types.ts";

const maxPath = 6;

/** The leaf, then each certificate's issuer after it, as far as they are given. Nothing is verified. */
export function issuersPath(
  leaf: Certificate,
  all: readonly Certificate[],
): readonly Certificate[] {
  const path = [leaf];
  for (let below = leaf; path.length < maxPath; ) {
    const issuer = all.find(
      ({ subject, raw }) => equalBytes(subject, below.issuer) && !equalBytes(raw, below.raw),
    );
    if (issuer === undefined) break;
    path.push(issuer);
    below = issuer;
  }
  return path;
}
