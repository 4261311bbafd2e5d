/**
 * The token of an attested session (JWT, ES256): it names the session and says what evidence was shown,
 * and makes no appraisal (`ear.status: none`), since each resource has its own policy. It opens nothing by
 * itself: what is released is encrypted to the key in it.
 */
import {
  type Clock,
  type Crypto,
  fromBase64Url,
  fromUtf8,
  type Signer,
  toBase64Url,
  utf8,
} from "@vivarium/core";
import { isObject } from "./json.ts";
import type { Session } from "./sessions.ts";

export const tokenProfile = "tag:github.com,2026:vivarium/kbs#1";
const maxTokenBytes = 64 * 1024;

export async function issueToken(session: Session, signer: Signer, clock: Clock): Promise<string> {
  const { attested, id, expiresAt } = session;
  if (attested === undefined) throw new TypeError("The session is not attested.");
  const { evidence, key } = attested;
  const payload = {
    eat_profile: tokenProfile,
    iss: "vivarium-broker",
    iat: Math.floor(clock.now() / 1000),
    exp: Math.floor(expiresAt / 1000),
    jti: id,
    "ear.verifier-id": { developer: "vivarium", build: "kbs" },
    cnf: { jwk: key.jwk },
    "tee-pubkey": key.jwk,
    submods: {
      cpu0: {
        "ear.status": "none",
        "ear.vivarium.tee": evidence.tee,
        "ear.vivarium.isolation": evidence.isolation,
        "ear.vivarium.evidence": evidence.evidenceDigest,
      },
    },
  };
  const part = (value: object): string => toBase64Url(utf8(JSON.stringify(value)));
  const input = `${part({ alg: signer.algorithm, typ: "JWT" })}.${part(payload)}`;
  return `${input}.${toBase64Url(await signer.sign(utf8(input)))}`;
}

/** @returns the session's id if this broker signed the token; undefined for everything else. */
export async function sessionOfToken(
  token: string,
  signer: Signer,
  crypto: Crypto,
): Promise<string | undefined> {
  if (token.length > maxTokenBytes) return undefined;
  try {
    const [header = "", payload = "", signature = "", ...rest] = token.split(".");
    const data = utf8(`${header}.${payload}`);
    const { algorithm, publicKey } = signer;
    const genuine =
      rest.length === 0 &&
      (await crypto.verify(algorithm, publicKey, fromBase64Url(signature), data));
    if (!genuine) return undefined;
    const claims: unknown = JSON.parse(fromUtf8(fromBase64Url(payload)));
    const id = isObject(claims) ? claims["jti"] : undefined;
    return typeof id === "string" ? id : undefined;
  } catch {
    return undefined;
  }
}
