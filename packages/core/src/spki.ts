/**
 * The form a public key must have before any library sees it. Exactly one encoding per key: with
 * trailing bytes, compressed points or long-form lengths one key would have many fingerprints, and
 * an RSA key could be offered where an EC key is meant. Source: RFC 5480, RFC 8410, RFC 8017 A.1.
 */
import { equalBytes, fromHex } from "./bytes.ts";
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
const rsaAlgorithm = fromHex("300d06092a864886f70d0101010500");

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

/** All lengths of a 2,048 to 8,192 bit key have two bytes, so the form leaves no choice. */
function rsaKey(spki: Uint8Array): Uint8Array | undefined {
  const after = (bytes: Uint8Array | undefined, tag: number): Uint8Array | undefined => {
    if (bytes === undefined || bytes[0] !== tag || bytes[1] !== 0x82) return undefined;
    const length = ((bytes[2] as number) << 8) | (bytes[3] as number);
    return length >= 256 && length <= bytes.length - 4 ? bytes.subarray(4) : undefined;
  };
  const whole = (bytes: Uint8Array | undefined, tag: number): Uint8Array | undefined => {
    const content = after(bytes, tag);
    if (bytes === undefined || content === undefined) return undefined;
    return content.length === (((bytes[2] as number) << 8) | (bytes[3] as number))
      ? content
      : undefined;
  };
  const body = whole(spki, 0x30);
  if (body === undefined) return undefined;
  if (!equalBytes(body.subarray(0, rsaAlgorithm.length), rsaAlgorithm)) return undefined;
  const bits = whole(body.subarray(rsaAlgorithm.length), 0x03);
  if (bits?.[0] !== 0) return undefined;
  const numbers = whole(bits.subarray(1), 0x30);
  const modulus = after(numbers, 0x02);
  if (numbers === undefined || modulus === undefined) return undefined;
  const length = ((numbers[2] as number) << 8) | (numbers[3] as number);
  const n = modulus.subarray(modulus[0] === 0 ? 1 : 0, length);
  const size = 8 * n.length - Math.clz32(n[0] as number) + 24;
  if ((modulus[0] === 0) !== (n[0] as number) >= 0x80 || size < rsaModulusBits.min)
    return undefined;
  if (size > rsaModulusBits.max) return undefined;
  const e = modulus.subarray(length);
  const first = e[2] ?? 0;
  const last = e.at(-1) ?? 0;
  const fits = e[0] === 2 && e[1] === e.length - 2 && e.length >= 3 && e.length <= 7;
  return fits && first > 0 && first < 0x80 && last % 2 === 1 && !(e.length === 3 && last === 1)
    ? spki
    : undefined;
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
