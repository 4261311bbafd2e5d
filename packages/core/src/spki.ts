/**
 * The form a public key must have before any library sees it. Exactly one encoding per key: with
 * trailing bytes, compressed points or long-form lengths one key would have many fingerprints, and
 * an RSA key could be offered where an EC key is meant. Source: RFC 5480, RFC 8410, RFC 8017 A.1.
 */
import { equalBytes, fromHex, toHex, u32 } from "./bytes.ts";
import type { SignatureAlgorithm } from "./crypto.ts";

type PointAlgorithm = "ES256" | "ES384" | "ES512" | "EdDSA";

/** What stands before the point: everything in the DER that is not the key. */
export const spkiPrefixes: Readonly<Record<PointAlgorithm, Uint8Array<ArrayBuffer>>> = {
  ES256: fromHex("3059301306072a8648ce3d020106082a8648ce3d03010703420004"),
  ES384: fromHex("3076301006072a8648ce3d020106052b8104002203620004"),
  ES512: fromHex("30819b301006072a8648ce3d020106052b810400230381860004"),
  EdDSA: fromHex("302a300506032b6570032100"),
};

const pointBytes = { ES256: 64, ES384: 96, ES512: 132, EdDSA: 32 } as const;

/** RSA moduli we verify with: smaller are weak, larger only cost time. */
export const rsaModulusBits = { min: 2048, max: 8192 } as const;

/** The key without its DER prefix, or undefined if it is not this algorithm's kind of key. */
export function keyOfSpki(algorithm: SignatureAlgorithm, spki: Uint8Array): Uint8Array | undefined {
  if (algorithm in spkiPrefixes) {
    const kind = algorithm as PointAlgorithm;
    const prefix = spkiPrefixes[kind];
    if (spki.length !== prefix.length + pointBytes[kind]) return undefined;
    if (!equalBytes(spki.subarray(0, prefix.length), prefix)) return undefined;
    const key = spki.subarray(prefix.length);
    // Under a key of small order one signature fits many messages, whoever signs.
    return algorithm === "EdDSA" && smallOrder(key) ? undefined : key;
  }
  return rsaKey(spki);
}

const rsaForm =
  /^3082(.{4})300d06092a864886f70d01010105000382(.{4})003082(.{4})0282(.{4})(.+)0203010001$/;

/** All lengths of such a key have two bytes, and the exponent is 65537: the form leaves no choice. */
function rsaKey(spki: Uint8Array): Uint8Array | undefined {
  if (spki.length > rsaModulusBits.max / 8 + 64) return undefined;
  const match = rsaForm.exec(toHex(spki));
  if (match === null) return undefined;
  const modulus = fromHex(match[5] as string);
  const lengths = [33, 14, 9, 0].map((around) => toHex(u32(modulus.length + around)).slice(4));
  if (!lengths.every((length, i) => length === match[i + 1])) return undefined;
  const sign = modulus[0] === 0 ? 1 : 0;
  const high = modulus[sign] as number;
  // DER: a zero byte in front if, and only if, the number would read as negative without it.
  if (sign === 1 ? high < 0x80 : high >= 0x80) return undefined;
  const bits = 8 * (modulus.length - sign) - Math.clz32(high) + 24;
  return bits >= rsaModulusBits.min && bits <= rsaModulusBits.max ? spki : undefined;
}

/** Encodings of the points of order 1, 2, 4 and 8, sign bit aside; p and p+1 are not canonical. */
const smallOrderY: readonly Uint8Array[] = [
  `00${"00".repeat(31)}`,
  `01${"00".repeat(31)}`,
  "26e8958fc2b227b045c3f489f2ef98f0d5dfac05d3c63339b13802886d53fc05",
  "c7176a703d4dd84fba3c0b760d10670f2a2053fa2c39ccc64ec7fd7792ac037a",
  `ec${"ff".repeat(30)}7f`,
  `ed${"ff".repeat(30)}7f`,
  `ee${"ff".repeat(30)}7f`,
].map(fromHex);

function smallOrder(key: Uint8Array): boolean {
  const y = new Uint8Array(key);
  y[31] = (y[31] as number) & 0x7f;
  return smallOrderY.some((bad) => equalBytes(bad, y));
}
