/**
 * SGX quotes of Gramine: files that belong to the enclave. Source: Gramine documentation,
 * "Attestation and Secret Provisioning", `/dev/attestation`.
 */
import { fromUtf8 } from "@vivarium/core";
import { AttestationError } from "../errors.ts";
import type { Attester } from "../evidence.ts";
import { inTurn, type PlatformFiles, platformFiles, unavailable } from "./files.ts";

export interface GramineOptions {
  readonly files?: PlatformFiles;
}

export const graminePath = "/dev/attestation";
const maxQuoteBytes = 64 * 1024;
const hint = 'It exists only inside Gramine-SGX with sgx.remote_attestation = "dcap".';

/** @throws AttestationError `unavailable`, naming the file. */
export async function gramineAttester(options: GramineOptions = {}): Promise<Attester> {
  const { files = platformFiles() } = options;
  const path = `${graminePath}/attestation_type`;
  let kind: string;
  try {
    kind = fromUtf8(await files.read(path, 64))
      .replaceAll("\0", "")
      .trim();
  } catch (cause) {
    throw unavailable(path, cause, hint);
  }
  if (kind !== "dcap") {
    throw new AttestationError("unavailable", `${path} says "${printable(kind)}". ${hint}`);
  }
  const turn = inTurn();
  return {
    type: "sgx",
    collect: (reportData) =>
      turn(async () => {
        const [input, output] = ["user_report_data", "quote"].map(
          (name) => `${graminePath}/${name}`,
        );
        try {
          await files.write(input as string, reportData);
          const bytes = await files.read(output as string, maxQuoteBytes);
          if (bytes.length === 0) {
            throw new AttestationError("unavailable", `${output} is empty: see the AESM's log.`);
          }
          return { type: "sgx", bytes, attachments: {} };
        } catch (cause) {
          throw unavailable(output as string, cause, hint);
        }
      }),
  };
}

const printable = (text: string): string => text.replaceAll(/[^\x20-\x7e]/g, "?").slice(0, 32);
