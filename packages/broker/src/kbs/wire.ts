/**
 * Messages of RCAR (trustee `kbs/docs/kbs_attestation_protocol.md`): request, challenge, attestation.
 */
import {
  decodeEvidence,
  type Evidence,
  type EvidenceType,
  evidenceTypes,
} from "@vivarium/attestation";
import { type Recognised, readEvidenceForm } from "@vivarium/attestation/forms";
import { type Crypto, fromBase64Url, utf8 } from "@vivarium/core";
import { BrokerError } from "../errors.ts";
import { canonicalJson, isObject, type JsonObject } from "./json.ts";
import { parseTeeKey, type TeeKey } from "./tee-key.ts";

const versions = /^0\.[1-4]\.\d{1,3}$/;

/** @returns the type of evidence that is announced. @throws BrokerError `malformed`. */
export function parseRequest(request: JsonObject): EvidenceType {
  const { version, tee } = request;
  if (typeof version !== "string" || !versions.test(version)) {
    throw new BrokerError("malformed", "This broker speaks version 0.1 to 0.4 of the protocol.");
  }
  // CoCo's `sample` is evidence of nothing, and not among the types.
  const type = evidenceTypes.find((known) => known === tee);
  if (type === undefined) throw new BrokerError("malformed", "No evidence of this TEE is taken.");
  return type;
}

export interface Attestation {
  readonly key: TeeKey;
  /** 64 bytes: what the evidence must be bound to. */
  readonly reportData: Uint8Array;
  readonly recognised: Recognised;
}

/**
 * @param nonce the one of this session's challenge.
 * @throws BrokerError `malformed`; AttestationError for evidence out of form.
 */
export async function parseAttestation(
  crypto: Crypto,
  message: JsonObject,
  type: EvidenceType,
  nonce: string,
): Promise<Attestation> {
  const runtime = message["runtime-data"];
  if (!isObject(runtime)) throw new BrokerError("malformed", "There is no runtime-data.");
  if (runtime["nonce"] !== nonce) {
    throw new BrokerError("malformed", "The nonce is not the one of this session's challenge.");
  }
  if (message["init-data"] !== undefined && message["init-data"] !== null) {
    // Taken unverified it would look as if the broker had checked it.
    throw new BrokerError("malformed", "This broker takes no init-data; pin its measurement.");
  }
  const key = await parseTeeKey(crypto, runtime["tee-pubkey"]);
  return {
    key,
    reportData: await reportDataOf(crypto, runtime),
    recognised: { ...evidenceOf(message["tee-evidence"], type) },
  };
}

/** SHA-384 over the sorted JSON, zeros behind it, as CoCo's agents fill the field. */
export async function reportDataOf(crypto: Crypto, runtime: JsonObject): Promise<Uint8Array> {
  const out = new Uint8Array(64);
  out.set(await crypto.digest("SHA-384", utf8(canonicalJson(runtime))));
  return out;
}

function evidenceOf(value: unknown, type: EvidenceType): Recognised {
  const composite = isObject(value) && Object.hasOwn(value, "primary_evidence");
  if (composite && ![undefined, null, "", "{}"].includes(value["additional_evidence"] as string)) {
    throw new BrokerError("malformed", "This broker takes no additional evidence.");
  }
  const primary = composite ? value["primary_evidence"] : value;
  if (isObject(primary) && typeof primary["vivarium"] === "string") {
    const evidence: Evidence = decodeEvidence(envelopeOf(primary["vivarium"]));
    if (evidence.type !== type) {
      throw new BrokerError("malformed", `The evidence is of type ${evidence.type}, not ${type}.`);
    }
    return { evidence, collateral: {}, form: "envelope" };
  }
  const text = typeof primary === "string" ? primary : JSON.stringify(primary ?? null);
  return readEvidenceForm(utf8(text), type);
}

function envelopeOf(text: string): Uint8Array {
  try {
    return fromBase64Url(text);
  } catch (cause) {
    throw new BrokerError("malformed", "The evidence is not base64url.", { cause });
  }
}
