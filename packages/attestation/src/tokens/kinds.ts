/**
 * What the tokens of each attestation service say, on one scale. Sources: draft-ietf-rats-ear and
 * draft-ietf-rats-ar4si; trustee `attestation-service/docs`; Intel Trust Authority, "Attestation tokens";
 * Azure Attestation, "Claims sets".
 */
import type { SignatureAlgorithm } from "@vivarium/core";
import { fieldOf } from "./keys.ts";

export const tokenKinds = ["trustee-ear", "trustee-simple", "veraison-ear", "ita", "maa"] as const;
export type TokenKind = (typeof tokenKinds)[number];

/** Tiers of AR4SI; `none` makes no statement. */
export const tokenStatuses = ["affirming", "none", "warning", "contraindicated"] as const;
export type TokenStatus = (typeof tokenStatuses)[number];

/** One attester among those that a token speaks of. */
export interface TokenSubmodule {
  readonly name: string;
  readonly status: TokenStatus;
  /** Names of the field, as the service has them (`tdx`, `snp`, …), or undefined. */
  readonly tee: string | undefined;
  /** Report data in lower-case hex, where the service says it. */
  readonly reportData: string | undefined;
  /** Why it is not affirming; each is a finding. */
  readonly reservations: readonly string[];
}

export interface TokenRules {
  /** Whether tokens of real services were at hand to try this on. */
  readonly tried: boolean;
  readonly algorithms: readonly SignatureAlgorithm[];
  /** Claims, by what their sender says it is. Called after the signature has verified. */
  matches(payload: Payload): boolean;
  submodules(payload: Payload): readonly TokenSubmodule[];
}

type Payload = Readonly<Record<string, unknown>>;

const profiles = {
  trustee: "tag:github.com,2024:confidential-containers/Trustee",
  veraison: "tag:github.com,2023:veraison/ear",
} as const;

const text = (value: unknown): string | undefined =>
  typeof value === "string" ? value : undefined;
const hex = (value: unknown): string | undefined => {
  const given = text(value);
  return given !== undefined && /^(?:[0-9a-fA-F]{2}){1,64}$/.test(given)
    ? given.toLowerCase()
    : undefined;
};

export const tokenRules: Readonly<Record<TokenKind, TokenRules>> = {
  "trustee-ear": {
    tried: true,
    algorithms: ["ES256", "ES384"],
    matches: ({ eat_profile }) => eat_profile === profiles.trustee,
    submodules: earSubmodules,
  },
  "trustee-simple": {
    tried: true,
    algorithms: ["RS384", "RS256", "ES256"],
    matches: ({ iss, eat_profile }) =>
      iss === "CoCo-Attestation-Service" && eat_profile === undefined,
    submodules: simpleSubmodules,
  },
  "veraison-ear": {
    tried: true,
    algorithms: ["ES256", "ES384"],
    matches: ({ eat_profile }) => eat_profile === profiles.veraison,
    submodules: earSubmodules,
  },
  ita: {
    tried: false,
    algorithms: ["PS384", "RS256"],
    matches: ({ iss, attester_type }) =>
      text(iss)?.startsWith("Intel Trust Authority") === true && attester_type !== undefined,
    submodules: itaSubmodules,
  },
  maa: {
    tried: false,
    algorithms: ["RS256"],
    matches: (payload) => payload["x-ms-attestation-type"] !== undefined,
    submodules: maaSubmodules,
  },
};

/**
 * The worst tier of the vector counts beside the status: a service that says "affirming" over a
 * contraindicated value is not believed.
 */
function earSubmodules({ submods }: Payload): readonly TokenSubmodule[] {
  const entries = typeof submods === "object" && submods !== null ? Object.entries(submods) : [];
  return entries.map(([name, value]) => {
    const said = statusOf(fieldOf(value, "ear.status"));
    const vector = fieldOf(value, "ear.trustworthiness-vector");
    const values = typeof vector === "object" && vector !== null ? Object.entries(vector) : [];
    const tiers = values.map(([claim, number]) => [claim, tierOf(number)] as const);
    const worst = [said, ...tiers.map(([, tier]) => tier)].reduce(worse, "affirming");
    const evidence = fieldOf(value, "ear.veraison.annotated-evidence");
    const low = tiers.filter(([, tier]) => tier === "warning" || tier === "contraindicated");
    return {
      name,
      // `none` in the vector is a claim that was not made, `none` as the status a verdict not given.
      status: said === "none" ? worse(worst, "none") : worst,
      tee: ["tdx", "snp", "sgx", "csv", "cca", "tpm", "az-snp-vtpm", "az-tdx-vtpm", "se"].find(
        (tee) => fieldOf(evidence, tee) !== undefined,
      ),
      reportData: hex(fieldOf(evidence, "report_data")),
      reservations: [
        ...(said === "affirming" ? [] : [`ear.status ${said}`]),
        ...low.map(([claim, tier]) => `${claim} ${tier}`),
      ],
    };
  });
}

const order: readonly TokenStatus[] = tokenStatuses;
function worse(a: TokenStatus, b: TokenStatus): TokenStatus {
  const [x, y] = [a, b].map((status) => (status === "none" ? 0 : order.indexOf(status)));
  return (x as number) >= (y as number) ? a : b;
}

function statusOf(value: unknown): TokenStatus {
  if (typeof value === "number") return tierOf(value);
  return order.find((status) => status === value) ?? "contraindicated";
}

/** Tiers of AR4SI section 2.3: the magnitude counts; anything but an integer of a byte is no trust. */
function tierOf(value: unknown): TokenStatus {
  if (!Number.isInteger(value) || Math.abs(value as number) > 128) return "contraindicated";
  const size = Math.abs(value as number);
  return size < 2 ? "none" : size < 32 ? "affirming" : size < 96 ? "warning" : "contraindicated";
}

/** A policy's answer is not in the token: it exists only if the policies allowed it. */
function simpleSubmodules(payload: Payload): readonly TokenSubmodule[] {
  const reports = payload["evaluation-reports"];
  const judged = Array.isArray(reports) && reports.length > 0;
  const tee = text(payload["tee"]);
  return [
    {
      name: "cpu0",
      status: judged ? "affirming" : "none",
      tee,
      reportData: hex(fieldOf(parsed(payload["tcb-status"]), "report_data")),
      reservations: judged ? [] : ["no policy was evaluated"],
    },
  ];
}

function parsed(value: unknown): unknown {
  try {
    return typeof value === "string" ? JSON.parse(value) : value;
  } catch {
    return undefined;
  }
}

function itaSubmodules(payload: Payload): readonly TokenSubmodule[] {
  const type = text(payload["attester_type"])?.toLowerCase();
  const tcb = text(payload["attester_tcb_status"]);
  const nested = fieldOf(payload, type ?? "");
  const claim = (name: string): unknown =>
    payload[`${type}_${name}`] ?? fieldOf(nested, `${type}_${name}`);
  const unmatched = payload["policy_ids_unmatched"];
  const debug = claim("is_debuggable");
  const reservations = [
    ...(tcb === "UpToDate" ? [] : [`attester_tcb_status ${tcb ?? "absent"}`]),
    ...(debug === false ? [] : ["a debugger is allowed, or nothing is said of it"]),
    ...(Array.isArray(unmatched) && unmatched.length > 0 ? ["policy_ids_unmatched"] : []),
  ];
  const worst = debug !== false || tcb === "Revoked" ? "contraindicated" : "warning";
  return [
    {
      name: "attester",
      status: reservations.length === 0 ? "affirming" : worst,
      tee: type,
      reportData: hex(claim("report_data") ?? claim("reportdata")),
      reservations,
    },
  ];
}

function maaSubmodules(payload: Payload): readonly TokenSubmodule[] {
  // A confidential VM's token has the hardware's claims inside, as `x-ms-isolation-tee`.
  const inner = payload["x-ms-isolation-tee"] ?? payload;
  const type = text(fieldOf(inner, "x-ms-attestation-type"));
  const debug =
    fieldOf(inner, "x-ms-sevsnpvm-is-debuggable") ??
    fieldOf(inner, "x-ms-sgx-is-debuggable") ??
    fieldOf(inner, "tdx_td_attributes_debug") ??
    payload["is-debuggable"];
  const compliance = text(fieldOf(inner, "x-ms-compliance-status"));
  const reservations = [
    ...(debug === false ? [] : ["a debugger is allowed, or nothing is said of it"]),
    ...(compliance === undefined || compliance === "azure-compliant-cvm"
      ? []
      : [`x-ms-compliance-status ${compliance}`]),
  ];
  const data = fieldOf(inner, "x-ms-sevsnpvm-reportdata") ?? fieldOf(inner, "tdx_report_data");
  return [
    {
      name: "attester",
      status: reservations.length === 0 ? "affirming" : "contraindicated",
      tee: { sevsnpvm: "snp", tdxvm: "tdx", sgx: "sgx" }[type ?? ""] ?? type,
      reportData: hex(data ?? fieldOf(inner, "x-ms-sgx-report-data")),
      reservations,
    },
  ];
}
