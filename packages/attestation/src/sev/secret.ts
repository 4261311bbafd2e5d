/**
 * Secrets that the owner injects into a launched guest, and the measurement that decides whether he does.
 * Source: AMD 55766 sections 6.5 (LAUNCH_MEASURE) and 6.6 (LAUNCH_SECRET); edk2 ConfidentialComputingSecret.h.
 */
import { type Crypto, concat, type Random, systemRandom } from "@vivarium/core";
import { AttestationError } from "../errors.ts";
import { guidBytes } from "../measure/firmware.ts";
import { policyBytes } from "./policy.ts";
import { aesCtr, type SevTransportKeys } from "./session.ts";

/** Version of the platform's firmware, as `query-sev` and the platform's status give it. */
export interface SevFirmware {
  readonly apiMajor: number;
  readonly apiMinor: number;
  readonly build: number;
}

export interface LaunchMeasureInput {
  /** TIK, 16 bytes. */
  readonly integrity: Uint8Array;
  readonly firmware: SevFirmware;
  readonly policy: number;
  /** Launch digest, 32 bytes: see `./measure`. */
  readonly digest: Uint8Array;
  /** MNONCE, 16 bytes. */
  readonly nonce: Uint8Array;
}

export const measureBytes = 32;
export const measureNonceBytes = 16;

/** MEASURE that the firmware gives for this launch, 32 bytes. @throws AttestationError `malformed`. */
export async function launchMeasure(
  crypto: Crypto,
  input: LaunchMeasureInput,
): Promise<Uint8Array<ArrayBuffer>> {
  const { integrity, firmware, policy, digest, nonce } = input;
  const version = [firmware.apiMajor, firmware.apiMinor, firmware.build];
  const fits = version.every((part) => Number.isInteger(part) && part >= 0 && part <= 0xff);
  if (!fits || digest.length !== 32 || nonce.length !== measureNonceBytes) {
    fail(
      "A launch measurement takes three numbers of a byte, a digest of 32 bytes, a nonce of 16.",
    );
  }
  const head = Uint8Array.of(0x04, ...version);
  return await crypto.hmac("SHA-256", integrity, concat(head, policyBytes(policy), digest, nonce));
}

export interface LaunchSecret {
  /** 52 bytes. */
  readonly header: Uint8Array;
  /** Encrypted table. */
  readonly data: Uint8Array;
}

const table = guidBytes("1e74f542-71dd-4d66-963e-ef4287ff173b");
/** OVMF keeps a page for it. */
const maxTableBytes = 4096;

/**
 * A packet for LAUNCH_SECRET, which the firmware takes for this very launch only.
 * @param secrets data by GUID.
 * @param measure of the launch, 32 bytes.
 * @throws AttestationError `malformed` for more than the guest has room for.
 */
export async function sealLaunchSecret(
  crypto: Crypto,
  keys: SevTransportKeys,
  measure: Uint8Array,
  secrets: ReadonlyMap<string, Uint8Array>,
  random: Random = systemRandom(),
): Promise<LaunchSecret> {
  const plain = secretTable(secrets);
  const iv = random.bytes(16);
  const data = await aesCtr(keys.encryption, iv, plain);
  const size = u32le(plain.length);
  plain.fill(0);
  const flags = u32le(0);
  const mac = await crypto.hmac(
    "SHA-256",
    keys.integrity,
    concat(Uint8Array.of(0x01), flags, iv, size, size, data, measure),
  );
  return { header: concat(flags, iv, mac), data };
}

function secretTable(secrets: ReadonlyMap<string, Uint8Array>): Uint8Array<ArrayBuffer> {
  const entry = (guid: Uint8Array, data: Uint8Array): Uint8Array =>
    concat(guid, u32le(20 + data.length), data);
  const entries = [...secrets].map(([guid, data]) => entry(guidBytes(guid), data));
  const whole = entry(table, concat(...entries));
  const padded = new Uint8Array(Math.ceil(whole.length / 16) * 16);
  if (padded.length > maxTableBytes) fail(`Secrets take over ${maxTableBytes} bytes.`);
  padded.set(whole);
  whole.fill(0);
  return padded;
}

function u32le(value: number): Uint8Array {
  return policyBytes(value);
}

function fail(message: string): never {
  throw new AttestationError("malformed", message);
}
