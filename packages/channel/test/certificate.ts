/** Self-signed certificates of any kind, hostile ones included, by a few lines of DER. */
import {
  createPublicKey,
  generateKeyPairSync,
  type KeyObject,
  randomBytes,
  sign,
} from "node:crypto";

const der = (tag: number, ...parts: readonly Uint8Array[]): Buffer => {
  const body = Buffer.concat(parts);
  const length = body.length;
  const bytes: number[] = [];
  for (let rest = length; rest > 0; rest = Math.floor(rest / 256)) bytes.unshift(rest % 256);
  const size = length < 128 ? [length] : [0x80 | bytes.length, ...bytes];
  return Buffer.concat([Buffer.from([tag, ...size]), body]);
};
const hex = (text: string): Buffer => Buffer.from(text, "hex");

export interface TestCertificate {
  readonly cert: string;
  readonly key: string;
  /** The certificate itself. */
  readonly der: Uint8Array;
  /** SubjectPublicKeyInfo DER. */
  readonly spki: Uint8Array;
}

export type KeyKind = "P-256" | "P-384" | "rsa" | "ed25519";

function keyOf(kind: KeyKind): KeyObject {
  if (kind === "rsa") return generateKeyPairSync("rsa", { modulusLength: 2048 }).privateKey;
  if (kind === "ed25519") return generateKeyPairSync("ed25519").privateKey;
  return generateKeyPairSync("ec", { namedCurve: kind }).privateKey;
}

/** @param junk content of a private extension, such as the PEM of somebody else's certificate. */
export function selfSigned(kind: KeyKind, junk?: Uint8Array): TestCertificate {
  const key = keyOf(kind);
  const spki = new Uint8Array(createPublicKey(key).export({ format: "der", type: "spki" }));
  const algorithm =
    kind === "rsa"
      ? der(0x30, hex("06092a864886f70d01010b0500"))
      : kind === "ed25519"
        ? der(0x30, hex("06032b6570"))
        : der(0x30, hex("06082a8648ce3d040302"));
  const name = der(0x30, der(0x31, der(0x30, hex("0603550403"), der(0x0c, Buffer.from("test")))));
  const time = (text: string) => der(0x17, Buffer.from(text));
  const extensions =
    junk === undefined
      ? []
      : [der(0xa3, der(0x30, der(0x30, hex("06062a0304050607"), der(0x04, junk))))];
  const body = der(
    0x30,
    der(0xa0, der(0x02, Buffer.from([2]))),
    der(0x02, Buffer.concat([Buffer.from([0x40]), randomBytes(15)])),
    algorithm,
    name,
    der(0x30, time("250101000000Z"), time("450101000000Z")),
    name,
    spki,
    ...extensions,
  );
  const signature = sign(kind === "ed25519" ? null : "sha256", body, key);
  const whole = der(0x30, body, algorithm, der(0x03, Buffer.from([0]), signature));
  return {
    cert: pem(whole),
    key: key.export({ type: "pkcs8", format: "pem" }) as string,
    der: new Uint8Array(whole),
    spki,
  };
}

export function pem(certificate: Uint8Array): string {
  const text = Buffer.from(certificate)
    .toString("base64")
    .replace(/.{64}(?=.)/g, "$&\n");
  return `-----BEGIN CERTIFICATE-----\n${text}\n-----END CERTIFICATE-----\n`;
}
