/**
 * Which TCB level a platform reaches, and what its status is together with those of the QE and of
 * the TDX module. Source: Intel QVL, steps 4.1.2.4.16 and 4.1.2.4.17; the same order and the same
 * conditions, so that the same platform gets the same answer.
 */
import type { TcbStatus } from "../evidence.ts";
import type { EnclaveTcbLevel, TcbInfo, TcbLevel, TdxModuleIdentity } from "./bodies.ts";
import type { PlatformTcb } from "./pck.ts";

export interface MatchedLevels {
  /** First level that the SGX components and the PCE reach. */
  readonly sgx: TcbLevel | undefined;
  /** First level that the TDX components reach as well. */
  readonly tdx: TcbLevel | undefined;
}

/** @param teeTcbSvn of the TD report, or undefined for SGX. */
export function matchLevels(
  info: TcbInfo,
  platform: PlatformTcb,
  teeTcbSvn: Uint8Array | undefined,
): MatchedLevels {
  let sgx: TcbLevel | undefined;
  for (const level of info.tcbLevels) {
    if (!reachesSgx(level, platform)) continue;
    sgx ??= level;
    if (teeTcbSvn === undefined) break;
    if (reachesTdx(level, teeTcbSvn)) return { sgx, tdx: level };
  }
  return { sgx, tdx: undefined };
}

function reachesSgx({ tcb }: TcbLevel, platform: PlatformTcb): boolean {
  return (
    platform.pceSvn >= tcb.pcesvn &&
    tcb.sgxtcbcomponents.every(({ svn }, i) => (platform.components[i] ?? -1) >= svn)
  );
}

/** Components 0 and 1 are the module's, which has an identity of its own if its version is not 0. */
const firstOfPlatform = (teeTcbSvn: Uint8Array): number => ((teeTcbSvn[1] ?? 0) > 0 ? 2 : 0);

function reachesTdx({ tcb }: TcbLevel, teeTcbSvn: Uint8Array): boolean {
  const first = firstOfPlatform(teeTcbSvn);
  const components = tcb.tdxtcbcomponents;
  // A level without TDX components says nothing of a TD: it is not reached.
  return components?.every(({ svn }, i) => i < first || (teeTcbSvn[i] ?? -1) >= svn) ?? false;
}

/** First level whose SVN the enclave or module reaches. */
export function matchEnclaveLevel(
  levels: readonly EnclaveTcbLevel[],
  isvSvn: number,
): EnclaveTcbLevel | undefined {
  return levels.find(({ tcb }) => isvSvn >= tcb.isvsvn);
}

/** The identity of the module of this version, `TDX_01` and so on. */
export function moduleIdentity(info: TcbInfo, version: number): TdxModuleIdentity | undefined {
  const id = `TDX_${version.toString(16).padStart(2, "0")}`.toUpperCase();
  return info.tdxModuleIdentities?.find((identity) => identity.id.toUpperCase() === id);
}

/** The platform's status with that of the QE or the module: the worse of both, in Intel's words. */
export function converge(platform: TcbStatus, other: TcbStatus): TcbStatus {
  if (other === "Revoked") return "Revoked";
  if (other !== "OutOfDate") return platform;
  switch (platform) {
    case "UpToDate":
    case "SWHardeningNeeded":
      return "OutOfDate";
    case "ConfigurationNeeded":
    case "ConfigurationAndSWHardeningNeeded":
      return "OutOfDateConfigurationNeeded";
    default:
      return platform;
  }
}

const needsConfiguration: readonly TcbStatus[] = [
  "ConfigurationNeeded",
  "OutOfDateConfigurationNeeded",
  "ConfigurationAndSWHardeningNeeded",
];

export interface RelaunchInput {
  readonly info: TcbInfo;
  readonly teeTcbSvn2: Uint8Array;
  /** Status of the level that SGX reaches. */
  readonly sgx: TcbStatus;
  /** Status of the TDX level, converged with the module's. */
  readonly tdx: TcbStatus;
  readonly module: TcbStatus;
  readonly qe: TcbStatus;
}

/**
 * A TD that was launched under an old module, on a platform that has loaded the latest since, needs
 * to be launched again and nothing else (step 4.1.2.4.17.4.3).
 * @returns the status, or undefined if the platform runs a module that TCB info does not know.
 */
export function relaunchStatus(input: RelaunchInput): TcbStatus | undefined {
  const { info, teeTcbSvn2, sgx, tdx, module, qe } = input;
  const applies =
    qe !== "OutOfDate" &&
    qe !== "Revoked" &&
    sgx !== "Revoked" &&
    sgx !== "OutOfDate" &&
    sgx !== "OutOfDateConfigurationNeeded" &&
    (tdx === "OutOfDate" || tdx === "OutOfDateConfigurationNeeded") &&
    module === "OutOfDate";
  if (!applies) return tdx;
  const latest = info.tcbLevels[0]?.tcb.tdxtcbcomponents;
  const [svn = 0, version = 0, seamLoader = 0] = teeTcbSvn2;
  let wanted = latest?.[0]?.svn;
  if (version > 0) {
    const identity = moduleIdentity(info, version);
    if (identity === undefined) return undefined;
    wanted = identity.tcbLevels[0]?.tcb.isvsvn;
  }
  const current = svn >= (wanted ?? 256) && seamLoader >= (latest?.[2]?.svn ?? 256);
  if (!current) return tdx;
  return needsConfiguration.includes(sgx) || needsConfiguration.includes(tdx)
    ? "TDRelaunchAdvisedConfigurationNeeded"
    : "TDRelaunchAdvised";
}

/** One security version that keeps the platform from its best level. */
export interface MissingSvn {
  readonly component: string;
  readonly has: number;
  readonly needs: number;
}

/** What is below the first level of the list that is `UpToDate`: what an operator must update. */
export function missingForUpToDate(
  info: TcbInfo,
  platform: PlatformTcb,
  teeTcbSvn: Uint8Array | undefined,
): readonly MissingSvn[] {
  const best =
    info.tcbLevels.find(({ tcbStatus }) => tcbStatus === "UpToDate") ?? info.tcbLevels[0];
  if (best === undefined) return [];
  const { sgxtcbcomponents, tdxtcbcomponents = [], pcesvn } = best.tcb;
  const missing: MissingSvn[] = [];
  const compare = (component: string, has: number, needs: number): void => {
    if (has < needs) missing.push({ component, has, needs });
  };
  for (const [i, component] of sgxtcbcomponents.entries()) {
    compare(nameOf("sgx", i, component), platform.components[i] ?? 0, component.svn);
  }
  compare("pce", platform.pceSvn, pcesvn);
  if (teeTcbSvn !== undefined) {
    for (const [i, component] of tdxtcbcomponents.entries()) {
      if (i < firstOfPlatform(teeTcbSvn)) continue;
      compare(nameOf("tdx", i, component), teeTcbSvn[i] ?? 0, component.svn);
    }
    const [svn = 0, version = 0] = teeTcbSvn;
    const wanted =
      version > 0 ? moduleIdentity(info, version)?.tcbLevels[0]?.tcb.isvsvn : undefined;
    if (wanted !== undefined) compare("tdx module", svn, wanted);
  }
  return missing;
}

/** `sgx[7] SEAMLDR ACM`, where Intel names the component. */
function nameOf(kind: string, index: number, component: object): string {
  const type: unknown = Object.hasOwn(component, "type")
    ? (component as { type: unknown }).type
    : "";
  const safe = typeof type === "string" && /^[\w ./-]{1,40}$/.test(type) ? ` ${type}` : "";
  return `${kind}[${index}]${safe}`;
}
