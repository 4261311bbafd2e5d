/**
 * The attestation agent of Confidential Containers, by its REST interface inside the guest. Source:
 * guest-components, api-server-rest.
 */
import { fromUtf8, toBase64Url } from "@vivarium/core";
import { AttestationError } from "../errors.ts";
import { type Attester, evidenceTypes } from "../evidence.ts";
import { readEvidenceForm } from "../forms/index.ts";

export interface CocoOptions {
  /** Default `http://127.0.0.1:8006`. */
  readonly url?: string;
  /** Default: the global one. */
  readonly fetch?: typeof globalThis.fetch;
  /** Of one request. Default 30,000. */
  readonly timeoutMs?: number;
}

export const cocoUrl = "http://127.0.0.1:8006";
const maxResponseBytes = 2 * 1024 * 1024;
/** @throws AttestationError `unavailable` if there is no agent, or it has no TEE. */
export async function cocoAttester(options: CocoOptions = {}): Promise<Attester> {
  const info = await ask(options, "/info");
  const tee = fieldOf(parsed(info), "tee");
  const type = evidenceTypes.find((known) => known === tee);
  // `sample` is the agent's mock: evidence of nothing.
  if (type === undefined || type === "simulated") {
    throw new AttestationError(
      "unavailable",
      "The attestation agent has no TEE that is known here.",
    );
  }
  return {
    type,
    async collect(reportData, { signal } = {}) {
      // Azure's agent takes 32 bytes, all others 64; the vTPM carries SHA-256 of the binding anyway.
      const query = `runtime_data=${toBase64Url(reportData)}&encoding=base64`;
      const bytes = await ask(options, `/aa/evidence?${query}`, signal);
      return readEvidenceForm(bytes, type).evidence;
    },
  };
}

function parsed(bytes: Uint8Array): unknown {
  try {
    return JSON.parse(fromUtf8(bytes));
  } catch (cause) {
    throw new AttestationError("unavailable", "The attestation agent does not speak JSON.", {
      cause,
    });
  }
}

function fieldOf(value: unknown, name: string): unknown {
  const object = typeof value === "object" && value !== null && Object.hasOwn(value, name);
  return object ? (value as Readonly<Record<string, unknown>>)[name] : undefined;
}

async function ask(
  { url = cocoUrl, fetch = globalThis.fetch, timeoutMs = 30_000 }: CocoOptions,
  path: string,
  signal?: AbortSignal,
): Promise<Uint8Array> {
  const limit = AbortSignal.timeout(timeoutMs);
  const resource = path.split("?")[0];
  try {
    const response = await fetch(`${url}${path}`, {
      redirect: "error",
      signal: signal === undefined ? limit : AbortSignal.any([signal, limit]),
    });
    if (!response.ok) {
      await response.body?.cancel();
      const why =
        response.status === 404 || response.status === 405
          ? "the image does not enable that endpoint"
          : "see the agent's log";
      throw new AttestationError(
        "unavailable",
        `The attestation agent answers ${resource} with ${response.status}: ${why}.`,
      );
    }
    return await bounded(response);
  } catch (cause) {
    if (cause instanceof AttestationError) throw cause;
    throw new AttestationError("unavailable", `No attestation agent answers on ${url}.`, { cause });
  }
}

async function bounded(response: Response): Promise<Uint8Array> {
  const chunks: Uint8Array[] = [];
  let length = 0;
  for await (const chunk of response.body ?? []) {
    length += chunk.length;
    if (length > maxResponseBytes) {
      throw new AttestationError("unavailable", "The attestation agent's answer is too big.");
    }
    chunks.push(chunk);
  }
  return new Uint8Array(Buffer.concat(chunks));
}
