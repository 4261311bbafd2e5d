/** A synthetic TPM: an attestation key on P-256 and quotes over 24 PCRs. */
import { type Crypto, concat, type Signer } from "@vivarium/core";
import { type Attester, reportDataFor } from "../../src/index.ts";
import { encodeTpmEvidence, type TpmEvidence } from "../../src/tpm/container.ts";

export interface SyntheticTpm {
  readonly crypto: Crypto;
  readonly ak: Signer;
  /** TPMT_PUBLIC of the key. */
  readonly publicArea: Uint8Array;
  readonly collateral: Readonly<Record<string, Uint8Array>>;
}

const u16 = (n: number): Uint8Array => Uint8Array.of(n >> 8, n & 0xff);
const u32 = (n: number): Uint8Array =>
  Uint8Array.of(n >>> 24, (n >> 16) & 0xff, (n >> 8) & 0xff, n & 0xff);
const sized = (bytes: Uint8Array): Uint8Array => concat(u16(bytes.length), bytes);
const sha256 = 0x000b;

export async function syntheticTpm(
  crypto: Crypto,
  attributes = 0x0005_0072,
  scheme: number = 0x0018,
): Promise<SyntheticTpm> {
  const ak = await crypto.generateSigner("ES256");
  const point = ak.publicKey.subarray(27);
  const publicArea = concat(
    u16(0x0023),
    u16(sha256),
    u32(attributes),
    u16(0),
    u16(0x0010),
    u16(scheme),
    u16(sha256),
    u16(3),
    u16(0x0010),
    sized(point.subarray(0, 32)),
    sized(point.subarray(32)),
  );
  return { crypto, ak, publicArea, collateral: { ak: publicArea } };
}

export interface TpmLies {
  readonly magic?: number;
  readonly type?: number;
  readonly signer?: Signer;
  /** Of what is quoted; the values given are all 24. */
  readonly selected?: readonly number[];
  readonly given?: readonly number[];
  readonly bank?: number;
  readonly changed?: number;
}

export async function makeTpmEvidence(
  tpm: SyntheticTpm,
  extraData: Uint8Array,
  lies: TpmLies = {},
): Promise<TpmEvidence> {
  const all = Array.from({ length: 24 }, (_, i) => i);
  const { selected = all, given = selected, bank = sha256 } = lies;
  const size = bank === 0x0004 ? 20 : 32;
  const pcr = (i: number): Uint8Array => new Uint8Array(size).fill(i + 1);
  const bits = new Uint8Array(3);
  for (const i of selected) bits[i >> 3] = (bits[i >> 3] as number) | (1 << (i & 7));
  const digest = await tpm.crypto.digest("SHA-256", concat(...selected.map(pcr)));
  const message = concat(
    u32(lies.magic ?? 0xff544347),
    u16(lies.type ?? 0x8018),
    sized(new Uint8Array(34).fill(9)),
    sized(extraData),
    new Uint8Array(8),
    u32(1),
    u32(2),
    Uint8Array.of(1),
    new Uint8Array(8),
    u32(1),
    u16(bank),
    Uint8Array.of(3),
    bits,
    sized(digest),
  );
  const raw = await (lies.signer ?? tpm.ak).sign(message);
  const signature = concat(
    u16(0x0018),
    u16(sha256),
    sized(raw.subarray(0, 32)),
    sized(raw.subarray(32)),
  );
  const values = given.map((i) => [i, i === lies.changed ? new Uint8Array(size) : pcr(i)] as const);
  return { message, signature, pcrs: new Map([[bank, new Map(values)]]), ak: tpm.ak.publicKey };
}

export function tpmAttester(tpm: SyntheticTpm): Attester {
  return {
    type: "tpm",
    collect: async (binding) => {
      const extraData = await reportDataFor(tpm.crypto, "tpm", binding);
      return {
        type: "tpm",
        bytes: encodeTpmEvidence(await makeTpmEvidence(tpm, extraData)),
        attachments: {},
      };
    },
  };
}
