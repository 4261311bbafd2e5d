/** A self-signed P-256 certificate for the bare TLS that channels are compared with. */
import { createPublicKey, generateKeyPairSync, randomBytes, sign } from "node:crypto";

const der = (tag: number, ...parts: readonly Uint8Array[]): Buffer => {
  const body = Buffer.concat(parts);
  const { length } = body;
  const size =
    length < 128 ? [length] : length < 256 ? [0x81, length] : [0x82, length >> 8, length & 255];
  return Buffer.concat([Buffer.from([tag, ...size]), body]);
};
const hex = (text: string): Buffer => Buffer.from(text, "hex");

export function bareCertificate(): { readonly cert: string; readonly key: string } {
  const { privateKey } = generateKeyPairSync("ec", { namedCurve: "P-256" });
  const algorithm = der(0x30, hex("06082a8648ce3d040302"));
  const name = der(0x30, der(0x31, der(0x30, hex("0603550403"), der(0x0c, Buffer.from("bench")))));
  const body = der(
    0x30,
    der(0xa0, der(0x02, Buffer.from([2]))),
    der(0x02, Buffer.concat([Buffer.from([0x40]), randomBytes(15)])),
    algorithm,
    name,
    der(0x30, der(0x17, Buffer.from("250101000000Z")), der(0x17, Buffer.from("450101000000Z"))),
    name,
    createPublicKey(privateKey).export({ format: "der", type: "spki" }),
  );
  const whole = der(
    0x30,
    body,
    algorithm,
    der(0x03, Buffer.from([0]), sign("sha256", body, privateKey)),
  );
  const text = whole.toString("base64").replace(/.{64}(?=.)/g, "$&\n");
  return {
    cert: `-----BEGIN CERTIFICATE-----\n${text}\n-----END CERTIFICATE-----\n`,
    key: privateKey.export({ type: "pkcs8", format: "pem" }) as string,
  };
}
