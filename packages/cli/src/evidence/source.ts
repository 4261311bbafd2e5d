/** Who signs this side's evidence: a development root, or the platform that this machine is. */
import type { Attester } from "@vivarium/attestation";
import {
  type CollectorName,
  collectorNames,
  defaultTpmAddress,
  detectAttester,
} from "@vivarium/attestation/collect";
import { CliError } from "../errors/error.ts";
import type { Io } from "../io.ts";
import type { State } from "../state.ts";

/** `auto` is the first collector that works, and never `simulated`: that must be asked for. */
export type EvidenceSource = "simulated" | "auto" | CollectorName;
export const evidenceSources: readonly EvidenceSource[] = ["simulated", "auto", ...collectorNames];

export interface PlatformOptions {
  readonly source: Exclude<EvidenceSource, "simulated">;
  /** TPM to ask. Default `/dev/tpmrm0`. */
  readonly tpm: string | undefined;
  /** The firmware's, to go with a TPM's quote. */
  readonly eventLog?: Uint8Array | undefined;
  readonly state: Pick<State, "programs">;
  readonly io: Pick<Io, "env">;
}

/** @throws AttestationError `unavailable`, with what every candidate lacks. */
export async function platformAttester(options: PlatformOptions): Promise<Attester> {
  const { source, tpm = defaultTpmAddress, eventLog, state, io } = options;
  const { attester } = await detectAttester({
    ...(source === "auto" ? {} : { only: source }),
    helperDirectory: state.programs,
    occlum: io.env["OCCLUM"] !== undefined,
    tpm: { address: tpm, ...(eventLog === undefined ? {} : { eventLog }) },
  });
  return attester;
}

/** @throws CliError `usage`, with the sources there are. */
export function evidenceSourceOf(text: string | undefined): EvidenceSource {
  if (text === undefined) return "simulated";
  const source = evidenceSources.find((known) => known === text);
  if (source === undefined) {
    throw new CliError("usage", `--from must be one of ${evidenceSources.join(", ")}.`);
  }
  return source;
}

/** What a screen says of evidence before it counts for anything. */
export function evidenceLabel(type: Attester["type"]): string {
  if (type === "simulated") return "SIMULATED evidence: no hardware vouches for any of this.";
  return type === "tpm"
    ? "Evidence of a TPM: it measures what booted, and isolates nothing from the host."
    : `Evidence of this machine's TEE (${type}).`;
}
