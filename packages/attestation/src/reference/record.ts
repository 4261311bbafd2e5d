/** A record from a known-good run: what verified evidence measured, and how new its platform was. */
import { toHex } from "@vivarium/core";
import { AttestationError } from "../errors.ts";
import type { EvidenceType, VerifiedEvidence } from "../evidence.ts";
import type { ReferenceRecord } from "./set.ts";

const registers = ["pcr00", "pcr02", "pcr04", "pcr07", "pcr08", "pcr09", "pcr11"] as const;

/**
 * What a record pins unless told otherwise: the code that booted. Not what differs between two runs of the same
 * code: identities of chips and reports, and registers that a running system goes on extending.
 */
const usualPins: Readonly<Record<EvidenceType, readonly string[]>> = {
  sgx: ["mr_enclave", "mr_signer"],
  tdx: ["mr_td", "rtmr_0", "rtmr_1", "rtmr_2"],
  snp: ["measurement"],
  sev: ["measurement"],
  "sev-es": ["measurement"],
  csv: ["measure"],
  cca: ["rim"],
  tpm: registers,
  "az-snp-vtpm": ["measurement", ...registers],
  "az-tdx-vtpm": ["mr_td", ...registers],
  nitro: ["pcr0", "pcr1", "pcr2"],
  simulated: ["code", "runtime", "flags"],
};

export interface RecordOptions {
  readonly name: string;
  /** Measurements to pin instead of the usual ones of the type. */
  readonly pins?: readonly string[];
  /** Relaxations that the caller accepts in a known-good run. */
  readonly allow?: readonly string[];
  /** Keep the trust anchor of a vendor's type as well: true where it is not the vendor's. */
  readonly keepRoot?: boolean;
  readonly origin: ReferenceRecord["origin"];
}

/**
 * Takes every SVN as the least one: an older platform is not what was seen to be good.
 * @throws AttestationError `refused-by-policy` if the run was not good: debugged, not up to date, or with a
 * relaxation that is not allowed; `malformed` for a pin that the evidence does not measure.
 */
export function referenceOf(verified: VerifiedEvidence, options: RecordOptions): ReferenceRecord {
  const { allow = [] } = options;
  const bad = [
    ...(verified.debug ? ["a debugger may look into it"] : []),
    ...(verified.tcb.status === "UpToDate" ? [] : [`its TCB is ${verified.tcb.status}`]),
    ...verified.relaxations
      .filter(({ name }) => !allow.includes(name))
      .map(({ name }) => `it needs ${name}, which is not allowed`),
  ];
  if (bad.length > 0) {
    const message = `This run is no reference: ${bad.join("; ")}.`;
    throw new AttestationError("refused-by-policy", message);
  }
  const used = verified.relaxations.map(({ name }) => name);
  return {
    name: options.name,
    type: verified.type,
    measurements: measurementsOf(verified, options.pins),
    minimumSvn: { ...verified.svn },
    ...(used.length === 0 ? {} : { allow: [...new Set(used)] }),
    ...(options.keepRoot === true || namesRoot.has(verified.type) ? { root: verified.root } : {}),
    origin: options.origin,
  };
}

/** Types whose trust anchor is no vendor's that the code pins. */
const namesRoot: ReadonlySet<EvidenceType> = new Set(["cca", "tpm", "sev", "sev-es", "simulated"]);

function measurementsOf(
  { type, measurements }: VerifiedEvidence,
  pins: readonly string[] | undefined,
): ReferenceRecord["measurements"] {
  const wanted = pins ?? usualPins[type];
  const found = wanted.flatMap((name) => {
    const value = Object.hasOwn(measurements, name) ? measurements[name] : undefined;
    // Zero is "nothing measured": as a pin it would say nothing. Whoever names it means it.
    const counts = value !== undefined && (pins !== undefined || value.some((byte) => byte !== 0));
    return counts ? [[name, [toHex(value)]] as const] : [];
  });
  const missing = pins?.filter((name) => !found.some(([known]) => known === name)) ?? [];
  if (missing.length > 0 || found.length === 0) {
    const names = Object.keys(measurements).join(", ");
    const what = missing.length > 0 ? missing.join(", ") : wanted.join(", ");
    throw new AttestationError(
      "malformed",
      `The evidence does not measure ${what}; it has ${names}.`,
    );
  }
  return Object.fromEntries(found);
}
