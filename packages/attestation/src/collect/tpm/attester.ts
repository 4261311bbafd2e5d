/** Quotes of a TPM 2.0 as evidence. A TPM measures what booted, and isolates nothing. */
import { concat, equalBytes } from "@vivarium/core";
import { nodeCrypto } from "@vivarium/core/node";
import { AttestationError } from "../../errors.ts";
import type { Attester } from "../../evidence.ts";
import { reportDataFor } from "../../report-data.ts";
import { encodeTpmEvidence, type TpmEvidence } from "../../tpm/container.ts";
import {
  parseTpmPublic,
  parseTpmQuote,
  parseTpmSignature,
  tpmAlgorithms,
} from "../../tpm/structures.ts";
import { createAk, flushContext, quote, readPcrs, readPublic, type TpmKey } from "./commands.ts";
import { type OpenTpmOptions, openTpm, type TpmDevice } from "./device.ts";

export type TpmBank = "SHA-256" | "SHA-384" | "SHA-512";

export interface TpmAttesterOptions extends Omit<OpenTpmOptions, "signal"> {
  /**
   * Handle of a persistent attestation key. Default: one is derived from the TPM's endorsement seed, the
   * same each time.
   */
  readonly key?: number;
  /** PCRs to quote, 0 to 23, each once. Default 0 to 15. */
  readonly pcrs?: readonly number[];
  /** Default `SHA-256`, the bank that every TPM 2.0 has. */
  readonly bank?: TpmBank;
  /** PEM or DER: certificate of the key and its authorities, for verifiers that pin one. */
  readonly certificates?: Uint8Array;
  /**
   * The firmware's event log (`/sys/kernel/security/tpm0/binary_bios_measurements`), to go with the quote: the
   * verifier then wants PCRs 0 to 7 to be what it replays to.
   */
  readonly eventLog?: Uint8Array;
}

const banks: Readonly<Record<TpmBank, number>> = {
  "SHA-256": tpmAlgorithms.sha256,
  "SHA-384": tpmAlgorithms.sha384,
  "SHA-512": tpmAlgorithms.sha512,
};

/** PCRs that the firmware, the boot loader and the kernel fill; 16 and 23 can be reset by anybody. */
const defaultPcrs: readonly number[] = Array.from({ length: 16 }, (_, index) => index);
/** A running system may extend a PCR between quote and reading (IMA: PCR 10). */
const attempts = 5;

/** @throws AttestationError `malformed` for PCRs that no TPM has. */
export function tpmAttester(options: TpmAttesterOptions): Attester {
  const { certificates, eventLog, pcrs = defaultPcrs } = options;
  const indices = [...new Set(pcrs)].sort((a, b) => a - b);
  const known = indices.every((pcr) => Number.isInteger(pcr) && pcr >= 0 && pcr <= 23);
  if (!known || indices.length !== pcrs.length || indices.length === 0) {
    throw new AttestationError("malformed", "PCRs are numbers from 0 to 23, each once.");
  }
  const bank = banks[options.bank ?? "SHA-256"];
  return {
    type: "tpm",
    async collect(reportData, { signal } = {}) {
      const nonce = await reportDataFor(nodeCrypto(), "tpm", reportData);
      await using device = await openTpm({ ...options, signal });
      const evidence = await withKey(device, options.key, (key) =>
        quoteOf(device, key, nonce, bank, indices),
      );
      const attachments = {
        ...(certificates === undefined ? {} : { certificates }),
        ...(eventLog === undefined ? {} : { eventlog: eventLog }),
      };
      return { type: "tpm", bytes: encodeTpmEvidence(evidence), attachments };
    },
  };
}

/** The attestation key's TPMT_PUBLIC: what a peer names as collateral `ak`. */
export async function readTpmAk(
  options: Pick<TpmAttesterOptions, "address" | "timeoutMs" | "key">,
): Promise<Uint8Array> {
  await using device = await openTpm(options);
  return await withKey(device, options.key, async ({ publicArea }) => publicArea);
}

async function withKey<T>(
  device: TpmDevice,
  handle: number | undefined,
  use: (key: TpmKey) => Promise<T>,
): Promise<T> {
  if (handle !== undefined) {
    return await use({ handle, publicArea: await readPublic(device, handle) });
  }
  const key = await createAk(device);
  try {
    return await use(key);
  } finally {
    // Without a resource manager the key would fill one of the TPM's three places for good.
    await flushContext(device, key.handle).catch(() => undefined);
  }
}

/** @internal Shared with the Azure vTPM. */
export async function quoteOf(
  device: TpmDevice,
  key: TpmKey,
  nonce: Uint8Array,
  bank: number,
  indices: readonly number[],
): Promise<TpmEvidence> {
  for (let attempt = 1; ; attempt++) {
    const quoted = await quote(device, key.handle, nonce, bank, indices);
    const values = await readPcrs(device, bank, indices);
    const { hash } = parseTpmSignature(quoted.signature);
    const all = concat(...indices.map((index) => values.get(index) as Uint8Array));
    const digest = await nodeCrypto().digest(hash, all);
    if (equalBytes(digest, parseTpmQuote(quoted.message).pcrDigest)) {
      return {
        ...quoted,
        pcrs: new Map([[bank, values]]),
        ak: parseTpmPublic(key.publicArea).spki,
      };
    }
    if (attempt === attempts) {
      throw new AttestationError(
        "unavailable",
        `TPM ${device.name}: its PCRs change faster than they can be quoted; leave out PCR 10 (IMA).`,
      );
    }
  }
}
