/** A SEV platform with keys of its own, and firmware that launches guests as AMD 55766 says. Node only. */
import {
  constants,
  createCipheriv,
  createHmac,
  createPublicKey,
  diffieHellman,
  generateKeyPairSync,
  type KeyObject,
  sign,
} from "node:crypto";
import { concat, utf8 } from "@vivarium/core";
import type { SevFirmware, SevPlatformInput } from "../../src/sev/index.ts";

type Platform = Omit<SevPlatformInput, "crypto">;

export interface SyntheticSev {
  readonly platform: Platform;
  /** LAUNCH_START: transport keys, or an error as the firmware gives it. */
  start(certificate: Uint8Array, blob: Uint8Array, policy: number): Launch;
}

export interface Launch {
  /** MEASURE and MNONCE. */
  measure(digest: Uint8Array): Uint8Array;
  /** LAUNCH_SECRET: the decrypted table, or an error. */
  inject(header: Uint8Array, data: Uint8Array): Uint8Array;
}

const usage = { ark: 0, ask: 0x13, oca: 0x1001, pek: 0x1002, pdh: 0x1003, cek: 0x1004 } as const;
const p384 = () => generateKeyPairSync("ec", { namedCurve: "P-384" });

export function syntheticSev(firmware: SevFirmware): SyntheticSev {
  const rsa = () => generateKeyPairSync("rsa", { modulusLength: 2048 });
  const [ark, ask] = [rsa(), rsa()];
  const [cek, oca, pek, pdh] = [p384(), p384(), p384(), p384()];
  const arkBytes = authority(ark.publicKey, usage.ark, 1, 1, ark.privateKey);
  const askBytes = authority(ask.publicKey, usage.ask, 2, 1, ark.privateKey);
  const rsaSlot = { usage: usage.ask, key: ask.privateKey, rsa: true };
  return {
    platform: {
      cek: certificate(cek.publicKey, usage.cek, [rsaSlot]),
      pek: certificate(pek.publicKey, usage.pek, [
        { usage: usage.oca, key: oca.privateKey },
        { usage: usage.cek, key: cek.privateKey },
      ]),
      oca: certificate(oca.publicKey, usage.oca, [{ usage: usage.oca, key: oca.privateKey }]),
      pdh: certificate(pdh.publicKey, usage.pdh, [{ usage: usage.pek, key: pek.privateKey }]),
      authorities: [[arkBytes, askBytes]],
    },
    start: (godh, blob, policy) => start(pdh.privateKey, firmware, godh, blob, policy),
  };
}

function start(
  pdh: KeyObject,
  firmware: SevFirmware,
  godh: Uint8Array,
  blob: Uint8Array,
  policy: number,
): Launch {
  const x = godh.slice(20, 68).reverse();
  const y = godh.slice(92, 140).reverse();
  const jwk = { kty: "EC", crv: "P-384", x: url(x), y: url(y) };
  const publicKey = createPublicKey({ key: jwk, format: "jwk" });
  const shared = diffieHellman({ privateKey: pdh, publicKey });
  const [nonce, wrapped, iv] = [blob.slice(0, 16), blob.slice(16, 48), blob.slice(48, 64)];
  const master = kdf(shared, "sev-master-secret", nonce);
  const none = new Uint8Array(0);
  if (!same(mac(kdf(master, "sev-kik", none), wrapped), blob.slice(64, 96)))
    throw new Error("BAD_MEASUREMENT");
  const keys = ctr(kdf(master, "sev-kek", none), iv, wrapped);
  const [tek, tik] = [keys.slice(0, 16), keys.slice(16)];
  const word = u32le(policy);
  if (!same(mac(tik, word), blob.slice(96))) throw new Error("BAD_MEASUREMENT of the policy");
  let measured: Uint8Array = none;
  return {
    measure(digest) {
      const mnonce = new Uint8Array(16).fill(9);
      const version = Uint8Array.of(4, firmware.apiMajor, firmware.apiMinor, firmware.build);
      measured = mac(tik, concat(version, word, digest, mnonce));
      return concat(measured, mnonce);
    },
    inject(header, data) {
      const [flags, secretIv] = [header.slice(0, 4), header.slice(4, 20)];
      const size = u32le(data.length);
      const input = concat(Uint8Array.of(1), flags, secretIv, size, size, data, measured);
      if (!same(mac(tik, input), header.slice(20)))
        throw new Error("BAD_MEASUREMENT of the secret");
      return ctr(tek, secretIv, data);
    },
  };
}

function kdf(key: Uint8Array, label: string, context: Uint8Array): Uint8Array {
  const input = concat(u32le(1), utf8(label), Uint8Array.of(0), context, u32le(128));
  return mac(key, input).slice(0, 16);
}

function authority(
  key: KeyObject,
  use: number,
  id: number,
  by: number,
  signer: KeyObject,
): Uint8Array {
  const { n = "" } = key.export({ format: "jwk" });
  const exponent = new Uint8Array(256);
  exponent.set([1, 0, 1]);
  const body = concat(
    ...[u32le(1), new Uint8Array(16).fill(id), new Uint8Array(16).fill(by), u32le(use)],
    ...[new Uint8Array(16), u32le(2048), u32le(2048), exponent],
    new Uint8Array(Buffer.from(n, "base64url")).reverse(),
  );
  return concat(body, pss(signer, body).reverse());
}

interface Slot {
  readonly usage: number;
  readonly key: KeyObject;
  readonly rsa?: boolean;
}

function certificate(key: KeyObject, use: number, slots: readonly Slot[]): Uint8Array {
  const { x = "", y = "" } = key.export({ format: "jwk" });
  const body = new Uint8Array(1044);
  const view = new DataView(body.buffer);
  view.setUint32(0, 1, true);
  view.setUint32(8, use, true);
  view.setUint32(12, use === usage.pdh ? 3 : 2, true);
  view.setUint32(16, 2, true);
  body.set(new Uint8Array(Buffer.from(x, "base64url")).reverse(), 20);
  body.set(new Uint8Array(Buffer.from(y, "base64url")).reverse(), 92);
  const empty = concat(u32le(0x1000), new Uint8Array(516));
  const signed = slots.map((slot) => {
    const bytes = new Uint8Array(512);
    if (slot.rsa === true) bytes.set(pss(slot.key, body).reverse());
    else {
      const raw = new Uint8Array(
        sign("sha256", body, { key: slot.key, dsaEncoding: "ieee-p1363" }),
      );
      bytes.set(raw.slice(0, 48).reverse(), 0);
      bytes.set(raw.slice(48).reverse(), 72);
    }
    return concat(u32le(slot.usage), u32le(slot.rsa === true ? 1 : 2), bytes);
  });
  return concat(body, ...signed, ...[empty, empty].slice(signed.length));
}

function pss(key: KeyObject, data: Uint8Array): Uint8Array {
  const padding = constants.RSA_PKCS1_PSS_PADDING;
  return new Uint8Array(sign("sha256", data, { key, padding, saltLength: 32 }));
}

const mac = (key: Uint8Array, data: Uint8Array): Uint8Array =>
  new Uint8Array(createHmac("sha256", key).update(data).digest());
const ctr = (key: Uint8Array, iv: Uint8Array, data: Uint8Array): Uint8Array =>
  new Uint8Array(createCipheriv("aes-128-ctr", key, iv).update(data));
const same = (a: Uint8Array, b: Uint8Array): boolean => Buffer.compare(a, b) === 0;
const url = (bytes: Uint8Array): string => Buffer.from(bytes).toString("base64url");

function u32le(value: number): Uint8Array {
  const bytes = new Uint8Array(4);
  new DataView(bytes.buffer).setUint32(0, value, true);
  return bytes;
}
