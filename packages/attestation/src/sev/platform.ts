/**
 * Whether a PDH and PEK are of a genuine SEV platform: ARK → ASK → CEK → PEK → PDH. It is what the owner
 * of a guest checks before launch; a launch secret is wrapped to this PDH. Source: AMD 55766 section 2.
 */
import { type Crypto, equalBytes, toHex } from "@vivarium/core";
import { type Examination, examine } from "../examination.ts";
import { fingerprint } from "../keys.ts";
import {
  parseSevAuthority,
  parseSevCertificate,
  rsaOfSlot,
  type SevAuthority,
  type SevCertificate,
  sevUsage,
  signedByAuthority,
  signedByKey,
} from "./certificate.ts";
import { genoaArk, genoaAsk } from "./roots/genoa.ts";
import { milanArk, milanAsk } from "./roots/milan.ts";
import { naplesArk, naplesAsk } from "./roots/naples.ts";
import { romeArk, romeAsk } from "./roots/rome.ts";
import { turinArk, turinAsk } from "./roots/turin.ts";

export interface SevPlatformInput {
  readonly crypto: Crypto;
  /** Of AMD's key server, by chip. */
  readonly cek: Uint8Array;
  readonly pek: Uint8Array;
  readonly pdh: Uint8Array;
  /** Who owns the platform. Whether it may be its own owner is the caller's to say. */
  readonly oca: Uint8Array;
  /** ARK and ASK to trust instead of AMD's, for test PKIs. */
  readonly authorities?: readonly (readonly [Uint8Array, Uint8Array])[];
}

export interface VerifiedSevPlatform {
  readonly pdh: SevCertificate;
  readonly pek: SevCertificate;
  /** Fingerprints of the root's and the owner's keys. */
  readonly root: string;
  readonly owner: string;
  readonly findings: Examination["findings"];
}

const source = "AMD 55766 section 2.1";

function builtIn(): readonly (readonly [Uint8Array, Uint8Array])[] {
  return [
    [naplesArk, naplesAsk],
    [romeArk, romeAsk],
    [milanArk, milanAsk],
    [genoaArk, genoaAsk],
    [turinArk, turinAsk],
  ].map(([ark, ask]) => [fromText(ark as string), fromText(ask as string)] as const);
}

function fromText(text: string): Uint8Array {
  return Uint8Array.from(atob(text.replace(/\s+/g, "")), (character) => character.charCodeAt(0));
}

/** @throws AttestationError with its findings: `malformed` or `not-genuine`. */
export async function verifySevPlatform(input: SevPlatformInput): Promise<VerifiedSevPlatform> {
  const { crypto } = input;
  const exam = examine("SEV platform");
  const cek = parseSevCertificate("CEK", input.cek);
  const pek = parseSevCertificate("PEK", input.pek);
  const pdh = parseSevCertificate("PDH", input.pdh);
  const oca = parseSevCertificate("OCA", input.oca);
  for (const [name, certificate, usage] of [
    ["cek", cek, sevUsage.cek],
    ["pek", pek, sevUsage.pek],
    ["pdh", pdh, sevUsage.pdh],
    ["oca", oca, sevUsage.oca],
  ] as const) {
    const actual = `0x${certificate.usage.toString(16)}`;
    exam.require(
      `sev.${name}-usage`,
      certificate.usage === usage,
      `0x${usage.toString(16)}`,
      actual,
      source,
    );
  }
  const root = await requireAuthority(exam, crypto, cek, input.authorities ?? builtIn());
  const demand = async (rule: string, by: string, ok: Promise<boolean>): Promise<void> => {
    const verified = await ok;
    exam.require(
      rule,
      verified,
      `signed by the ${by}`,
      verified ? "verifies" : "does not verify",
      source,
    );
  };
  await demand("sev.pek", "CEK", slotVerifies(crypto, pek, cek, sevUsage.oca));
  await demand("sev.oca", "OCA", slotVerifies(crypto, oca, oca, sevUsage.none));
  await demand("sev.pek-owner", "OCA", slotVerifies(crypto, pek, oca, sevUsage.cek));
  await demand("sev.pdh", "PEK", slotVerifies(crypto, pdh, pek, sevUsage.none));
  return {
    pdh,
    pek,
    root: await fingerprint(crypto, root.spki),
    owner: await fingerprint(crypto, oca.spki),
    findings: exam.findings,
  };
}

/** The generation whose ASK signed the CEK; there is nothing else in a CEK that names it. */
async function requireAuthority(
  exam: Examination,
  crypto: Crypto,
  cek: SevCertificate,
  authorities: readonly (readonly [Uint8Array, Uint8Array])[],
): Promise<SevAuthority> {
  const slot = cek.signatures.find(({ usage }) => usage === sevUsage.ask);
  const rest = cek.signatures.find((signature) => signature !== slot);
  const alone = slot !== undefined && rest?.usage === sevUsage.none;
  const actual = cek.signatures.map(({ usage }) => `0x${usage.toString(16)}`).join(" and ");
  exam.require("sev.cek-slot", alone, "the signature of an ASK alone", actual, source);
  for (const [arkBytes, askBytes] of authorities) {
    const ark = parseSevAuthority("ARK", arkBytes);
    const ask = parseSevAuthority("ASK", askBytes);
    const signature = slot === undefined ? undefined : rsaOfSlot(ask, slot);
    if (signature === undefined) continue;
    if (!(await signedByAuthority(crypto, ask, cek.signed, signature))) continue;
    exam.require("sev.cek", true, "signed by an ASK", "verifies", source);
    const named = equalBytes(ask.certifyingId, ark.keyId) && ask.usage === sevUsage.ask;
    exam.require("sev.ask-name", named, toHex(ark.keyId), toHex(ask.certifyingId), source);
    const certified = await signedByAuthority(crypto, ark, ask.signed, ask.signature);
    exam.require(
      "sev.ask",
      certified,
      "signed by the ARK",
      certified ? "verifies" : "does not verify",
      source,
    );
    const self =
      ark.usage === sevUsage.ark &&
      (await signedByAuthority(crypto, ark, ark.signed, ark.signature));
    exam.require(
      "sev.ark",
      self,
      "signed by itself",
      self ? "verifies" : "does not verify",
      source,
    );
    return ark;
  }
  exam.require("sev.cek", false, "signed by an ASK of AMD's", "by none that is known", source);
  throw new Error("unreachable: a failed rule throws");
}

/** The signer's slot, exactly one, holds its signature; the other one is of the usage that belongs there. */
async function slotVerifies(
  crypto: Crypto,
  certificate: SevCertificate,
  signer: SevCertificate,
  other: number,
): Promise<boolean> {
  const [slot, ...more] = certificate.signatures.filter(({ usage }) => usage === signer.usage);
  const rest = certificate.signatures.find((signature) => signature !== slot);
  if (slot === undefined || more.length > 0 || rest?.usage !== other) return false;
  return await signedByKey(crypto, signer.spki, certificate.signed, slot);
}
