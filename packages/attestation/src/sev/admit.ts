/** The owner's decision: a guest whose launch measures what it must gets a key of its own, once. */
import {
  type Crypto,
  equalBytes,
  type Random,
  type Signer,
  systemRandom,
  toHex,
} from "@vivarium/core";
import { type CborValue, encodeCbor } from "../cbor.ts";
import { examine } from "../examination.ts";
import { fingerprintBytes, signSevLaunch } from "./launch.ts";
import {
  type LaunchSecret,
  launchMeasure,
  measureBytes,
  measureNonceBytes,
  type SevFirmware,
  sealLaunchSecret,
} from "./secret.ts";
import type { SevSession } from "./session.ts";

/** Where the guest finds its key: `/sys/kernel/security/secrets/coco/<GUID>`. */
export const sevSecretGuid = "b3d4a7f0-5c1e-4e86-9a35-7d20c6f1e94b";

export interface SevAdmissionInput {
  readonly crypto: Crypto;
  /** The guest owner's long-term key: policies name it as the root. */
  readonly owner: Signer;
  readonly session: SevSession;
  readonly firmware: SevFirmware;
  /** MEASURE and MNONCE as the host gives them (`query-sev-launch-measure`), 48 bytes. */
  readonly measure: Uint8Array;
  /** Launch digests that are good, 32 bytes each. */
  readonly digests: readonly Uint8Array[];
  /** Milliseconds since the epoch. */
  readonly now: number;
  /** Until when the guest may attest, at most 366 days. */
  readonly notAfter: number;
  readonly random?: Random;
}

export interface SevAdmission {
  /** For QMP `sev-inject-launch-secret`. */
  readonly secret: LaunchSecret;
  /** The signed statement; the guest gets it with its key. */
  readonly launch: Uint8Array;
}

/**
 * @throws AttestationError `malformed`, or `not-genuine` for a launch that measures none of the digests: no key
 * exists then.
 */
export async function admitSevGuest(input: SevAdmissionInput): Promise<SevAdmission> {
  const { crypto, owner, session, firmware, measure, digests, now, notAfter } = input;
  const { random = systemRandom() } = input;
  const exam = examine("SEV launch");
  const source = "AMD 55766 section 6.5.2";
  const whole = measure.length === measureBytes + measureNonceBytes;
  exam.require("sev.measure-length", whole, "48 bytes", `${measure.length}`, source, "malformed");
  const stated = measure.slice(0, measureBytes);
  const measured = await firstThat(digests, async (digest) => {
    const of = { firmware, policy: session.policy, digest, nonce: measure.slice(measureBytes) };
    const wanted = await launchMeasure(crypto, { integrity: session.keys.integrity, ...of });
    return equalBytes(wanted, stated);
  });
  const expected = digests.map(toHex).join(" or ") || "a digest";
  const actual = measured === undefined ? "none of them, or another firmware" : toHex(measured);
  exam.require("sev.measure", measured !== undefined, expected, actual, source);
  const pkcs8 = await crypto.generatePrivateKey("ES256");
  const key = await crypto.importSigner("ES256", pkcs8);
  const launch = await signSevLaunch(owner, {
    ...{ ...firmware, policy: session.policy, notBefore: now, notAfter },
    measurement: measured ?? new Uint8Array(0),
    platformRoot: fingerprintBytes(session.platform.root),
    platformOwner: fingerprintBytes(session.platform.owner),
    key: key.publicKey,
  });
  const content = encodeCbor(
    new Map<string, CborValue>([
      ["key", pkcs8],
      ["launch", launch],
    ]),
  );
  const secrets = new Map([[sevSecretGuid, content]]);
  const secret = await sealLaunchSecret(crypto, session.keys, stated, secrets, random);
  pkcs8.fill(0);
  content.fill(0);
  return { secret, launch };
}

async function firstThat<T>(
  items: readonly T[],
  test: (item: T) => Promise<boolean>,
): Promise<T | undefined> {
  for (const item of items) if (await test(item)) return item;
  return undefined;
}
