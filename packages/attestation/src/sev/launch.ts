/**
 * The owner's word on a launch: that he has checked a platform and a measurement, and given a key to the guest
 * behind them. It is what stands for a report in evidence of SEV and SEV-ES, whose own reports carry no data
 * of the guest's. Deterministic CBOR, signed by the owner.
 */
import { type Crypto, fromHex, labels, lengthPrefixed, type Signer } from "@vivarium/core";
import { bytesOf, type CborValue, decodeCbor, encodeCbor, fieldsOf, integerOf } from "../cbor.ts";
import { AttestationError } from "../errors.ts";
import { keyAlgorithm } from "../keys.ts";
import type { SevFirmware } from "./secret.ts";

export interface SevLaunchStatement extends SevFirmware {
  /** Guest policy. */
  readonly policy: number;
  /** Launch digest, 32 bytes. */
  readonly measurement: Uint8Array;
  /** SHA-256 of the keys (SPKI) of the platform's root and owner. */
  readonly platformRoot: Uint8Array;
  readonly platformOwner: Uint8Array;
  /** SPKI of the key that only this guest has. */
  readonly key: Uint8Array;
  /** SPKI of the guest's owner, who signs. */
  readonly owner: Uint8Array;
  /** Milliseconds since the epoch. */
  readonly notBefore: number;
  readonly notAfter: number;
}

export interface SignedSevLaunch {
  readonly statement: SevLaunchStatement;
  readonly signed: Uint8Array;
  readonly signature: Uint8Array;
}

const profile = "tag:github.com,2026:vivarium/sev-launch#1";
const names = [
  ...(["profile", "policy", "apiMajor", "apiMinor", "build", "measurement"] as const),
  ...(["platformRoot", "platformOwner", "key", "owner", "notBefore", "notAfter"] as const),
] as const;
export const maxSevLaunchBytes = 1024;
const limits = { maxBytes: maxSevLaunchBytes, maxDepth: 1, maxValues: 32 };
/** A guest cannot be given another key without another launch. */
export const maxSevLaunchMs: number = 366 * 24 * 60 * 60 * 1000;

/** @throws AttestationError `malformed` for a field out of range. */
export async function signSevLaunch(
  owner: Signer,
  statement: Omit<SevLaunchStatement, "owner">,
): Promise<Uint8Array<ArrayBuffer>> {
  const fields: Readonly<Record<(typeof names)[number], CborValue>> = {
    ...{ profile, ...statement, owner: owner.publicKey },
  };
  const payload = encodeCbor(new Map<string, CborValue>(names.map((name) => [name, fields[name]])));
  readStatement(payload);
  const signature = await owner.sign(lengthPrefixed(labels.sevLaunch, payload));
  return encodeCbor(
    new Map<string, CborValue>([
      ["statement", payload],
      ["signature", signature],
    ]),
  );
}

/** @throws AttestationError `malformed`. Nothing of it is verified. */
export function parseSevLaunch(bytes: Uint8Array): SignedSevLaunch {
  const outer = decodeCbor("SEV launch", bytes, limits);
  const envelope = fieldsOf("SEV launch", outer, ["statement", "signature"]);
  const payload = bytesOf("Statement of the SEV launch", envelope.statement, 1, maxSevLaunchBytes);
  return {
    statement: readStatement(payload),
    signed: lengthPrefixed(labels.sevLaunch, payload),
    signature: bytesOf("Signature of the SEV launch", envelope.signature, 64, 96),
  };
}

export async function sevLaunchVerifies(
  crypto: Crypto,
  { statement, signed, signature }: SignedSevLaunch,
): Promise<boolean> {
  const { owner } = statement;
  return (await crypto.verify(keyAlgorithm(owner), owner, signature, signed)) === true;
}

/** A fingerprint, `sha256:…`, as its 32 bytes. */
export function fingerprintBytes(fingerprint: string): Uint8Array {
  return fromHex(fingerprint.replace(/^sha256:/, ""));
}

function readStatement(payload: Uint8Array): SevLaunchStatement {
  const what = "SEV launch";
  const fields = fieldsOf(what, decodeCbor(what, payload, limits), names);
  if (fields.profile !== profile) fail(`does not have the profile ${profile}`);
  const byte = (name: "apiMajor" | "apiMinor" | "build"): number =>
    integerOf(`${what}: ${name}`, fields[name], 0, 0xff);
  const digest = (name: "measurement" | "platformRoot" | "platformOwner"): Uint8Array =>
    bytesOf(`${what}: ${name}`, fields[name], 32, 32);
  const statement: SevLaunchStatement = {
    policy: integerOf(`${what}: policy`, fields.policy, 0, 0xffff_ffff),
    ...{ apiMajor: byte("apiMajor"), apiMinor: byte("apiMinor"), build: byte("build") },
    measurement: digest("measurement"),
    platformRoot: digest("platformRoot"),
    platformOwner: digest("platformOwner"),
    key: bytesOf(`${what}: key`, fields.key, 32, 128),
    owner: bytesOf(`${what}: owner`, fields.owner, 32, 128),
    notBefore: integerOf(`${what}: notBefore`, fields.notBefore, 0),
    notAfter: integerOf(`${what}: notAfter`, fields.notAfter, 0),
  };
  keyAlgorithm(statement.key);
  keyAlgorithm(statement.owner);
  const life = statement.notAfter - statement.notBefore;
  if (life <= 0 || life > maxSevLaunchMs) fail("lives longer than 0 and at most 366 days");
  return statement;
}

function fail(reason: string): never {
  throw new AttestationError("malformed", `The SEV launch ${reason}.`);
}
