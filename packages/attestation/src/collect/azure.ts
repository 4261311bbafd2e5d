/**
 * Confidential vTPMs of Azure: the paravisor's report, a quote of the vTPM over the session's data, and the
 * hardware's certificates or TD quote from the instance's metadata service. Source: Azure "guest
 * attestation for confidential VMs".
 */
import { fromBase64Url, fromUtf8, toBase64Url, utf8 } from "@vivarium/core";
import { nodeCrypto } from "@vivarium/core/node";
import { AttestationError } from "../errors.ts";
import type { Attester } from "../evidence.ts";
import { reportDataFor } from "../report-data.ts";
import { encodeTpmEvidence } from "../tpm/container.ts";
import { tpmAlgorithms } from "../tpm/structures.ts";
import { parseHclReport } from "../vtpm/hcl.ts";
import { encodeVtpmEvidence } from "../vtpm/verifier.ts";
import { inTurn, type PlatformFiles, platformFiles } from "./files.ts";
import { quoteOf } from "./tpm/attester.ts";
import { nvDefine, nvRead, nvWrite, readPublic } from "./tpm/commands.ts";
import { openTpm, type TpmDevice } from "./tpm/device.ts";

export interface AzureVtpmAttesterOptions {
  /** Default `/dev/tpmrm0`. */
  readonly address?: string;
  /** Default: the global one. Asks the metadata service at 169.254.169.254 only. */
  readonly fetch?: typeof globalThis.fetch;
  /** PCRs to quote. Default 0 to 23, as Azure's own tools. */
  readonly pcrs?: readonly number[];
  /**
   * How long the paravisor takes to make a new report of the user data, in milliseconds. Default 3,000;
   * 0 takes the report of the start, which is not fresh.
   */
  readonly reportMs?: number;
}

/** Addresses of the paravisor's TPM. */
export const azureIndices = {
  report: 0x0140_0001,
  userData: 0x0140_0002,
  key: 0x8100_0003,
} as const;
const metadata = "http://169.254.169.254";
const maxBodyBytes = 64 * 1024;
const defaultPcrs: readonly number[] = Array.from({ length: 24 }, (_, index) => index);
/** The chassis tag of every Azure machine. */
const chassisTag = "7783-7084-3265-9085-8269-3286-77";

/** True on an Azure machine, by its firmware's tables; whether it is confidential shows its TPM. */
export async function isAzure(files: PlatformFiles = platformFiles()): Promise<boolean> {
  try {
    const tag = await files.read("/sys/class/dmi/id/chassis_asset_tag", 256);
    return fromUtf8(tag).trim() === chassisTag;
  } catch {
    return false;
  }
}

/** @throws AttestationError `unavailable` where the TPM has no report of a paravisor. */
export async function azureVtpmAttester(options: AzureVtpmAttesterOptions = {}): Promise<Attester> {
  const { address = "/dev/tpmrm0", pcrs = defaultPcrs, reportMs = 3_000 } = options;
  const fetch = options.fetch ?? globalThis.fetch;
  await using first = await openTpm({ address });
  const { kind } = parseHclReport(await nvRead(first, azureIndices.report));
  // The user data and the report made of it are two steps: nobody else's may come in between.
  const turn = inTurn();
  return {
    type: kind === "snp" ? "az-snp-vtpm" : "az-tdx-vtpm",
    collect: (reportData, { signal } = {}) =>
      turn(async () => {
        await using device = await openTpm({ address, signal });
        const nonce = await reportDataFor(nodeCrypto(), "az-snp-vtpm", reportData);
        if (reportMs > 0) await renewReport(device, nonce, reportMs);
        const hcl = parseHclReport(await nvRead(device, azureIndices.report));
        const publicArea = await readPublic(device, azureIndices.key);
        const key = { handle: azureIndices.key, publicArea };
        const tpm = encodeTpmEvidence(
          await quoteOf(device, key, nonce, tpmAlgorithms.sha256, [...pcrs]),
        );
        const { hardware, runtime } = hcl;
        if (hcl.kind === "snp") {
          const certificates = await snpCertificates(fetch, signal);
          const bytes = encodeVtpmEvidence({ tpm, report: hardware, runtime });
          return { type: "az-snp-vtpm", bytes, attachments: { certificates } };
        }
        const quote = await tdQuote(fetch, hardware, signal);
        const bytes = encodeVtpmEvidence({ tpm, report: new Uint8Array(0), runtime });
        return { type: "az-tdx-vtpm", bytes, attachments: { quote } };
      }),
  };
}

/** Has the paravisor make a report of this very nonce, so that the hardware's word is as fresh as the quote. */
async function renewReport(device: TpmDevice, nonce: Uint8Array, ms: number): Promise<void> {
  const userData = new Uint8Array(64);
  userData.set(nonce);
  try {
    await nvWrite(device, azureIndices.userData, userData);
  } catch {
    await nvDefine(device, azureIndices.userData, userData.length);
    await nvWrite(device, azureIndices.userData, userData);
  }
  await new Promise((resolve) => setTimeout(resolve, ms));
}

/** VCEK and AMD's authorities as PEM. */
async function snpCertificates(
  fetch: typeof globalThis.fetch,
  signal: AbortSignal | undefined,
): Promise<Uint8Array> {
  const body = await ask(fetch, "/metadata/THIM/amd/certification", signal);
  const [vcek, chain] = [fieldOf(body, "vcekCert"), fieldOf(body, "certificateChain")];
  if (typeof vcek !== "string" || typeof chain !== "string") {
    throw failed("gives no certificates of the processor", undefined);
  }
  return utf8(`${vcek.trimEnd()}\n${chain}`);
}

/** The host's quoting service, by way of the metadata service. */
async function tdQuote(
  fetch: typeof globalThis.fetch,
  hardware: Uint8Array,
  signal: AbortSignal | undefined,
): Promise<Uint8Array> {
  // TDREPORT_STRUCT has 1,024 bytes; the rest of the field is padding.
  const report = toBase64Url(hardware.subarray(0, 1024));
  const body = await ask(fetch, "/acc/tdquote", signal, JSON.stringify({ report }));
  const quote = fieldOf(body, "quote");
  if (typeof quote !== "string") throw failed("gives no TD quote", undefined);
  return fromBase64Url(quote.replace(/=+$/, ""));
}

async function ask(
  fetch: typeof globalThis.fetch,
  path: string,
  signal: AbortSignal | undefined,
  post?: string,
): Promise<unknown> {
  const limit = AbortSignal.timeout(30_000);
  try {
    const response = await fetch(`${metadata}${path}`, {
      redirect: "error",
      headers: {
        Metadata: "true",
        ...(post === undefined ? {} : { "Content-Type": "application/json" }),
      },
      ...(post === undefined ? {} : { method: "POST", body: post }),
      signal: signal === undefined ? limit : AbortSignal.any([signal, limit]),
    });
    if (!response.ok) throw failed(`answers ${path} with ${response.status}`, undefined);
    const text = await response.text();
    if (text.length > maxBodyBytes) throw failed(`answers ${path} with too much`, undefined);
    return JSON.parse(text);
  } catch (cause) {
    throw cause instanceof AttestationError ? cause : failed(`does not answer ${path}`, cause);
  }
}

function fieldOf(value: unknown, name: string): unknown {
  const object = typeof value === "object" && value !== null && Object.hasOwn(value, name);
  return object ? (value as Readonly<Record<string, unknown>>)[name] : undefined;
}

function failed(reason: string, cause: unknown): AttestationError {
  return new AttestationError("unavailable", `Azure's metadata service ${reason}.`, { cause });
}
