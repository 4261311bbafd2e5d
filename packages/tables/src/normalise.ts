/**
 * Normalisers: pure functions that bring different writings of one key to one text. Each is
 * idempotent. Their names stand in the config digest of a PSI run, so that two parties who
 * normalise differently learn it before any item moves.
 */
import { domainToASCII } from "node:url";
import { isSupportedCountry, parsePhoneNumberFromString } from "libphonenumber-js/min";
import { TablesError } from "./errors.ts";

/**
 * - `trim`: white space of Unicode and byte-order marks off both ends.
 * - `nfkc`: Unicode compatibility composition (full-width letters, ligatures, accents).
 * - `lower`: lower case by Unicode's default mapping, no locale.
 * - `email`: {@link email}.
 * - `e164`, `e164:DE`: {@link e164}, without or with the region of numbers that have no `+`.
 */
export type Normaliser = "trim" | "nfkc" | "lower" | "email" | "e164" | `e164:${string}`;

/**
 * Version of each definition, part of the canonical description: raise it when the same input may
 * give another output. E.164 also depends on the phone metadata, hence on the library's version.
 */
const versions: Readonly<Record<string, string>> = {
  trim: "1",
  nfkc: "1",
  lower: "1",
  email: "1",
  e164: "1",
};

/** @returns the normalised text; `undefined` if the value is not what the normaliser is for. */
export type Normalise = (value: string) => string | undefined;

/** White space and byte-order marks off both ends, as `String.prototype.trim` has it. */
export function trim(value: string): string {
  return value.trim();
}

/** Unicode normalisation form KC (UAX #15). */
export function nfkc(value: string): string {
  return value.normalize("NFKC");
}

/** Unicode lower case, independent of the locale of the machine. */
export function lower(value: string): string {
  return value.toLowerCase();
}

/**
 * An e-mail address as people mean it: trimmed, NFKC, lower case as a whole (RFC 5321 lets the
 * local part be case-sensitive, no provider of note does), the domain in its ASCII form (IDNA).
 * Dots and `+tags` of the local part stay: dropping them is one provider's rule.
 * Quoted local parts, comments and address literals are not taken.
 * @returns "" for a blank value, `undefined` for anything that is not an address.
 */
export function email(value: string): string | undefined {
  const text = nfkc(lower(nfkc(value))).trim();
  if (text === "") return "";
  const at = text.indexOf("@");
  const local = text.slice(0, at);
  const domain = text.slice(at + 1);
  // RFC 5321 4.5.3.1: 64 bytes of local part, 255 of domain.
  if (at < 1 || Buffer.byteLength(local) > 64 || domain.length > 255) return undefined;
  if (!/^[^\s\p{C}"(),:;<>@[\\\]]+$/u.test(local) || /^\.|\.\.|\.$/.test(local)) return undefined;
  // domainToASCII is a URL parser: it decodes %, and reads 1.2 as the address 1.0.0.2.
  if (!/^[\p{L}\p{M}\p{N}.\-·・。．｡]+$/u.test(domain)) return undefined;
  const ascii = domainToASCII(domain);
  if (!/^(?:[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?\.)+(?!\d+$|0x)[a-z0-9-]{2,63}$/.test(ascii)) {
    return undefined;
  }
  return ascii.length > 255 ? undefined : `${local}@${ascii}`;
}

/**
 * A telephone number in E.164 form (`+4930123456`), by libphonenumber's metadata. Possible length
 * is asked for, not a known range: ranges change with every release of the metadata.
 * @param region ISO 3166 code of numbers written without `+`; without it those do not parse.
 * @returns "" for a blank value, `undefined` for what does not parse or has an extension.
 */
export function e164(value: string, region?: string): string | undefined {
  const text = nfkc(value).trim();
  if (text === "") return "";
  // The library's own bound is 250; no number with its punctuation is longer than this.
  if (text.length > 64) return undefined;
  const options = { extract: false } as const;
  const parsed =
    region !== undefined && isSupportedCountry(region)
      ? parsePhoneNumberFromString(text, { ...options, defaultCountry: region })
      : parsePhoneNumberFromString(text, options);
  if (parsed === undefined || parsed.ext !== undefined || !parsed.isPossible()) return undefined;
  return parsed.number;
}

/** @throws TablesError `invalid-argument` for an unknown name or region. */
export function requireNormaliser(name: string): Normaliser {
  const [base, region, ...rest] = name.split(":");
  const known = base !== undefined && Object.hasOwn(versions, base) && rest.length === 0;
  if (!known || (region !== undefined && base !== "e164")) {
    throw new TablesError(
      "invalid-argument",
      `Unknown normaliser ${JSON.stringify(name.slice(0, 40))}. Known: trim, nfkc, lower, email, e164, e164:REGION.`,
    );
  }
  if (region !== undefined && !isSupportedCountry(region)) {
    throw new TablesError(
      "invalid-argument",
      `Normaliser e164: ${JSON.stringify(region.slice(0, 10))} is not a region such as DE or CN.`,
    );
  }
  return name as Normaliser;
}

/** `trim/1`, `e164/1:DE`: the name with the version of its definition. */
export function canonicalNormaliser(name: Normaliser): string {
  const [base = "", region] = requireNormaliser(name).split(":");
  return `${base}/${versions[base]}${region === undefined ? "" : `:${region}`}`;
}

/** One function out of several, applied from left to right; the first `undefined` ends it. */
export function compileNormalisers(names: readonly Normaliser[]): Normalise {
  const steps = names.map((name): Normalise => {
    const [base, region] = requireNormaliser(name).split(":");
    if (base === "trim") return trim;
    if (base === "nfkc") return nfkc;
    if (base === "lower") return lower;
    if (base === "email") return email;
    return (value) => e164(value, region);
  });
  return (value) => {
    let current: string | undefined = value;
    for (const step of steps) {
      current = step(current);
      if (current === undefined) return undefined;
    }
    return current;
  };
}
