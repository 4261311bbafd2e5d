/** A synthetic Hygon: HRK, HSK, CEK, PEK and reports of both versions, signed with SM2. */
import { type Crypto, concat, fromHex, toHex, utf8 } from "@vivarium/core";
import { usage } from "../../src/csv/certificate.ts";
import { type Attester, reportDataFor } from "../../src/index.ts";
import { sm2Curve, sm2Digest } from "../../src/sm/sm2.ts";
import { hmacSm3 } from "../../src/sm/sm3.ts";

export interface Sm2Key {
  readonly secret: bigint;
  readonly x: Uint8Array;
  readonly y: Uint8Array;
  readonly userId: Uint8Array;
}

const order = sm2Curve.Fn.ORDER;
const big = (bytes: Uint8Array): bigint => BigInt(`0x${toHex(bytes)}`);
const bytes32 = (value: bigint): Uint8Array => fromHex(value.toString(16).padStart(64, "0"));
const randomScalar = (): bigint =>
  (big(crypto.getRandomValues(new Uint8Array(40))) % (order - 2n)) + 1n;
const filled = (n: number, value = 0): Uint8Array => new Uint8Array(n).fill(value);
const u32 = (n: number): Uint8Array =>
  Uint8Array.of(n & 0xff, (n >>> 8) & 0xff, (n >>> 16) & 0xff, n >>> 24);
const le72 = (value: Uint8Array): Uint8Array => concat(new Uint8Array(value).reverse(), filled(40));

export function sm2Key(userId: string): Sm2Key {
  const secret = randomScalar();
  const { x, y } = sm2Curve.BASE.multiply(secret).toAffine();
  return { secret, x: bytes32(x), y: bytes32(y), userId: utf8(userId) };
}

/** r and s, 72 bytes little-endian each (GB/T 32918.2 section 6.1). */
export function signSm2(key: Sm2Key, message: Uint8Array, userId = key.userId): Uint8Array {
  const e = big(sm2Digest(key, userId, message));
  for (;;) {
    const k = randomScalar();
    const r = (e + sm2Curve.BASE.multiply(k).toAffine().x) % order;
    if (r === 0n || r + k === order) continue;
    const s = sm2Curve.Fn.mul(
      sm2Curve.Fn.inv(1n + key.secret),
      sm2Curve.Fn.create(k - r * key.secret),
    );
    if (s !== 0n) return concat(le72(bytes32(r)), le72(bytes32(s)));
  }
}

function keyBytes(key: Sm2Key): Uint8Array {
  const id = filled(254);
  id.set(key.userId);
  return concat(u32(3), le72(key.x), le72(key.y), Uint8Array.of(key.userId.length, 0), id);
}

export function makeAuthority(
  key: Sm2Key,
  signer: Sm2Key,
  code: number,
  ids: readonly [number, number],
  userId = signer.userId,
): Uint8Array {
  const body = concat(
    u32(1),
    filled(16, ids[0]),
    filled(16, ids[1]),
    u32(code),
    filled(24),
    keyBytes(key),
    filled(108),
  );
  return concat(body, signSm2(signer, body, userId), filled(112));
}

export function makeCertificate(
  key: Sm2Key,
  code: number,
  slots: readonly (readonly [number, Sm2Key])[],
): Uint8Array {
  const body = concat(
    u32(1),
    Uint8Array.of(1, 3, 0, 0),
    u32(code),
    u32(4),
    keyBytes(key),
    filled(624),
  );
  const signed = [0, 1].map((i) => {
    const [by, signer] = slots[i] ?? [usage.none, undefined];
    return signer === undefined
      ? concat(u32(usage.none), u32(0), filled(512))
      : concat(u32(by), u32(4), signSm2(signer, body), filled(368));
  });
  return concat(body, ...signed);
}

export interface SyntheticHygon {
  readonly crypto: Crypto;
  readonly hrk: Uint8Array;
  readonly hsk: Uint8Array;
  readonly cek: Uint8Array;
  readonly pek: Uint8Array;
  readonly pekKey: Sm2Key;
  readonly keys: Readonly<Record<"hrk" | "hsk" | "cek" | "oca", Sm2Key>>;
  readonly collateral: Readonly<Record<string, Uint8Array>>;
}

export interface HygonLies {
  readonly hskSigner?: Sm2Key;
  readonly hskUserId?: string;
  readonly cekSigner?: Sm2Key;
  readonly pekSigner?: Sm2Key;
  readonly pekUsage?: number;
  readonly pekSlots?: readonly [number, number];
}

export function syntheticHygon(crypto: Crypto, lies: HygonLies = {}): SyntheticHygon {
  const keys = {
    hrk: sm2Key("HYGON-SSD-HRK"),
    hsk: sm2Key("HYGON-SSD-HSK"),
    cek: sm2Key("HYGON-SSD-CEK"),
    oca: sm2Key("HYGON-SSD-OCA"),
  };
  const pekKey = sm2Key("HYGON-SSD-PEK");
  const hrk = makeAuthority(keys.hrk, keys.hrk, usage.hrk, [1, 1]);
  const hskSigner = lies.hskSigner ?? keys.hrk;
  const userId = lies.hskUserId === undefined ? hskSigner.userId : utf8(lies.hskUserId);
  const hsk = makeAuthority(keys.hsk, hskSigner, usage.hsk, [2, 1], userId);
  const cek = makeCertificate(keys.cek, usage.cek, [[usage.hsk, lies.cekSigner ?? keys.hsk]]);
  const [first, second] = lies.pekSlots ?? [usage.cek, usage.oca];
  const pek = makeCertificate(pekKey, lies.pekUsage ?? usage.pek, [
    [first, lies.pekSigner ?? keys.cek],
    [second, keys.oca],
  ]);
  return {
    crypto,
    hrk,
    hsk,
    cek,
    pek,
    pekKey,
    keys,
    collateral: { certificates: concat(hsk, cek) },
  };
}

export interface CsvReportLies {
  readonly version?: 1 | 2;
  readonly policy?: number;
  readonly signer?: Sm2Key;
  readonly macKey?: Uint8Array;
  /** As agents hand it on: PEK and serial number in clear, the reserved field cleared. */
  readonly restored?: boolean;
}

const strictPolicy = 0x0301_007f & ~0;
export const csvPolicy: number = strictPolicy;

export function makeCsvReport(
  hygon: SyntheticHygon,
  reportData: Uint8Array,
  lies: CsvReportLies = {},
): Uint8Array {
  const { version = 1, policy = csvPolicy, signer = hygon.pekKey, restored = false } = lies;
  const anonce = version === 1 ? Uint8Array.of(0x9b, 0x42, 0x91, 0x12) : filled(4);
  const mask = (data: Uint8Array): Uint8Array =>
    data.map((byte, i) => byte ^ (anonce[i % 4] as number));
  const mnonce = filled(16, 0x6d);
  const body = mask(
    concat(
      filled(32, 1),
      filled(16, 2),
      filled(16, 3),
      reportData,
      mnonce,
      filled(32, 0x77),
      u32(policy),
    ),
  );
  const serial = concat(utf8("SYNTHETIC0001"), filled(64 - 13));
  const covered = concat(mask(hygon.pek), mask(serial), mask(filled(32)));
  const mac = hmacSm3(lies.macKey ?? mnonce, covered);
  const tail = restored ? concat(hygon.pek, serial, filled(32), mac) : concat(covered, mac);
  const heads = concat(mask(u32(usage.pek)), mask(u32(4)));
  if (version === 1) {
    const page = concat(body, heads, anonce, signSm2(signer, body), tail);
    return page;
  }
  const rtmrs = [0, 1, 2, 3, 4].map((i) => filled(32, 0xa0 + i));
  const start = concat(body, heads, u32(2400), Uint8Array.of(1, 0), filled(14), ...rtmrs);
  const signed = concat(start, filled(1024 - start.length));
  const page = concat(signed, signSm2(signer, signed), tail);
  const magic = concat(utf8("ATTESTATION_EXT\0"), u32(1));
  return concat(magic, page, filled(4096 - page.length));
}

export function csvAttester(hygon: SyntheticHygon, version: 1 | 2, debug: boolean): Attester {
  return {
    type: "csv",
    collect: async (binding) => {
      const reportData = await reportDataFor(hygon.crypto, "csv", binding);
      const policy = debug ? csvPolicy & ~1 : csvPolicy;
      return {
        type: "csv",
        bytes: makeCsvReport(hygon, reportData, { version, policy }),
        attachments: {},
      };
    },
  };
}
