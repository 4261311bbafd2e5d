/**
 * {@link Crypto} for browsers and every other runtime with WebCrypto; no `node:` import.
 *
 * EdDSA is always `@noble/curves` (strict RFC 8032, not ZIP 215), so that every browser accepts
 * exactly the same signatures whether or not it has Ed25519; so is ES512 where WebCrypto lacks
 * P-521. All else is WebCrypto. Noble's private-key operations are not constant-time on every
 * engine: a browser is where evidence is *verified*.
 */
import { ed25519 } from "@noble/curves/ed25519.js";
import { p521 } from "@noble/curves/nist.js";
import { concat, equalBytes, fromBase64Url, fromHex } from "../bytes.ts";
import type { Crypto, HashName, SignatureAlgorithm, Signer, SigningAlgorithm } from "../crypto.ts";
import { requireHkdfLength } from "../crypto.ts";
import { CoreError } from "../errors.ts";
import { keyOfSpki, spkiPrefixes } from "../spki.ts";

type Subtle = typeof globalThis.crypto.subtle;
type Own = Uint8Array<ArrayBuffer>;
type Handle = Parameters<Subtle["sign"]>[1];

const curves = { ES256: "P-256", ES384: "P-384", ES512: "P-521" } as const;
const ed25519Pkcs8 = fromHex("302e020100300506032b657004220420");

/** WebCrypto refuses views of shared memory. */
const own = (data: Uint8Array): Own =>
  data.buffer instanceof ArrayBuffer ? (data as Own) : new Uint8Array(data);

/** @throws CoreError `unsupported` where there is no WebCrypto (a page not served over HTTPS). */
export function webCrypto(): Crypto {
  const subtle = (globalThis.crypto as typeof globalThis.crypto | undefined)?.subtle;
  if (subtle === undefined) {
    throw new CoreError("unsupported", "No WebCrypto here: browsers have it on HTTPS pages only.");
  }
  return {
    name: "webcrypto+noble",
    digest: async (hash, data) => new Uint8Array(await subtle.digest(hash, own(data))),
    hmac: (hash, key, data) => hmac(subtle, hash, key, data),
    hkdf: async (hash, secret, salt, info, length) => {
      requireHkdfLength(hash, length);
      const key = await hmac(subtle, hash, salt, secret);
      let block: Own = new Uint8Array(0);
      const out: Own[] = [];
      for (let i = 1, made = 0; made < length; i++, made += block.length) {
        block = await hmac(subtle, hash, key, concat(block, info, new Uint8Array([i])));
        out.push(block);
      }
      return concat(...out).slice(0, length);
    },
    verify: async (algorithm, publicKey, signature, data) => {
      try {
        const key = keyOfSpki(algorithm, publicKey);
        if (key === undefined) return false;
        if (algorithm === "EdDSA") return ed25519.verify(signature, data, key, { zip215: false });
        return await verifyWith(subtle, algorithm, publicKey, signature, data);
      } catch {
        return false;
      }
    },
    generateSigner: async (algorithm) => {
      if (algorithm === "EdDSA") return edSigner(ed25519.utils.randomSecretKey());
      const pair = await subtle.generateKey(ecdsa(algorithm), false, ["sign"]);
      const spki = new Uint8Array(await subtle.exportKey("spki", pair.publicKey));
      return ecSigner(subtle, algorithm, pair.privateKey, spki);
    },
    generatePrivateKey: async (algorithm) => {
      if (algorithm === "EdDSA") return concat(ed25519Pkcs8, ed25519.utils.randomSecretKey());
      const pair = await subtle.generateKey(ecdsa(algorithm), true, ["sign"]);
      return new Uint8Array(await subtle.exportKey("pkcs8", pair.privateKey));
    },
    importSigner: async (algorithm, pkcs8) => {
      try {
        return await importSigner(subtle, algorithm, pkcs8);
      } catch (cause) {
        throw new CoreError(
          "malformed",
          `Not a PKCS #8 private key of the kind ${algorithm} needs.`,
          {
            cause,
          },
        );
      }
    },
  };
}

const ecdsa = (algorithm: "ES256" | "ES384" | "ES512") => ({
  name: "ECDSA",
  namedCurve: curves[algorithm],
});

const hashOf = (algorithm: SignatureAlgorithm): string => `SHA-${algorithm.slice(2)}`;

async function hmac(
  subtle: Subtle,
  hash: HashName,
  key: Uint8Array,
  data: Uint8Array,
): Promise<Own> {
  // WebCrypto refuses the empty key; HMAC pads with zeros, so one zero byte is the same key.
  const bytes = key.length === 0 ? new Uint8Array(1) : own(key);
  const handle = await subtle.importKey("raw", bytes, { name: "HMAC", hash }, false, ["sign"]);
  return new Uint8Array(await subtle.sign("HMAC", handle, own(data)));
}

async function verifyWith(
  subtle: Subtle,
  algorithm: Exclude<SignatureAlgorithm, "EdDSA">,
  publicKey: Uint8Array,
  signature: Uint8Array,
  data: Uint8Array,
): Promise<boolean> {
  const hash = hashOf(algorithm);
  if (algorithm in curves) {
    const curve = ecdsa(algorithm as keyof typeof curves);
    let key: Handle;
    try {
      key = await subtle.importKey("spki", own(publicKey), curve, false, ["verify"]);
    } catch (cause) {
      if (algorithm !== "ES512" || (cause as Error).name !== "NotSupportedError") throw cause;
      return p521.verify(signature, data, publicKey.subarray(spkiPrefixes.ES512.length - 1), {
        lowS: false,
      });
    }
    return subtle.verify({ name: "ECDSA", hash }, key, own(signature), own(data));
  }
  const name = algorithm.startsWith("PS") ? "RSA-PSS" : "RSASSA-PKCS1-v1_5";
  const key = await subtle.importKey("spki", own(publicKey), { name, hash }, false, ["verify"]);
  const saltLength = Number(algorithm.slice(2)) / 8;
  return subtle.verify({ name, saltLength }, key, own(signature), own(data));
}

async function importSigner(
  subtle: Subtle,
  algorithm: SigningAlgorithm,
  pkcs8: Uint8Array,
): Promise<Signer> {
  if (algorithm === "EdDSA") {
    const seed = pkcs8.slice(ed25519Pkcs8.length);
    if (!equalBytes(pkcs8.subarray(0, ed25519Pkcs8.length), ed25519Pkcs8) || seed.length !== 32) {
      throw new TypeError("not an Ed25519 key");
    }
    return edSigner(seed);
  }
  const curve = ecdsa(algorithm);
  // WebCrypto gives a public key only through an exportable private one; that copy is dropped.
  const open = await subtle.importKey("pkcs8", own(pkcs8), curve, true, ["sign"]);
  const { x, y } = await subtle.exportKey("jwk", open);
  if (x === undefined || y === undefined) throw new TypeError("a key without a point");
  const key = await subtle.importKey("pkcs8", own(pkcs8), curve, false, ["sign"]);
  const spki = concat(spkiPrefixes[algorithm], fromBase64Url(x), fromBase64Url(y));
  return ecSigner(subtle, algorithm, key, spki);
}

function ecSigner(
  subtle: Subtle,
  algorithm: "ES256" | "ES384",
  key: Handle,
  publicKey: Own,
): Signer {
  const name = { name: "ECDSA", hash: hashOf(algorithm) };
  return {
    algorithm,
    publicKey,
    sign: async (data) => new Uint8Array(await subtle.sign(name, key, own(data))),
  };
}

function edSigner(seed: Uint8Array): Signer {
  return {
    algorithm: "EdDSA",
    publicKey: concat(spkiPrefixes.EdDSA, ed25519.getPublicKey(seed)),
    sign: async (data) => new Uint8Array(ed25519.sign(data, seed)),
  };
}
